// A promise that ours keeps and the original does not: both play the same case, and what it came to is noted by its steps.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Case, comparesItself, playBoth } from './case.ts'

/** By name of a note or another fact. */
type Facts = Readonly<Record<string, string | RegExp>>

function check(who: string, facts: ReadonlyMap<string, string>, log: readonly string[], expected: Facts): void {
  for (const [name, value] of Object.entries(expected)) {
    const found = name === 'log' ? log.join('\n') : (facts.get(name) ?? '(nothing)')
    if (typeof value === 'string') assert.equal(found, value, `${who}: ${name}\n${log.join('\n')}`)
    else assert.match(found, value, `${who}: ${name}`)
  }
}

/** The case's name is the promise. */
export function better(one: Case, expected: { readonly original: Facts; readonly ours: Facts }, apart = false): void {
  test(one.name, { timeout: 150_000 }, async (t) => {
    const { original, ours } = await playBoth(one, apart)
    for (const [name, value] of original.facts) if (name.startsWith('measured')) t.diagnostic(`${name}: original ${value}, ours ${ours.facts.get(name)}`)
    check('original', original.facts, original.log, expected.original)
    if (!comparesItself) check('ours', ours.facts, ours.log, expected.ours)
  })
}
