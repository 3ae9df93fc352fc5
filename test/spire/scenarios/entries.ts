// Scenarios of registration entries: none, deleted, late, another hint, a second one.
import assert from 'node:assert/strict'
import { type Client, isFailing, isReady } from '../client.ts'
import { assertCalm, assertWithin, type Scenario, seconds } from '../scenario.ts'
import { eventually } from '../world.ts'

const web = { id: 'b', path: '/web', hint: 'internal' }
const api = { id: 'a', path: '/api' }

const graceMs = 15_000
/** A denied client asks again after two seconds and a quarter at the latest. */
const retryMs = 2_500

const deleted: Scenario = {
  number: 5,
  promise: 'shows a denial at once, acts on it after 15 s, and recovers when the entry is back',
  world: { entries: [web] },
  speed: 20,
  async run({ world, client, note }) {
    const own = client()
    const { x509, eventsOf } = own
    const { what: first } = await x509.until('there is an identity', isReady)

    // A denial that ends before the grace does is an incident and no more.
    await world.deleteEntry(web.id)
    await x509.until('the denial is told', isFailing('identity_not_issued'))
    await world.createEntry(web)
    await x509.until('the entry is back', isReady)
    assert.equal(eventsOf('identity.withdrawn').length, 0)
    assert.ok(x509.states.slice(1).every(({ what }) => what.status === 'ready'))

    const begun = world.clock.boot()
    await world.deleteEntry(web.id)
    const deletedAt = world.clock.boot()
    const { what: failing, at: deniedAt } = await x509.until('the denial is told', isFailing('identity_not_issued'))
    assertWithin(world, 'the denial', deletedAt, deniedAt, world.syncMs + 1_000)
    assert.equal(failing.status, 'ready', 'its SVID is kept for the grace')
    assert.match(failing.failure?.message ?? '', /has no identity for this process: no identity issued$/)
    assert.match(failing.failure?.remedy ?? '', /spire-server entry create .*-selector unix:uid:\d+ /)

    const { at: withdrawnAt, what: gone } = await x509.until('it is withdrawn', ({ status }) => status === 'withdrawn')
    assert.equal(gone.failure?.code, 'identity_not_issued')
    assert.match(gone.failure?.remedy ?? '', /spire-server entry create /)
    assert.ok(withdrawnAt - deniedAt >= graceMs, `withdrawn ${seconds(withdrawnAt - deniedAt)} after the denial`)
    assertWithin(world, 'the withdrawal', deniedAt, withdrawnAt, graceMs + retryMs)
    assertCalm(world, own, begun)

    await world.createEntry(web)
    const createdAt = world.clock.boot()
    const { what: again, at: backAt } = await x509.until('the entry is back', isReady)
    assertWithin(world, 'the recovery', createdAt, backAt, world.syncMs + retryMs)
    assert.ok(again.status === 'ready' && first.status === 'ready')
    assert.notEqual(again.value.svid.leaf.fingerprint256, first.value.svid.leaf.fingerprint256)
    note(
      `denial seen ${seconds(deniedAt - deletedAt)} after the deletion, withdrawn ${seconds(withdrawnAt - deniedAt)} later, back ${seconds(backAt - createdAt)} after the creation`,
    )
    assert.ok((world.mostStreams?.() ?? 1) <= 1)
  },
}

const late: Scenario = {
  number: 6,
  promise: 'asks on while there is no entry, and has its identity within 3 s of the agent knowing of one',
  world: { entries: [] },
  async run({ world, client, note }) {
    const begun = world.clock.boot()
    const own = client()
    const { what: denied } = await own.x509.until('the denial is told', isFailing('identity_not_issued'))
    assert.equal(denied.status, 'waiting')
    assert.match(denied.failure?.remedy ?? '', /spire-server entry create /)
    await world.clock.sleep(1_500, AbortSignal.timeout(60_000))
    assertCalm(world, own, begun)
    assert.equal(own.x509.states.at(-1)?.what, denied, 'the same denial is not published again and again')

    await world.createEntry(web)
    const created = world.clock.boot()
    const { at } = await own.x509.until('there is an identity', isReady)
    assertWithin(world, 'the identity', created, at, world.syncMs + 3_000)
    note(`identity ${seconds(at - created)} after the entry was created`)
    assert.deepEqual(
      await world.identities(),
      own.x509.values.map(({ what: { svid } }) => ({ spiffeId: svid.spiffeId, hint: svid.hint, leaf: svid.leaf.fingerprint256 })),
    )
  },
}

const hint: Scenario = {
  number: 7,
  promise: 'follows its hint and nothing else: an identity that loses the hint is withdrawn, one that gets it is taken',
  world: { entries: [web] },
  speed: 20,
  async run({ world, client, note }) {
    const [unbound, internal, external] = [client(), client({ hint: 'internal' }), client({ hint: 'external' })]
    const hintOf = (one: typeof unbound) => one.x509.values.at(-1)?.what.svid.hint
    await unbound.x509.until('there is an identity', isReady)
    await internal.x509.until('the hint is offered', isReady)
    const { what: missing } = await external.x509.until('the hint is missing', isFailing('identity_missing'))
    assert.equal(missing.status, 'waiting')
    assert.match(missing.failure?.message ?? '', /does not offer hint "external"; it offers .*\/web \(hint "internal"\)/)

    await world.updateEntry({ ...web, hint: 'external' })
    const updated = world.clock.boot()
    const { at: followed } = await external.x509.until('the hint came', isReady)
    assertWithin(world, 'the hint that came', updated, followed, world.syncMs + 1_000)
    const { what: losing, at: lost } = await internal.x509.until('the hint went', isFailing('identity_missing'))
    assertWithin(world, 'the hint that went', updated, lost, world.syncMs + 1_000)
    assert.equal(losing.status, 'ready')
    await unbound.x509.until('the pushed hint', () => hintOf(unbound) === 'external')
    assert.equal(hintOf(internal), 'internal')

    const { at: withdrawn } = await internal.x509.until('it is withdrawn', ({ status }) => status === 'withdrawn')
    assert.ok(withdrawn - lost >= graceMs, `withdrawn ${seconds(withdrawn - lost)} after the hint went`)
    assertWithin(world, 'the withdrawal', lost, withdrawn, graceMs + 1_000)
    note(`followed after ${seconds(followed - updated)}, withdrawn ${seconds(withdrawn - lost)} after it went`)

    await world.updateEntry(web)
    await internal.x509.until('the hint is back', isReady)
    for (const { eventsOf } of [unbound, internal, external])
      assert.equal(eventsOf('identity.connected').length, 1, 'a hint is looked for in the messages, not by new calls')
  },
}

/** The warning of the other entries says that their message has been taken. */
const firstWarning = async ({ eventsOf }: Client) => {
  const warnings = async () => eventsOf('identity.warning')
  const [warning] = await eventually('there is a warning', warnings, ({ length }) => length > 0)
  return warning
}

const second: Scenario = {
  number: 8,
  promise: 'takes the first entry once and stays with it when another comes before it',
  world: { entries: [web] },
  async run({ world, client, note }) {
    const own = client()
    await own.x509.until('there is an identity', isReady)
    await world.createEntry(api)
    const created = world.clock.boot()
    const warning = await firstWarning(own)
    note(`told of the new order ${seconds((warning?.at ?? 0) - created)} after the entry was created`)
    assert.equal(warning?.what.code, 'order_changed')
    assert.match(warning?.what.message ?? '', /\/api now comes first among the identities, but .*\/web was chosen/)

    const newcomer = client()
    const { what: state } = await newcomer.x509.until('there is an identity', isReady)
    assert.ok(state.status === 'ready')
    assert.equal(state.value.svid.spiffeId, `spiffe://${world.trustDomain}/api`)
    assert.equal(newcomer.eventsOf('identity.warning')[0]?.what.code, 'several_identities')
    const offered = await world.identities()
    assert.deepEqual(
      offered.map(({ spiffeId }) => spiffeId.split('/').at(-1)),
      ['api', 'web'],
    )
    assert.equal(own.x509.values.at(-1)?.what.svid.leaf.fingerprint256, offered[1]?.leaf)
    assert.equal(own.eventsOf('x509.updated').length, 1, 'its own SVID has not changed')
  },
}

const untouched: Scenario = {
  number: 8,
  promise: 'publishes nothing when only another entry of the same process changes',
  world: { entries: [web] },
  async run({ world, client }) {
    const own = client()
    await own.x509.until('there is an identity', isReady)
    await world.createEntry(api)
    const other = client({ wants: '/api' })
    await other.x509.until('the second entry is served', isReady)
    await firstWarning(own)
    assert.equal(own.x509.values.length, 1)
  },
}

const denials: Scenario = {
  number: 20,
  promise: 'is denied bundles, too, while there is no entry',
  world: { entries: [] },
  async run({ world, client }) {
    const own = client({ streams: ['x509', 'x509_bundles', 'jwt_bundles'] })
    for (const watched of [own.x509, own.x509Bundles, own.jwtBundles]) {
      const { what } = await watched.until('the denial is told', isFailing('identity_not_issued'))
      assert.equal(what.status, 'waiting')
    }
    await world.createEntry(web)
    for (const watched of [own.x509, own.x509Bundles, own.jwtBundles]) await watched.until('it is served', isReady)
  },
}

const verifier: Scenario = {
  number: 20,
  promise: 'has the bundles without an identity where the agent serves unauthenticated verifiers',
  notOnDev: 'the dev agent has no such setting',
  world: { entries: [], unauthenticatedVerifiers: true },
  async run({ world, client }) {
    const own = client({ streams: ['x509', 'x509_bundles', 'jwt_bundles'] })
    const { what: x509 } = await own.x509Bundles.until('there are X.509 bundles', isReady)
    const { what: jwt } = await own.jwtBundles.until('there are JWT bundles', isReady)
    assert.ok(x509.status === 'ready' && jwt.status === 'ready')
    assert.deepEqual([...x509.value.keys()], [world.trustDomain])
    assert.deepEqual([...jwt.value.keys()], [world.trustDomain])
    const { what: denied } = await own.x509.until('the SVID is denied', isFailing('identity_not_issued'))
    assert.equal(denied.status, 'waiting')
  },
}

export const entryScenarios: readonly Scenario[] = [deleted, late, hint, second, untouched, denials, verifier]
