// Scenarios of the agent itself: not there yet, restarted, replaced, cut off, silent.
import assert from 'node:assert/strict'
import { isFailing, isReady } from '../client.ts'
import { startRelay } from '../relay.ts'
import { assertCalm, assertWithin, type Scenario, seconds } from '../scenario.ts'
import { eventually } from '../world.ts'

const web = { id: 'a', path: '/web' }
const recoveryMs = 2_000

const socketMissing: Scenario = {
  number: 2,
  promise: 'waits for a socket that is missing, says so, and has an identity within 2 s of its coming',
  world: { entries: [web], agent: 'down' },
  async run({ world, client, note }) {
    const begun = world.clock.boot()
    const own = client()
    const { what: waiting } = await own.x509.until('the missing socket is told', isFailing('workload_api_unreachable'))
    assert.equal(waiting.status, 'waiting')
    assert.match(waiting.failure?.message ?? '', /^cannot connect to the Workload API at unix:\/\/\/.+: no such file$/)
    assert.match(waiting.failure?.remedy ?? '', /running.*mounted/)
    await world.clock.sleep(world.outageMs, AbortSignal.timeout(60_000))
    assert.equal(own.x509.states.at(-1)?.what, waiting, 'the same trouble is not published again and again')
    assertCalm(world, own, begun)

    const accepted = await world.startAgent()
    const { at } = await own.x509.until('there is an identity', isReady)
    assertWithin(world, 'the first identity after the socket', accepted, at, recoveryMs)
    note(`identity ${seconds(at - accepted)} after the socket accepted, ${seconds(accepted - begun)} after the start`)
  },
}

const restart: Scenario = {
  number: 3,
  promise: 'keeps its identity while the agent restarts, and streams again within 2 s',
  world: { entries: [web] },
  async run({ world, client, note }) {
    const { x509, eventsOf } = client()
    await x509.until('there is an identity', isReady)
    // A stopped agent takes its socket along, a killed one leaves it behind.
    for (const [how, why] of [
      ['SIGTERM', /no such file$/],
      ['SIGKILL', /connection refused$/],
    ] as const) {
      const before = x509.values.length
      await world.stopAgent(how)
      const { what: away } = await x509.until(`${how} is told`, isFailing('workload_api_unreachable'))
      assert.match(away.failure?.message ?? '', why)
      const accepted = await world.startAgent()
      const { at } = await x509.until(`the stream is back after ${how}`, isReady)
      assertWithin(world, `the stream after ${how}`, accepted, at, recoveryMs)
      note(`stream back ${seconds(at - accepted)} after the socket accepted again (${how})`)
      await x509.until("the new agent's SVID came", () => x509.values.length > before)
      assert.equal(x509.values.length, before + 1, 'one agent, one new SVID')
    }
    assert.ok(
      x509.states.slice(1).every(({ what }) => what.status === 'ready'),
      'the identity was there all the time',
    )
    assert.equal(eventsOf('identity.withdrawn').length, 0)
    assert.ok((world.mostStreams?.() ?? 1) <= 1, 'there was never a second stream')
  },
}

const unchanged: Scenario = {
  number: 3,
  promise: 'publishes nothing when the stream comes back with what it has already',
  world: { entries: [web] },
  async run({ world, client, note }) {
    const relay = await startRelay(`${world.path}.relay`, world.path)
    try {
      const { x509, eventsOf } = client({ path: relay.path })
      await x509.until('there is an identity', isReady)
      for (const round of [1, 2, 3]) {
        const cut = world.clock.boot()
        relay.cut()
        const back = await eventually(
          'the stream is back',
          async () => eventsOf('identity.connected').at(round)?.at,
          (at) => at !== undefined,
        )
        assertWithin(world, 'the stream after the cut', cut, back ?? Number.POSITIVE_INFINITY, recoveryMs)
        note(`stream back ${seconds((back ?? 0) - cut)} after the cut`)
      }
      await x509.until('all is well again', isReady)
      assert.equal(x509.values.length, 1)
      assert.equal(eventsOf('x509.updated').length, 1)
    } finally {
      await relay.close()
    }
  },
}

const replaced: Scenario = {
  number: 4,
  promise: 'finds another agent that has taken the place of the socket',
  world: { entries: [web] },
  async run({ world, client, note }) {
    const { x509 } = client()
    await x509.until('there is an identity', isReady)
    const killed = await world.replaceAgent()
    const { at } = await x509.until("the other agent's SVID came", () => x509.values.length > 1)
    assertWithin(world, "the other agent's SVID", killed, at, recoveryMs)
    note(`the other agent's SVID ${seconds(at - killed)} after the first one was killed`)
    const [identity] = await world.identities()
    assert.equal(x509.values.at(-1)?.what.svid.leaf.fingerprint256, identity?.leaf)
    assert.ok(x509.states.slice(1).every(({ what }) => what.status === 'ready'))
  },
}

const silent: Scenario = {
  number: 12,
  promise: 'reports an agent that takes the call and says nothing, without calling again and again',
  world: { entries: [web] },
  speed: 20,
  async run({ world, client, note }) {
    world.pauseAgent()
    const begun = world.clock.boot()
    const own = client()
    const { what: state, at } = await own.x509.until('the silence is told', isFailing('workload_api_silent'))
    assert.equal(state.status, 'waiting')
    assert.match(state.failure?.message ?? '', /took the call and has not answered for 10 s/)
    assert.ok(at - begun >= 10_000, `only ${seconds(at - begun)} of silence`)
    assert.equal(own.eventsOf('identity.disconnected').filter(({ what }) => what.wasConnected).length, 0)
    assertCalm(world, own, begun)
    assert.ok((world.mostStreams?.() ?? 1) <= 1, 'the silent call is the only one')

    const resumed = world.clock.boot()
    world.resumeAgent()
    const { at: back } = await own.x509.until('there is an identity', isReady)
    assertWithin(world, 'the identity after the silence', resumed, back, recoveryMs)
    note(`told after ${seconds(at - begun)}, identity ${seconds(back - resumed)} after the agent went on`)
  },
}

const rateLimited: Scenario = {
  number: 13,
  promise: 'waits its turn where the agent limits the streams in a second',
  notOnDev: 'the dev agent has no such limit',
  world: { entries: [web], streamsPerSecond: 1, agent: 'down' },
  async run({ world, client, note }) {
    await world.startAgent()
    const begun = world.clock.boot()
    const clients = [client(), client(), client()]
    for (const { x509 } of clients) await x509.until('its turn has come', isReady)
    for (const own of clients) assertCalm(world, own, begun)
    const refused = clients.flatMap(({ x509 }) => x509.states).filter(({ what }) => isFailing('workload_api_unavailable')(what))
    assert.ok(refused.some(({ what }) => /rate limit exceeded for /.test(what.failure?.message ?? '')))
    note(`three clients have an identity after ${seconds(world.clock.boot() - begun)} at one stream a second`)
  },
}

export const agentScenarios: readonly Scenario[] = [socketMissing, restart, unchanged, replaced, silent, rateLimited]
