// Set.prototype has these functions since Node 22, Safari 17 and Chrome 122. The client runs on older versions, too.

/** Returns the values of `a` that `b` does not have, in the order of `a`. */
export function difference<Value>(a: Set<Value>, b: Set<Value>): Set<Value> {
  return new Set([...a].filter(value => !b.has(value)))
}

/** Returns the values that both sets have, in the order of `a`. */
export function intersection<Value>(a: Set<Value>, b: Set<Value>): Set<Value> {
  return new Set([...a].filter(value => b.has(value)))
}

export function isSubset<Value>(a: Set<Value>, b: Set<Value>): boolean {
  return [...a].every(value => b.has(value))
}

export function isDisjoint<Value>(a: Set<Value>, b: Set<Value>): boolean {
  return ![...a].some(value => b.has(value))
}
