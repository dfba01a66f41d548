import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { maximum } from '../../schemas/limits.ts'
import { IconButton } from '../parts/button.tsx'
import { Title } from '../parts/title.tsx'
import type { Model } from './model.ts'

/** The title of the list. The words of others are merged with those that are typed here. */
export function TitleEditor({ model }: { model: Model }) {
  const { title = '', people = [] } = model.view.value ?? {}
  /** the title with which the user began; null while it is not edited */
  const [start, setStart] = useState<string | null>(null)
  const input = useRef<HTMLInputElement>(null)
  const editor = people.find(({ state }) => state.field === 'title')

  useLayoutEffect(() => {
    if (start !== null) input.current?.select()
  }, [start])

  const end = (isSaved: boolean) => {
    const text = input.current?.value.trim()
    if (start === null) return
    setStart(null)
    model.list.show(null)
    if (isSaved && text && text !== start) model.rename(text, start)
  }

  return (
    <div class="title">
      <Title text={title}>
        {start === null ? (
          title
        ) : (
          <input
            ref={input}
            class="title-input"
            aria-label="Title of the list"
            defaultValue={start}
            maxLength={maximum.nameLength}
            onFocus={() => model.list.show({ field: 'title' })}
            onInput={event => model.list.show({ field: 'title', draft: event.currentTarget.value })}
            onBlur={() => end(true)}
            onKeyDown={event => {
              event.stopPropagation()
              if (event.isComposing) return
              if (event.key === 'Enter' || event.key === 'Escape') end(event.key === 'Enter')
            }}
          />
        )}
      </Title>
      {model.canWrite.value && start === null && (
        <IconButton icon="pencil" label="Rename this list" onClick={() => setStart(title)} />
      )}
      {editor && <p class="soft small title-editor">{editor.name} is changing the title</p>}
    </div>
  )
}
