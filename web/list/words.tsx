import type { Piece } from './word-diff.ts'

/** A text with removed words struck through and added words underlined. Screen readers get a word for each. */
export function Words({ pieces }: { pieces: readonly Piece[] }) {
  return (
    <span class="words">
      {pieces.map(({ kind, text }, n) => {
        const key = `${n}`
        if (kind === 'same') return <span key={key}>{text}</span>
        const Tag = kind === 'added' ? 'ins' : 'del'
        return (
          <Tag key={key}>
            <span class="visually-hidden">{kind} </span>
            {text}
          </Tag>
        )
      })}
    </span>
  )
}
