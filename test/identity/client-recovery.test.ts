// After any outage of a real agent, by clock ten minutes, its next message is here within 2 s of its socket.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createChoice } from '../../src/identity/choice.ts'
import { createX509Source } from '../../src/identity/workload-api/x509-source.ts'
import { type Agent, startAgent } from '../support/dev/agent.ts'
import { createAuthority } from '../support/dev/authority.ts'
import { eventually } from '../support/eventually.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { connect, temporaryFolder } from './grpc-agent.ts'

const web = { id: 'web', spiffeId: 'spiffe://dev.local/web' }

async function world(t: TestContext) {
  const clock = createFakeClock()
  const address = `unix://${join(await temporaryFolder(t), 'agent.sock')}`
  const authority = await createAuthority({ trustDomain: 'dev.local', clock })
  const controller = new AbortController()
  const { source, run } = createX509Source({
    identity: 'default',
    api: connect(address, clock),
    choice: createChoice({}, () => {}),
    clock,
    random: () => 0.999,
    emit: () => {},
    explain: (failure) => failure,
  })
  const ended = run(controller.signal)
  t.after(async () => {
    controller.abort()
    await ended.catch(() => {})
    await eventually('no timer is left', () => clock.sleeping === 0)
  })
  const agent = async (): Promise<Agent> => {
    const started = await startAgent({ address, authority, clock: held, x509TtlSeconds: 86_400, jwtTtlSeconds: 60, entries: [web] })
    t.after(() => started.stop('abrupt'))
    return started
  }
  return { clock, source, agent, code: () => source.current.failure?.code, controller, ended }
}

/** The agent's own timers stand still, so that only the client's are counted. */
const held = { ...createFakeClock(), now: () => Date.UTC(2026, 0, 1) }

/** Ten minutes, of which most are slept through: attempts are made at their slowest pace at the end. */
async function tenMinutes(clock: FakeClock): Promise<void> {
  await clock.advance(2_000)
  clock.suspend(595_000)
  await clock.advance(3_000)
}

/** Steps of a tenth of a second until it is so; returns how much time that took by the clock. */
async function until(clock: FakeClock, what: string, probe: () => boolean): Promise<number> {
  const from = clock.boot()
  await eventually(what, async () => {
    if (probe()) return true
    await clock.advance(100)
    return probe()
  })
  return clock.boot() - from
}

test('the socket appears ten minutes late', async (t) => {
  const { clock, source, agent, code } = await world(t)
  await eventually('the first attempt has failed', () => code() === 'workload_api_unreachable')
  await tenMinutes(clock)
  assert.equal(source.current.status, 'waiting')
  await agent()
  assert.ok((await until(clock, 'it is ready', () => source.current.status === 'ready')) <= 2_000)
  assert.equal(code(), undefined)
})

for (const how of ['graceful', 'abrupt'] as const)
  test(`the agent ends (${how}) and comes back after ten minutes, with nothing new`, async (t) => {
    const { clock, source, agent, code } = await world(t)
    const first = await agent()
    await until(clock, 'it is ready', () => source.current.status === 'ready')
    const { status } = source.current
    await first.stop(how)
    await eventually('the end is noticed', () => code() !== undefined)
    await tenMinutes(clock)
    assert.deepEqual([source.current.status, code()], [status, 'workload_api_unreachable'])
    await agent()
    assert.ok((await until(clock, 'it is ready again', () => code() === undefined)) <= 2_000)
    assert.equal(source.current.status, 'ready')
  })

test('an end of the task ends the real stream within a second', async (t) => {
  const { clock, source, agent, controller, ended } = await world(t)
  const running = await agent()
  await until(clock, 'it is ready', () => source.current.status === 'ready')
  assert.equal(running.openStreams, 1)
  controller.abort()
  await ended
  await eventually('the stream is closed', () => running.openStreams === 0, 1_000)
  assert.equal(clock.sleeping, 0)
})
