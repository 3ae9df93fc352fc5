// SDKs that give IMDS credentials another end when little of their life is left: hours go by in minutes here. The daemon and AWS live
// in a time that the test moves, and libfaketime gives the programs the same.
import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type House, openHouse, worldOf } from '../sdk/support.ts'
import { eventually } from '../support/eventually.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { type Program, startProgram } from './cell.ts'
import { type Sdk, sdks } from './clients.ts'
import { imdsOf, standIn } from './servers.ts'
import { findTools } from './tools.ts'

const minute = 60_000
const [library] = globSync('/usr/lib/*/faketime/libfaketime.so.1')
const several = Object.entries<Sdk>(sdks).filter(([, sdk]) => sdk.hoursAtImds)

describe('hours at IMDS', { concurrency: 1 }, () => {
  const clock = createFakeClock(Math.floor(Date.now() / 1000) * 1000)
  const tools = findTools()
  let house: House
  let timeFile: string
  const programs = new Map<string, Program>()
  const stopping: (() => Promise<unknown>)[] = []

  before(async () => {
    assert.ok(library, 'this test needs libfaketime: apt-get install libfaketime')
    house = await openHouse(worldOf(3600, clock), clock)
    stopping.push(house.stop)
    timeFile = join(house.runtimeDirectory, '..', 'time')
    await goTo(0)
    await eventually('credentials', fresh)
    for (const [id, sdk] of several) programs.set(id, start(id, sdk))
  })
  after(async () => {
    for (const stop of stopping.reverse()) await stop()
  })

  const fresh = () => house.events.findLast((event) => event.type === 'credentials.fresh' && event.profile === 'app') as { refreshAt: number } | undefined
  const start = (id: string, sdk: Sdk, change: Record<string, string> = {}) => {
    const environment = {
      ...house.environment('IMDS', 'app'),
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_ENDPOINT_URL_STS: `${house.world.aws.checkingUrl}/${id}`,
      LD_PRELOAD: library ?? '',
      FAKETIME_TIMESTAMP_FILE: timeFile,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      TZ: 'UTC',
      ...change,
    }
    const program = startProgram(sdk, tools, environment)
    stopping.push(program.end)
    return program
  }
  /** To an instant of the boot clock. */
  async function goTo(boot: number): Promise<void> {
    await clock.advance(Math.max(0, boot - clock.boot()))
    await writeFile(timeFile, new Date(clock.now()).toISOString().slice(0, 19).replace('T', ' '))
  }
  /** The same, with time for the exchanges on the way. */
  async function liveTo(boot: number): Promise<void> {
    for (let due = fresh()?.refreshAt ?? 0; due <= boot; due = fresh()?.refreshAt ?? 0) {
      await goTo(due)
      await eventually('a renewal', () => (fresh()?.refreshAt ?? 0) > due)
    }
    await goTo(boot)
  }
  /** The key with which the last call of a program was signed. */
  const keyOf = (id: string) => {
    const last = house.world.aws.requests.findLast(({ url, listener }) => listener === 'checking' && url.startsWith(`/${id}`))
    return /Credential=([^/]+)/.exec(last?.headers['authorization'] ?? '')?.[1]
  }
  const sign = async (id: string, program: Program) => {
    const { arn, ...problem } = await program.call('identity')
    assert.deepEqual(problem, {})
    assert.match(arn ?? '', /:assumed-role\/web\//)
    return keyOf(id)
  }

  /** Serves the same credentials for ever, as whoever does not renew them ahead of their end does; starts a program ten seconds before that. */
  const startLate = async (id: keyof typeof sdks) => {
    const { body } = await house.read('IMDS', 'app')
    const server = await standIn(imdsOf(() => body))
    stopping.push(server.stop)
    const expiration = Date.parse((JSON.parse(body) as { Expiration: string }).Expiration)
    await liveTo(clock.boot() + expiration - clock.now() - 10_000)
    return start(`${id}-late`, sdks[id], { AWS_EC2_METADATA_SERVICE_ENDPOINT: server.url })
  }

  it('boto3 gives credentials with seconds left another end, and goes on with them when they have ended', async () => {
    const program = await startLate('boto3')
    await sign('boto3-late', program)
    await liveTo(clock.boot() + 2 * minute)
    const { error } = await program.call('identity')
    assert.equal(error, 'ExpiredToken')
  })

  it('JavaScript v2 never comes back from a call when credentials have seconds left: it means to log that, and has no logger', async () => {
    const program = await startLate('javascript2')
    const outcome = await Promise.race([program.call('identity'), setTimeout(5000, 'nothing', { ref: false })])
    assert.equal(outcome, 'nothing')
  })

  for (const [id, sdk] of several) {
    it(`${sdk.title} makes every call of three hours, since credentials of svidecar never have so little left`, async () => {
      const keys = new Set<unknown>()
      const program = programs.get(id)
      assert.ok(program)
      for (const end = clock.boot() + 180 * minute; clock.boot() < end; await liveTo(clock.boot() + 2 * minute)) keys.add(await sign(id, program))
      assert.ok(keys.size > 3, `${keys.size} keys`)
    })

    it(`${sdk.title} makes every call while AWS issues nothing for twenty minutes, and has new credentials afterwards`, async () => {
      const program = programs.get(id)
      assert.ok(program)
      await liveTo((fresh()?.refreshAt ?? 0) - 1000)
      await house.world.aws.closeIssuing()
      const told = house.events.length
      const last = fresh()
      for (let passed = 0; passed <= 20; passed++) {
        await goTo(clock.boot() + minute)
        await sign(id, program)
      }
      assert.equal(fresh(), last)
      assert.ok(house.events.slice(told).some(({ type }) => type === 'exchange.failed'))
      await house.world.aws.openIssuing()
      await eventually('new credentials', async () => {
        if (fresh() !== last) return true
        await goTo(clock.boot() + 1000)
        return false
      })
      const before = keyOf(id)
      for (let passed = 0; passed < 60; passed++) {
        await liveTo(clock.boot() + minute)
        await sign(id, program)
      }
      assert.notEqual(keyOf(id), before)
    })
  }
})
