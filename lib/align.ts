/** For each token of one text the index of its match in another text, or -1. */
export type Matches = number[]

/** How many tokens may be added and removed: the work grows with the square of it. */
const most = 160

/**
 * Matches the tokens of two texts in order, as many as possible. Where several answers are as good,
 * `front` has the matches as near to the front as possible, `back` as near to the end. Returns null
 * when more than 160 tokens were added and removed, unless all of them were added, or all removed,
 * in one piece.
 *
 * The greedy algorithm of Myers, "An O(ND) Difference Algorithm and Its Variations" (1986): at most
 * 13,000 steps, and 160 passes over the shorter text.
 */
export function align(base: string[], text: string[]): { front: Matches; back: Matches } | null {
  const [from, to] = numbered(base, text)
  const front = alignFront(from, to)
  const mirrored = front && alignFront(from.toReversed(), to.toReversed())
  const back = mirrored?.reverse().map(at => (at < 0 ? -1 : text.length - 1 - at))
  return front && back ? { front, back } : null
}

/** Returns a number for each token, the same for the same: numbers are compared faster. */
function numbered(...texts: [string[], string[]]): [number[], number[]] {
  const numbers = new Map<string, number>()
  for (const token of texts.flat()) if (!numbers.has(token)) numbers.set(token, numbers.size)
  const [base, text] = texts.map(tokens => tokens.map(token => numbers.get(token) as number))
  return [base, text] as [number[], number[]]
}

function alignFront(base: number[], text: number[]): Matches | null {
  return alignOnePiece(base, text) ?? alignPieces(base, text)
}

function alignOnePiece(base: number[], text: number[]): Matches | null {
  const shift = text.length - base.length
  const shorter = Math.min(base.length, text.length)
  let head = 0
  while (head < shorter && base[head] === text[head]) head++
  let tail = base.length
  while (tail > head && tail + shift > head && base[tail - 1] === text[tail - 1 + shift]) tail--
  if (tail > head && tail + shift > head) return null
  return base.map((_, i) => (i < head ? i : i < tail ? -1 : i + shift))
}

function alignPieces(base: number[], text: number[]): Matches | null {
  if (Math.abs(base.length - text.length) > most) return null
  // Diagonal k holds the pairs (i, i - k). After d tokens added or removed, furthest[k] is the
  // largest i that was reached on it; `history` keeps it for each d, to find the way back.
  const furthest = new Int16Array(2 * most + 3)
  const history: Int16Array[] = []
  for (let d = 0; d <= most; d++) {
    history.push(furthest.slice(0, most + d + 3))
    for (let k = -d; k <= d; k += 2) {
      let i = arrive(furthest, d, k)
      while (i < base.length && i - k < text.length && base[i] === text[i - k]) i++
      furthest[most + 1 + k] = i
      if (i >= base.length && i - k >= text.length) return wayBack(history, base.length, k)
    }
  }
  return null
}

/** Returns where the way to diagonal k arrives on it, by an added token or by a removed one. */
function arrive(furthest: Int16Array, d: number, k: number): number {
  if (d === 0) return 0
  const added = furthest[most + 2 + k] as number
  return isAdded(furthest, d, k) ? added : (furthest[most + k] as number) + 1
}

function isAdded(furthest: Int16Array, d: number, k: number): boolean {
  const [removed, added] = [furthest[most + k] as number, furthest[most + 2 + k] as number]
  return k === -d || (k !== d && removed < added)
}

function wayBack(history: Int16Array[], end: number, k: number): Matches {
  const matches: Matches = new Array(end).fill(-1)
  for (let d = history.length - 1; d >= 0; d--) {
    const furthest = history[d] as Int16Array
    const start = arrive(furthest, d, k)
    for (let i = start; i < end; i++) matches[i] = i - k
    const added = isAdded(furthest, d, k)
    end = added ? start : start - 1
    k += added ? 1 : -1
  }
  return matches
}
