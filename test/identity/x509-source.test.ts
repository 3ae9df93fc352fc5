// The X.509 source shows what the agent said last, whole, and wakes nobody for what it said before.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseTrustDomain } from '../../src/spiffe/spiffe-id.ts'
import type { X509ContextMessage } from '../../src/spiffe/x509-context.ts'
import { deny, gone } from './scripted-api.ts'
import { createIssuer, id, startX509 } from './setup.ts'

const web = ['web']

/** A running source whose agent has sent one SVID. */
async function ready(t: Parameters<typeof startX509>[0], wanted?: Parameters<typeof startX509>[1]) {
  const world = startX509(t, wanted)
  const issuer = await createIssuer(world.clock)
  await world.clock.settle()
  const first = await issuer.message(web)
  world.agent().send(first)
  await world.clock.settle()
  assert.equal(world.source.current.status, 'ready')
  return { ...world, issuer, first }
}

describe('the first message', () => {
  test('is shown at once, with its bundles and without a failure', async (t) => {
    const { source, issuer, of } = await ready(t)
    const state = source.current
    assert.ok(state.status === 'ready')
    assert.equal(state.failure, undefined)
    assert.equal(state.value.svid.spiffeId, id('web'))
    const bundle = state.value.bundles.get(parseTrustDomain('example.org'))
    assert.deepEqual(
      bundle?.authorities.map(({ raw }) => raw),
      issuer.authority.bundle(),
    )
    assert.deepEqual([of('identity.connected').length, of('x509.updated').length], [1, 1])
    assert.ok(Object.isFrozen(state) && Object.isFrozen(state.value))
  })

  test('is waited for without anything to show', async (t) => {
    const { source, clock, states } = startX509(t)
    await clock.advance(9_000)
    assert.deepEqual(source.current, { status: 'waiting' })
    assert.equal(states.length, 1)
  })
})

describe('a burst', () => {
  test('is its first message at once and its newest within 250 ms', async (t) => {
    const { agent, clock, source, states, issuer } = await ready(t)
    await clock.advance(10_000)
    const messages = await Promise.all(Array.from({ length: 20 }, () => issuer.message(web)))
    const before = states.length
    for (const message of messages) agent().send(message)
    await clock.settle()
    const serials = () => (source.current.status === 'ready' ? source.current.value.svid.leaf.raw : undefined)
    const leafOf = (message?: X509ContextMessage) => message?.svids[0]?.x509_svid
    assert.deepEqual(serials(), leafOf(messages[0]))
    assert.equal(states.length, before + 1)
    await clock.advance(250)
    assert.deepEqual(serials(), leafOf(messages.at(-1)))
    assert.equal(states.length, before + 2)
    await clock.advance(60_000)
    assert.equal(states.length, before + 2)
  })

  test('that never ends is followed at least every 250 ms and at most that often', async (t) => {
    const { agent, clock, states, issuer } = await ready(t)
    const messages = await Promise.all(Array.from({ length: 100 }, () => issuer.message(web)))
    await clock.advance(10_000)
    const before = states.length
    for (const message of messages) {
      agent().send(message)
      await clock.advance(30)
    }
    const seen = states.length - before
    assert.ok(seen >= 6 && seen <= 13, `${seen} changes in 3 s`)
  })

  test('ends with the newest message even when the timer comes late', async (t) => {
    const { agent, clock, source, issuer } = await ready(t)
    const [older, newest] = [await issuer.message(web), await issuer.message(web)]
    await clock.advance(100)
    agent().send(older)
    await clock.settle()
    clock.suspend(400) // a busy event loop, or a suspend: the message is read before the timer
    agent().send(newest)
    await clock.settle()
    await clock.advance(1_000)
    assert.ok(source.current.status === 'ready')
    assert.deepEqual(source.current.value.svid.leaf.raw, newest.svids[0]?.x509_svid)
  })

  test('whose rest is still waiting does not hide that the stream was denied meanwhile', async (t) => {
    const { api, agent, clock, of, source, issuer } = await ready(t)
    await clock.advance(100)
    agent().send(await issuer.message(web))
    await clock.settle()
    api.x509.script(deny)
    deny(agent())
    await clock.settle()
    assert.equal(source.current.failure?.code, 'identity_not_issued')
    await clock.advance(2_000)
    assert.equal(of('identity.recovered').length, 0, 'nobody let us in')
    assert.equal(source.current.failure?.code, 'identity_not_issued')
  })
})

describe('equal content', () => {
  test('sent again and again publishes nothing', async (t) => {
    const { agent, clock, source, states, events, first } = await ready(t)
    const [state, before, told] = [source.current, states.length, events.length]
    for (let round = 0; round < 10; round++) {
      await clock.advance(1_000)
      agent().send({ ...first, svids: first.svids.map((svid) => ({ ...svid })) })
    }
    await clock.advance(1_000)
    assert.equal(source.current, state)
    assert.deepEqual([states.length, events.length], [before, told])
  })

  test('with the authorities in another order publishes nothing', async (t) => {
    const { agent, clock, source, issuer } = await ready(t)
    await issuer.authority.rotate()
    const message = await issuer.message(web)
    await clock.advance(1_000)
    agent().send(message)
    await clock.settle()
    const state = source.current
    const turned = Buffer.concat(issuer.authority.bundle().toReversed())
    await clock.advance(1_000)
    agent().send({ ...message, svids: message.svids.map((svid) => ({ ...svid, bundle: turned })) })
    await clock.advance(1_000)
    assert.equal(source.current, state)
  })

  test('after a new stream publishes nothing', async (t) => {
    const { api, agent, clock, source, first } = await ready(t)
    const state = source.current
    assert.ok(state.status === 'ready')
    await clock.advance(60_000)
    api.x509.script((stream) => stream.send(first))
    agent().end()
    await clock.advance(1_000)
    assert.equal(api.x509.all.length, 2)
    assert.ok(source.current.status === 'ready' && source.current.value === state.value)
    assert.equal(source.current.failure, undefined)
  })
})

test('each change of what is ours publishes once, and no change of what is not', async (t) => {
  const { agent, clock, source, issuer, first } = await ready(t)
  const [own] = first.svids
  const [other, another] = (await issuer.message(['api', 'api'])).svids
  assert.ok(own && other && another)
  const root = own.bundle
  const stranger = Buffer.concat((await createIssuer(clock)).authority.bundle())
  const federated = { 'spiffe://other.example': stranger }
  const sent = async (svids: X509ContextMessage['svids'], federated_bundles: Record<string, Buffer> = {}) => {
    const before = source.current
    agent().send({ svids, federated_bundles })
    await clock.advance(1_000)
    return source.current !== before
  }
  const ours = [{ ...own, hint: 'h' }, { ...own, x509_svid: Buffer.concat([own.x509_svid, root]) }, { ...own, bundle: stranger }, own]
  for (const svid of ours) assert.deepEqual([await sent([svid]), await sent([svid])], [true, false])
  assert.deepEqual([await sent([own], federated), await sent([own], federated), await sent([own])], [true, false, true])
  for (const svids of [[own, other], [own, another], [another, own], [own, { ...other, hint: 'x' }], [own]]) assert.equal(await sent(svids), false)
})

test('each message replaces all of the one before, SVID and bundles in one', async (t) => {
  const { agent, clock, source, states, issuer } = await ready(t)
  const federated = { 'spiffe://other.example': Buffer.concat(issuer.authority.bundle()) }
  await clock.advance(1_000)
  agent().send({ ...(await issuer.message(web)), federated_bundles: federated })
  await clock.advance(1_000)
  const names = () => (source.current.status === 'ready' ? [...source.current.value.bundles.keys()].sort() : [])
  assert.deepEqual(names(), ['example.org', 'other.example'])
  const before = states.length
  agent().send(await issuer.message(web))
  await clock.advance(1_000)
  assert.deepEqual(names(), ['example.org'])
  assert.equal(states.length, before + 1)
})

describe('a message that cannot be used', () => {
  const none = Buffer.alloc(0)
  const spoil: Record<string, (of: X509ContextMessage['svids'][number]) => object> = {
    'an empty certificate': () => ({ x509_svid: none }),
    'an empty key': () => ({ x509_svid_key: none }),
    'an empty SPIFFE ID': () => ({ spiffe_id: '' }),
    'a certificate cut short': ({ x509_svid }) => ({ x509_svid: x509_svid.subarray(0, -1) }),
    'a bundle with trailing bytes': ({ bundle }) => ({ bundle: Buffer.concat([bundle, Buffer.from([0])]) }),
    'a bundle above the limit': () => ({ bundle: Buffer.alloc((4 << 20) + 1) }),
  }
  for (const [what, change] of Object.entries(spoil))
    test(`for ${what} is told, and the last good one stays until the next good one`, async (t) => {
      const { api, agent, clock, source, of, first, issuer } = await ready(t)
      const value = source.current.status === 'ready' && source.current.value
      await clock.advance(1_000)
      agent().send({ ...first, svids: first.svids.map((svid) => ({ ...svid, ...change(svid) })) })
      await clock.advance(60_000)
      assert.ok(source.current.status === 'ready')
      assert.equal(source.current.value, value)
      assert.match(source.current.failure?.code ?? '', /^x509_(svid|bundle)_invalid$|^workload_api_too_large$/)
      assert.equal(of('identity.rejected').length, 1)
      assert.equal(api.x509.all.length, 1, 'on the same stream')
      agent().send(await issuer.message(web))
      await clock.advance(1_000)
      assert.equal(source.current.failure, undefined)
      assert.notEqual(source.current.value, value)
      assert.equal(of('identity.recovered').length, 1)
    })

  test('because it has no SVID at all is told likewise', async (t) => {
    const { agent, clock, source } = await ready(t)
    agent().send({ svids: [], federated_bundles: {} })
    await clock.advance(60_000)
    assert.deepEqual([source.current.status, source.current.failure?.code], ['ready', 'x509_svid_invalid'])
  })
})

test('an agent that is away takes nothing away, and is told once however often it is tried', async (t) => {
  const { api, agent, clock, source, states, of } = await ready(t)
  const before = states.length
  api.x509.script(gone)
  gone(agent())
  await clock.advance(60_000)
  assert.deepEqual([source.current.status, source.current.failure?.code], ['ready', 'workload_api_unreachable'])
  assert.deepEqual([states.length - before, of('identity.failing').length], [1, 1])
})
