// Scenarios of certificates and who signs them: rotation, federation, a new CA, intermediates, kinds of keys.
import assert from 'node:assert/strict'
import { systemClock } from '../../../src/core/clock.ts'
import type { X509Identity } from '../../../src/identity/sources.ts'
import { createAuthority } from '../../support/dev/authority.ts'
import { isFailing, isReady, type Watched } from '../client.ts'
import { startRelay } from '../relay.ts'
import { assertWithin, type Scenario, seconds } from '../scenario.ts'
import { assertHandshake, ownRoots, publicKeyOf } from '../verify.ts'
import { eventually } from '../world.ts'

const web = { id: 'a', path: '/web' }

/** The last published identity. */
const last = (x509: Watched<X509Identity>): X509Identity => {
  const published = x509.values.at(-1)
  assert.ok(published)
  return published.what
}
const fingerprints = (roots: readonly { fingerprint256: string }[] = []): string[] => roots.map(({ fingerprint256 }) => fingerprint256).sort()

const rotation: Scenario = {
  number: 1,
  promise: 'follows every rotation: another key each time, and never a moment without a valid SVID',
  world: { entries: [{ ...web, x509: 'short' }] },
  speed: 50,
  async run({ world, client, note }) {
    const { x509, eventsOf } = client()
    await x509.until('three rotations', () => x509.values.length === 4, 90_000)
    assert.ok((world.mostStreams?.() ?? 1) <= 1, 'one stream was enough')
    const offered = await world.identities()

    assert.equal(new Set(x509.values.map(({ what }) => publicKeyOf(what))).size, x509.values.length)
    for (const [index, { what, wall }] of x509.values.entries()) {
      const before = x509.values[index - 1]
      if (before === undefined) continue
      const { notAfter, notBefore } = before.what.svid
      assert.ok(wall < notAfter, 'it came while the one before was valid')
      assert.ok(what.svid.notBefore < notAfter, 'their validities overlap')
      assert.ok(what.svid.notAfter > notAfter, 'it lives longer')
      note(`rotated with ${Math.round((100 * (notAfter - wall)) / (notAfter - notBefore))} % of its life left`)
    }
    assert.ok(
      x509.states.slice(1).every(({ what }) => isReady(what)),
      'nothing was ever wrong',
    )
    assert.deepEqual(eventsOf('identity.warning'), [])
    assert.equal(eventsOf('identity.connected').length, 1)
    assert.equal(eventsOf('identity.disconnected').length, 0)
    assert.ok(
      x509.values.some(({ what }) => what.svid.leaf.fingerprint256 === offered[0]?.leaf),
      'another client was given the same SVID',
    )
  },
}

const serverDown: Scenario = {
  number: 11,
  promise: 'keeps its SVID while nothing is signed, warns at 40 % of its life, alarms at 10 %, and recovers',
  ownServer: true,
  world: { entries: [{ ...web, x509: 'short' }] },
  speed: 50,
  async run({ world, client, note }) {
    const { x509, eventsOf } = client()
    await x509.until('there is an identity', isReady)
    await world.stopServer()
    const held = last(x509)
    const { notBefore, notAfter } = held.svid
    const left = (wall: number) => (notAfter - wall) / (notAfter - notBefore)
    const { what: late, wall: alarmed } = await x509.until('the alarm', isFailing('x509_rotation_late'))
    assert.ok(left(alarmed) <= 0.1)
    assert.ok(late.status === 'ready' && late.value === held)
    const [warning, ...more] = eventsOf('identity.warning')
    assert.equal(warning?.what.code, 'x509_rotation_late')
    assert.deepEqual(more, [])
    assert.ok(left(warning?.wall ?? 0) <= 0.4 && left(warning?.wall ?? 0) > 0.1)
    const { what: over, wall: ended } = await x509.until('the end is told', isFailing('x509_svid_expired'))
    assert.ok(ended >= notAfter)
    assert.ok(over.status === 'ready' && over.value === held, 'who signs with it is told by the failure beside it')
    assert.ok((world.mostStreams?.() ?? 1) <= 2, 'the stream was replaced once, and by one')

    await world.startServer()
    const begun = world.clock.boot()
    const { at } = await x509.until('it is signed again', () => last(x509) !== held)
    await x509.until('all is well', isReady)
    assert.notEqual(publicKeyOf(last(x509)), publicKeyOf(held))
    assert.ok(x509.states.slice(1).every(({ what }) => what.status === 'ready'))
    const percent = (wall = 0) => Math.round(100 * left(wall))
    note(`warned at ${percent(warning?.wall)} %, alarmed at ${percent(alarmed)} %, recovered ${seconds(at - begun)} after the server`)
  },
}

const endedAgain: Scenario = {
  number: 11,
  promise: 'goes on telling that its SVID has ended when the agent sends the same one again',
  ownServer: true,
  world: { entries: [{ ...web, x509: 'short' }] },
  speed: 50,
  async run({ world, client }) {
    const relay = await startRelay(`${world.path}.relay`, world.path)
    try {
      const { x509, eventsOf } = client({ path: relay.path })
      await x509.until('there is an identity', isReady)
      await world.stopServer()
      const { notAfter } = last(x509).svid
      await x509.until('the end is told', isFailing('x509_svid_expired'))
      const connected = eventsOf('identity.connected').length
      relay.cut()
      const streams = async () => eventsOf('identity.connected').length
      await eventually('the stream is back', streams, (count) => count > connected)
      await x509.until('the end is told', isFailing('x509_svid_expired'))
      for (const { what, wall } of x509.states) assert.ok(wall < notAfter || what.failure !== undefined, 'an SVID that has ended is never shown as well')
    } finally {
      await relay.close()
    }
  },
}

const federation: Scenario = {
  number: 9,
  promise: 'takes up a foreign bundle, its replacement and its removal, each in one step and apart from its own',
  world: { entries: [web] },
  async run({ world, client, note }) {
    const foreign = await createAuthority({ trustDomain: 'foreign.test', clock: systemClock })
    const bundle = async () => ({ roots: foreign.bundle(), jwks: await foreign.jwks() })
    await world.setForeignBundle('foreign.test', await bundle())
    const { x509, x509Bundles, jwtBundles } = client({ streams: ['x509', 'x509_bundles', 'jwt_bundles'] })
    await x509.until('there is an identity', isReady)
    const own = fingerprints(ownRoots(last(x509)))
    const inX509 = () => foreignIn(last(x509).bundles)?.authorities.length ?? 0
    const inX509Bundles = () => foreignIn(x509Bundles.values.at(-1)?.what)?.authorities.length ?? 0
    const inJwtBundles = () => foreignIn(jwtBundles.values.at(-1)?.what)?.keys.size ?? 0
    assert.equal(inX509(), 0, 'not federated yet')

    const arrive = async (what: string, count: number) => {
      const begun = world.clock.boot()
      await Promise.all([
        x509.until(`${what} beside the SVID`, () => inX509() === count),
        x509Bundles.until(`${what} in the X.509 bundles`, () => inX509Bundles() === count),
        jwtBundles.until(`${what} in the JWT bundles`, () => inJwtBundles() === count),
      ])
      assertWithin(world, what, begun, world.clock.boot(), world.syncMs + 2_000)
      note(`${what} after ${seconds(world.clock.boot() - begun)}`)
      assert.deepEqual(fingerprints(ownRoots(last(x509))), own, 'bundles are never merged')
    }
    await world.updateEntry({ ...web, federatesWith: ['foreign.test'] })
    await arrive('added', 1)
    assert.deepEqual(foreignIn(last(x509).bundles)?.authorities[0]?.raw, foreign.bundle()[0])
    await foreign.rotate()
    await world.setForeignBundle('foreign.test', await bundle())
    await arrive('replaced', 2)
    await world.updateEntry(web)
    await arrive('removed', 0)
    assert.deepEqual([...last(x509).bundles.keys()], [world.trustDomain])
  },
}

const foreignIn = <B>(bundles: ReadonlyMap<string, B> | undefined): B | undefined => bundles?.get('foreign.test')

const newAuthority: Scenario = {
  number: 10,
  promise: 'goes over to a new CA without a moment in which its SVID does not fit its bundle',
  alone: true,
  world: { entries: [web] },
  async run({ world, client, note }) {
    const { x509, eventsOf } = client()
    await x509.until('there is an identity', isReady)
    const old = ownRoots(last(x509))
    const issuerOf = ({ svid }: X509Identity) => svid.leaf.issuer
    const before = issuerOf(last(x509))

    await world.prepareAuthority()
    await x509.until('both CAs are in the bundle', () => ownRoots(last(x509)).length === old.length + 1)
    assert.equal(issuerOf(last(x509)), before, 'the old CA still signs')
    await world.retireAuthority()
    const begun = world.clock.boot()
    const { at } = await x509.until('the new CA has signed', () => issuerOf(last(x509)) !== before)
    assertWithin(world, 'the new SVID', begun, at, world.syncMs + 2_000)
    note(`signed by the new CA ${seconds(at - begun)} after the old one was given up`)
    if (world.revokeAuthority !== undefined) {
      await world.revokeAuthority()
      await x509.until('the old CA has left the bundle', () => ownRoots(last(x509)).length === old.length)
      assert.notDeepEqual(fingerprints(ownRoots(last(x509))), fingerprints(old))
    }
    assert.ok(
      x509.states.slice(1).every(({ what }) => what.status === 'ready'),
      'no denial was acted upon',
    )
    assert.equal(eventsOf('identity.withdrawn').length, 0)
  },
}

const intermediates: Scenario = {
  number: 17,
  promise: 'hands on the intermediates, so that the SVID verifies up to the root above SPIRE',
  world: { entries: [{ ...web, x509: 'short' }], authority: 'intermediate' },
  async run({ client, note }) {
    const { x509 } = client()
    await x509.until('there is an identity', isReady)
    const identity = last(x509)
    const { leaf, intermediates: chain } = identity.svid
    const roots = ownRoots(identity)
    note(`a chain of ${chain.length} intermediate and a bundle of ${roots.length} root`)
    assert.ok(chain.length >= 1)
    assert.ok(!roots.some((root) => leaf.verify(root.publicKey)), 'the root has not signed the leaf itself')
    assert.ok(!chain.some(({ fingerprint256 }) => fingerprints(roots).includes(fingerprint256)), 'the root is no part of the chain')
    assert.ok(
      roots.every((root) => root.verify(root.publicKey) && root.checkIssued(root)),
      'the bundle holds roots',
    )
    await assertHandshake(identity)
    await assert.rejects(assertHandshake({ ...identity, svid: { ...identity.svid, intermediates: [] } }))
  },
}

const keyScenario = (workloadKey: 'ec-p384' | 'rsa-2048'): Scenario => ({
  number: 19,
  promise: `takes a workload key of the kind ${workloadKey}`,
  world: { entries: [web], workloadKey },
  async run({ client }) {
    const { x509 } = client()
    await x509.until('there is an identity', isReady)
    const { asymmetricKeyType, asymmetricKeyDetails } = last(x509).svid.privateKey
    if (workloadKey === 'rsa-2048') assert.equal(asymmetricKeyDetails?.modulusLength, 2048)
    else assert.equal(asymmetricKeyDetails?.namedCurve, 'secp384r1')
    assert.equal(asymmetricKeyType, workloadKey === 'rsa-2048' ? 'rsa' : 'ec')
    await assertHandshake(last(x509))
  },
})

export const authorityScenarios: readonly Scenario[] = [
  rotation,
  serverDown,
  endedAgain,
  federation,
  newAuthority,
  intermediates,
  keyScenario('ec-p384'),
  keyScenario('rsa-2048'),
]
