/** Returns the value below which `share` (0 to 1) of the values lie; NaN for no value. */
export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length * share)] ?? Number.NaN
}

export const round = (value: number, digits: number) => Number(value.toFixed(digits))

export const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)
