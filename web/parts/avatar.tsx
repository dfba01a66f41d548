import { initials } from '../text.ts'

/** number of colours in parts.css */
const colours = 6

/** The letters of a person in their colour. Decoration: the name stands beside it, or is its label. */
export function Avatar({ id, name, label }: { id: string; name: string; label?: string }) {
  // The letters are no text, so that they are no part of the name of a button.
  return (
    <span
      class={`avatar colour-${colourOf(id)}`}
      data-letters={initials(name)}
      title={label}
      {...(label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': true })}
    />
  )
}

/** Returns the number of the colour of a user, which is the same on all devices. */
export function colourOf(id: string): number {
  let sum = 0
  for (const letter of id) sum = (sum * 31 + letter.charCodeAt(0)) % 997
  return sum % colours
}
