// The matrix: each SDK at each surface, all at the same time, through rotations of keys and tokens, and an outage of the agent and of AWS's issuing.
// Sessions live half a minute here; for SDKs that do something else at IMDS with so little life left see hours.test.ts.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import type { Environment } from '../sdk/support.ts'
import { eventually } from '../support/eventually.ts'
import { keepCalling, startProgram } from './cell.ts'
import { atEnd, type Sdk, sdks } from './clients.ts'
import { type House, openHouse } from './house.ts'
import { openLedger } from './ledger.ts'
import { openPublicSts } from './public-sts.ts'
import { type SurfaceName, surfaceNames, surfaces } from './surfaces.ts'
import { findTools } from './tools.ts'

const sessionSeconds = 30
const outageMs = 18_000

interface Cell {
  readonly name: string
  readonly title: string
  readonly sdk: Sdk
  readonly surface: SurfaceName
}

const cells: readonly Cell[] = Object.entries<Sdk>(sdks).flatMap(([id, sdk]) =>
  surfaceNames
    .filter((surface) => sdk.how[surface] !== undefined && !(sdk.hoursAtImds && surface === 'imds'))
    .map((surface) => ({ name: `${id}-${surface}`, title: `${sdk.title} by ${surfaces[surface].title}`, sdk, surface })),
)

const isProcess = ({ surface }: Cell): boolean => 'eachProcess' in surfaces[surface]

describe('the matrix', () => {
  let house: House
  let ledger: ReturnType<typeof openLedger>
  const closing: (() => Promise<void>)[] = []
  const running = new Map<Cell, ReturnType<typeof keepCalling>>()
  /** By performance.now(): the outage, and the end of the test. */
  const mark = { out: 0, back: 0 }

  const keysOf = ({ name }: Cell, from: number, to: number) => [
    ...new Set(ledger.of(name).flatMap(({ at, status, key }) => (key !== undefined && status === 200 && at >= from && at < to ? [key] : []))),
  ]
  /** The cells of which that is not so yet. */
  const without = (good: (cell: Cell) => boolean) => cells.filter((cell) => !good(cell)).map(({ title }) => title)
  const until = (what: string, seconds: number, good: (cell: Cell) => boolean) =>
    eventually(what, () => without(good).length === 0, seconds * 1000).catch(() => {}) // the cells' own tests say which
  const freshTokens = ({ name }: Cell, from: number) =>
    ledger.of(name).filter(({ at, tokenIssued }) => at >= from && tokenIssued !== undefined && tokenIssued * 1000 >= performance.timeOrigin + from - 1000)
  const served = (from: number, to = Number.POSITIVE_INFINITY) => ledger.served.filter(({ at }) => at >= from && at < to).map(({ key }) => key)
  const isBack = (cell: Cell) =>
    cell.surface === 'file'
      ? freshTokens(cell, mark.back).length > 0
      : keysOf(cell, mark.back, Number.POSITIVE_INFINITY).some((key) => served(mark.back).includes(key))

  before(async () => {
    const startWithPublicSts = async ({ name, sdk }: Cell, environment: Environment) => {
      const sts = await openPublicSts(house.place.folder, `${house.world.aws.checkingUrl}/${name}`)
      closing.push(sts.stop)
      return startProgram({ ...sdk, command: (installed) => sts.command(sdk.command(installed)) }, tools, sts.environment(environment))
    }
    const tools = findTools()
    house = await openHouse({ sessionSeconds, jwtTtlSeconds: 60 })
    ledger = openLedger(house.world.aws, house.currentKey)
    for (const cell of cells) {
      const environment = await house.environment(cell.surface, cell.name)
      const program = await (cell.sdk.publicSts && cell.surface === 'file'
        ? startWithPublicSts(cell, environment)
        : startProgram(cell.sdk, tools, environment, isProcess(cell)))
      // A command for each call, or for each set of credentials, is a process each time.
      // Each start of a process costs half a second of a machine that has two.
      const pauseMs = isProcess(cell) ? 7000 : cell.sdk.eachCall ? 2500 : cell.surface === 'process' || cell.surface === 'curl' ? 1500 : 300
      running.set(cell, keepCalling(program, pauseMs))
    }
    await until('two keys in each cell', sessionSeconds * 2, (cell) => keysOf(cell, 0, Number.POSITIVE_INFINITY).length > 1)
    // Whoever holds the token that is replaced has until the end of the overlap to read the other one.
    await house.svidecar('rotate-token', 'app')
    const held = ledger.served.length
    await eventually('new credentials', () => ledger.served.length > held, sessionSeconds * 1000)

    mark.out = performance.now()
    house.world.agent.setBehaviour({ code: status.UNAVAILABLE, details: 'the agent is away' })
    house.world.aws.setFault({ status: 503 })
    await setTimeout(outageMs)
    house.world.agent.setBehaviour('serve')
    house.world.aws.setFault(undefined)
    mark.back = performance.now()
    await until('new credentials in each cell', sessionSeconds * 2, isBack)
    await quiet()
  })
  const quiet = async () => {
    await Promise.all([...running.values()].map(({ stop }) => stop()))
    await ledger?.close()
  }
  after(async () => {
    await quiet()
    for (const close of closing) await close()
    await house?.stop()
  })

  it('had an outage in which svidecar tried to renew, and failed', () => {
    assert.ok(ledger.issuing.includes(503), ledger.issuing.join())
    assert.deepEqual(served(mark.out + 500, mark.back), [])
  })

  for (const cell of cells)
    it(`${cell.title}: calls before, in and after an outage, with keys that change`, () => {
      const { calls } = running.get(cell) ?? { calls: [] }
      const late = cell.sdk.how[cell.surface] === atEnd ? calls.find(({ error }) => error === 'ExpiredToken') : undefined
      const bad = calls.filter((call) => call.arn === undefined && call !== late)
      assert.deepEqual(bad, [], `${bad.length} of ${calls.length} calls failed`)
      assert.deepEqual(
        ledger.of(cell.name).filter(({ status, error = '' }) => status !== 200 && !(late && error.startsWith('ExpiredToken:'))),
        [],
        'AWS takes every request',
      )
      const during = calls.filter(({ from, to }) => from > mark.out && to < mark.back)
      // On a busy machine a command takes seconds.
      assert.ok(during.length > (cell.sdk.eachCall || isProcess(cell) ? 0 : 2), `${during.length} calls in the outage`)
      assert.ok(keysOf(cell, 0, mark.out).length > 1, 'a rotation before the outage')
      if (cell.surface !== 'file') {
        const known = served(0, mark.out + 500)
        for (const key of keysOf(cell, mark.out, mark.back)) assert.ok(known.includes(key), 'the last good credentials in the outage')
      }
      assert.ok(isBack(cell), 'what was issued after the outage')
    })
})
