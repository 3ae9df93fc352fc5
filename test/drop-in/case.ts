// A case: one situation that both programs are put into; and a suite of them, one test each.
import assert from 'node:assert/strict'
import { appendFileSync, chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { compare, printed } from './compare.ts'
import { allowed, differences, type SuiteName } from './differences.ts'
import { ordinary, type Serving } from './material.ts'
import type { Observation } from './observe.ts'
import { findPrograms } from './programs.ts'
import { observe, places, type Run } from './run.ts'

/** Where one run of a program lives. In texts of a case {dir}, {etc}, {socket} and {port} stand for them. */
export interface Places {
  /** Where the program starts; its files are compared. */
  readonly dir: string
  /** The configuration, the agent's socket, and `child`, a program for `cmd`. */
  readonly etc: string
  readonly socket: string
  readonly port: number
}

/** What happens while a program runs. */
export type Steps = (run: Run) => Promise<void>

export interface Case {
  readonly name: string
  /** The text of the configuration file. None: no file. */
  readonly config?: string | Buffer
  /** With -daemon-mode=false, unless `args` say otherwise: the run ends by itself. */
  readonly oneShot?: boolean
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly umask?: string
  readonly uid?: number
  /** Shell commands in a mount namespace of its own, each with its semicolon. */
  readonly before?: string
  /** What is in the folders before the program starts. */
  readonly setup?: (where: Places) => void
  /** What else is there while the program runs; the answer takes it away. */
  readonly prepare?: (where: Places) => Promise<() => void>
  /** What the agents serve from the start; the same bytes to both programs. */
  readonly serve?: () => Promise<Partial<Serving>>
  readonly agent?: 'down'
  /** What happens meanwhile. None: a daemon is stopped after its first write. */
  readonly steps?: Steps
  /** Several tasks log at the same time. */
  readonly unordered?: boolean
  /** Equal lines count once. */
  readonly collapse?: boolean
}

const programs = findPrograms()
/** The original runs on both sides. */
export const comparesItself = programs.self

function show(one: Case, { facts, log }: Observation): void {
  console.error([one.name, ...[...facts].map(([name, value]) => `${name}: ${value.length > 200 ? `${value.length} characters` : value}`), ...log].join('\n   '))
}

/** Plays a case with both programs at the same time, or one after the other. */
export async function playBoth(one: Case, apart = false): Promise<{ original: Observation; ours: Observation }> {
  const base = mkdtempSync(join(tmpdir(), 'di-'))
  chmodSync(base, 0o755)
  try {
    const serving = { ...(await ordinary()), ...(await one.serve?.()) }
    const first = observe(programs.original, one, serving, places(base, 'a'))
    if (apart) await first
    const [original, ours] = await Promise.all([first, observe(programs.ours, one, serving, places(base, 'b'))])
    if (process.env['SVIDECAR_DROP_IN_SHOW'] !== undefined) show(one, original)
    return { original, ours }
  } finally {
    if (process.env['SVIDECAR_DROP_IN_KEEP'] === undefined) rmSync(base, { recursive: true, force: true })
  }
}

/** Throws where the two differ without an excuse. Returns the excuses. */
async function compareOne(suite: SuiteName, one: Case): Promise<ReadonlySet<string>> {
  const { original, ours } = await playBoth(one)
  const used = new Set<string>()
  const left = compare(original, ours, one.unordered).filter((difference) => {
    const excuse = comparesItself ? undefined : allowed(suite, { one, difference, original, ours })
    if (excuse !== undefined) used.add(excuse)
    return excuse === undefined
  })
  const list = process.env['SVIDECAR_DROP_IN_LIST']
  if (list !== undefined) for (const difference of left) appendFileSync(list, `${JSON.stringify({ suite, name: one.name, ...difference })}\n`)
  assert.equal(printed(left), '', `${one.name}: the two differ`)
  return used
}

/** One test for each case, and one that every difference listed for this suite was met. */
export function compareAll(suite: SuiteName, cases: readonly Case[], concurrency = 4): void {
  const used = new Set<string>()
  let played = 0
  describe(suite, { concurrency }, () => {
    for (const one of cases)
      test(one.name, { timeout: 90_000 }, async () => {
        for (const id of await compareOne(suite, one)) used.add(id)
        played++
      })
  })
  test(`every difference listed for ${suite} was met`, () => {
    const names = cases.map(({ name }) => name)
    assert.deepEqual(
      names.filter((name, n) => names.indexOf(name) !== n),
      [],
      'names of cases are unique',
    )
    if (comparesItself || played < cases.length) return
    const listed = differences.filter((one) => 'suites' in one && one.suites.includes(suite)).map(({ id }) => id)
    assert.deepEqual(
      listed.filter((id) => !used.has(id)),
      [],
      'these entries of differences.ts excuse nothing any more',
    )
  })
}
