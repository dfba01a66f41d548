import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { focusHeading } from '../route.ts'

/** The heading of a screen. Sets the title of the document, and receives the focus when the user opens the screen. */
export function Title({ text, children }: { text: string; children?: ComponentChildren }) {
  const ref = useRef<HTMLHeadingElement>(null)
  useLayoutEffect(() => {
    if (ref.current) focusHeading(ref.current)
  }, [])
  useLayoutEffect(() => {
    document.title = text === 'Concord' ? text : `${text} · Concord`
  }, [text])
  return (
    <h1 ref={ref} tabIndex={-1}>
      {children ?? text}
    </h1>
  )
}
