// What the tests of the drop-in share: tables of inputs with what spiffe-helper v0.11.0 does with them, and short ways to ask ours.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Hcl1Error } from '../../src/spiffe-helper/hcl1.ts'
import type { Decoded } from '../../src/spiffe-helper/hcl1-decode.ts'
import { type HelperConfig, parseHelperConf, validateHelperConf } from '../../src/spiffe-helper/keys.ts'

/** One test for all rows: what goes in, and what comes out of the original, or, where the promise says that it differs, of ours. */
export function table<I>(promise: string, rows: readonly (readonly [input: I, expected: unknown])[], outcome: (input: I) => unknown): void {
  test(promise, () => {
    assert.deepEqual(
      rows.map(([input]) => [input, outcome(input)]),
      rows,
    )
  })
}

/** The message of the Hcl1Error, or what `accepted` makes of it. Anything else that is thrown is a defect. */
export function parsed<T>(text: string, accepted: (decoded: Decoded) => T): T | string {
  try {
    return accepted(parseHelperConf(text))
  } catch (error) {
    if (!(error instanceof Hcl1Error)) throw error
    return error.message
  }
}

/** The value of one key, boxed to tell it from a message, with the zero of its type where it is not set; or the unknown keys. */
export const valueOf =
  (key: string, zero: unknown = '') =>
  (text: string): unknown =>
    parsed(text, ({ values, unknown }) => (unknown.length > 0 ? { unknown } : [values[key] ?? zero]))

export interface Surroundings {
  readonly daemonMode?: boolean
  readonly env?: NodeJS.ProcessEnv
}

/** The whole of it, and the warnings on the way. Throws what is wrong. */
export function read(text: string, { daemonMode, env = {} }: Surroundings = {}): { helper: HelperConfig; warnings: string[] } {
  const warnings: string[] = []
  return { helper: validateHelperConf(parseHelperConf(text), daemonMode, env, (warning) => warnings.push(warning)), warnings }
}

/** What validation says, or "ok". */
export function verdict(text: string, surroundings?: Surroundings): string {
  try {
    read(text, surroundings)
    return 'ok'
  } catch (error) {
    assert.ok(error instanceof Error)
    return error.message
  }
}

/** A line that makes a configuration complete without saying anything of interest. */
export const enough = 'jwt_bundle_file_name = "b"\n'
