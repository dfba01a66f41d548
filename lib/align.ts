/** For each token of one text: the index of the matching token in the other text, or -1. */
export type Matches = number[]

/** Maximum number of added and removed tokens together. The time grows with the square of this number. */
const maxChanges = 160

/**
 * Matches as many tokens of two texts as possible, in order: `front` has its matches nearest to the start, `back`
 * nearest to the end. Returns null when more than 160 tokens were added and removed, unless one piece was added or
 * removed.
 * Source: Myers, "An O(ND) Difference Algorithm and Its Variations" (1986). Takes at most 13,000 steps and 160 passes
 * over the shorter text.
 */
export function align(base: string[], text: string[]): { front: Matches; back: Matches } | null {
  const [from, to] = toNumbers(base, text)
  const front = alignFront(from, to)
  const mirrored = front && alignFront(from.toReversed(), to.toReversed())
  const back = mirrored?.reverse().map(at => (at < 0 ? -1 : text.length - 1 - at))
  return front && back ? { front, back } : null
}

// Numbers are compared faster than strings.
function toNumbers(...texts: [string[], string[]]): [number[], number[]] {
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
  if (Math.abs(base.length - text.length) > maxChanges) return null
  // Diagonal k consists of the index pairs (i in base, i - k in text). `furthest` stores for each diagonal the largest
  // i that a path with d added and removed tokens reaches.
  const furthest = new Int16Array(2 * maxChanges + 3)
  const history: Int16Array[] = []
  for (let d = 0; d <= maxChanges; d++) {
    history.push(furthest.slice(0, maxChanges + d + 3))
    for (let k = -d; k <= d; k += 2) {
      let i = entryPoint(furthest, d, k)
      while (i < base.length && i - k < text.length && base[i] === text[i - k]) i++
      furthest[maxChanges + 1 + k] = i
      if (i >= base.length && i - k >= text.length) return backtrack(history, base.length, k)
    }
  }
  return null
}

/** Returns the index in base at which a path enters diagonal k: the d-th added or removed token leads to this place. */
function entryPoint(furthest: Int16Array, d: number, k: number): number {
  if (d === 0) return 0
  const added = furthest[maxChanges + 2 + k] as number
  return isAddition(furthest, d, k) ? added : (furthest[maxChanges + k] as number) + 1
}

function isAddition(furthest: Int16Array, d: number, k: number): boolean {
  const [removed, added] = [
    furthest[maxChanges + k] as number,
    furthest[maxChanges + 2 + k] as number
  ]
  return k === -d || (k !== d && removed < added)
}

function backtrack(history: Int16Array[], end: number, k: number): Matches {
  const matches: Matches = new Array(end).fill(-1)
  for (let d = history.length - 1; d >= 0; d--) {
    const furthest = history[d] as Int16Array
    const start = entryPoint(furthest, d, k)
    for (let i = start; i < end; i++) matches[i] = i - k
    const added = isAddition(furthest, d, k)
    end = added ? start : start - 1
    k += added ? 1 : -1
  }
  return matches
}
