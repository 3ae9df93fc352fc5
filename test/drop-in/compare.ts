// Two observations, and where they differ.
import type { Observation } from './observe.ts'

/** One thing that differs. Absent on the side that does not have it. */
export interface Difference {
  /** A name of a fact, or `log`. */
  readonly where: string
  readonly original: string | undefined
  readonly ours: string | undefined
}

/** `unordered`: lines that several tasks write at the same time have no order. */
export function compare(original: Observation, ours: Observation, unordered = false): Difference[] {
  const names = [...new Set([...original.facts.keys(), ...ours.facts.keys()])]
  const facts = names
    .filter((where) => original.facts.get(where) !== ours.facts.get(where))
    .map((where) => ({ where, original: original.facts.get(where), ours: ours.facts.get(where) }))
  const order = (lines: readonly string[]) => (unordered ? lines.toSorted() : lines)
  return [...facts, ...compareLines(order(original.log), order(ours.log))]
}

/** Level and message of a line, without what the message says after a colon, and without its fields. */
export const messageOf = (line: string): string => /^level=\w+ msg=(?:"(?:[^":\\]|\\.)*|\S+)/.exec(line)?.[0] ?? line

/** The lines that are not common, in order; a line that differs in its fields is one difference. */
function compareLines(one: readonly string[], other: readonly string[]): Difference[] {
  // lengths[i][j]: of the longest common subsequence of what follows.
  const lengths = Array.from({ length: one.length + 1 }, () => Array.from({ length: other.length + 1 }, () => 0))
  const at = (i: number, j: number): number => lengths[i]?.[j] ?? 0
  for (let i = one.length - 1; i >= 0; i--)
    for (let j = other.length - 1; j >= 0; j--) {
      const row = lengths[i]
      if (row !== undefined) row[j] = one[i] === other[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
    }
  const found: Difference[] = []
  let missing: string[] = []
  let added: string[] = []
  const flush = () => {
    for (const line of missing) {
      const twin = added.findIndex((candidate) => messageOf(candidate) === messageOf(line))
      found.push({ where: 'log', original: line, ours: twin < 0 ? undefined : added.splice(twin, 1)[0] })
    }
    for (const line of added) found.push({ where: 'log', original: undefined, ours: line })
    missing = []
    added = []
  }
  let i = 0
  let j = 0
  while (i < one.length || j < other.length) {
    if (i < one.length && j < other.length && one[i] === other[j]) {
      flush()
      i++
      j++
    } else if (i < one.length && (j >= other.length || at(i + 1, j) >= at(i, j + 1))) missing.push(one[i++] ?? '')
    else added.push(other[j++] ?? '')
  }
  flush()
  return found
}

const short = (text: string | undefined): string => {
  if (text === undefined) return '(nothing)'
  return text.length > 600 ? `${text.slice(0, 600)}… (${text.length} characters)` : text
}

export const printed = (differences: readonly Difference[]): string =>
  differences.map(({ where, original, ours }) => `${where}\n  original: ${short(original)}\n  ours:     ${short(ours)}`).join('\n')
