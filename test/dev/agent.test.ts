// The dev agent behaves as SPIRE's does, and misbehaves when told.
import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { status } from '@grpc/grpc-js'
import { type Agent, type AgentOptions, startAgent } from '../support/dev/agent.ts'
import { type Authority, createAuthority } from '../support/dev/authority.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { type PlainClient, plainClient, temporaryFolder } from './support.ts'

interface Svid {
  spiffe_id: string
  x509_svid: Buffer
  x509_svid_key: Buffer
  bundle: Buffer
  hint: string
}

interface Setup {
  clock: FakeClock
  authority: Authority
  agent: Agent
  client: PlainClient
}

const web = { id: 'b', spiffeId: 'spiffe://dev.local/web' }
const api = { id: 'a', spiffeId: 'spiffe://dev.local/api' }

async function setup(t: TestContext, options: Partial<AgentOptions> = {}): Promise<Setup> {
  const clock = createFakeClock()
  const authority = await createAuthority({ trustDomain: 'dev.local', intermediate: true, clock })
  const address = `unix://${await temporaryFolder(t)}/agent.sock`
  const times = { x509TtlSeconds: 60, jwtTtlSeconds: 60, random: () => 0.5 }
  const agent = await startAgent({ address, authority, clock, entries: [web], ...times, ...options })
  t.after(() => agent.stop('abrupt'))
  return { clock, authority, agent, client: plainClient(t, agent.address) }
}

const svidsOf = (message: { svids?: unknown } | undefined): Svid[] => message?.svids as Svid[]
const leafOf = (message: { svids?: unknown } | undefined, at = 0): X509Certificate => new X509Certificate(svidsOf(message)[at]?.x509_svid ?? Buffer.alloc(0))
const idsOf = async (client: PlainClient) => svidsOf(await client.stream('FetchX509SVID').next()).map(({ spiffe_id }) => spiffe_id)
const bundleOf = (message: { bundles?: unknown } = {}, id = 'spiffe://dev.local'): Buffer | undefined => (message.bundles as Record<string, Buffer>)[id]
const keysOf = (message: { bundles?: unknown } | undefined, id?: string): object[] => {
  const bytes = bundleOf(message, id)
  return (JSON.parse(bytes?.toString() ?? '') as { keys: object[] }).keys
}
/** Comes back later than whatever was sent before it: nothing knows this method. */
const roundTrip = (client: PlainClient) => assert.rejects(client.stream('FetchWITSVID').next(), { code: status.UNIMPLEMENTED })
const denied = { code: status.PERMISSION_DENIED, details: 'no identity issued' }

test('sends the whole X.509 state at once: chain, matching key, bundle', async (t) => {
  const { authority, client } = await setup(t)
  const message = await client.stream('FetchX509SVID').next()
  const [svid] = svidsOf(message)
  assert.ok(svid)
  assert.equal(svid.spiffe_id, web.spiffeId)
  const leaf = leafOf(message)
  const intermediate = new X509Certificate(svid.x509_svid.subarray(leaf.raw.length))
  assert.equal(leaf.raw.length + intermediate.raw.length, svid.x509_svid.length)
  assert.ok(leaf.verify(intermediate.publicKey))
  assert.deepEqual(svid.bundle, authority.bundle()[0])
  assert.ok(intermediate.verify(new X509Certificate(svid.bundle).publicKey))
  assert.ok(leaf.checkPrivateKey(createPrivateKey({ key: svid.x509_svid_key, format: 'der', type: 'pkcs8' })))
})

for (const header of [[], ['false'], ['True'], ['true', 'true']])
  test(`refuses every call with the header ${JSON.stringify(header)}`, async (t) => {
    const { agent, client } = await setup(t)
    const refused = { code: status.INVALID_ARGUMENT, details: 'security header missing from request' }
    for (const method of ['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTBundles']) await assert.rejects(client.stream(method, header).next(), refused)
    for (const method of ['FetchJWTSVID', 'ValidateJWTSVID']) await assert.rejects(client.unary(method, { audience: [] }, header), refused)
    assert.deepEqual(agent.calls.map(({ method, headerOk }) => `${method} ${headerOk}`).toSorted(), [
      'FetchJWTBundles false',
      'FetchJWTSVID false',
      'FetchX509Bundles false',
      'FetchX509SVID false',
      'ValidateJWTSVID false',
    ])
    assert.ok(await client.stream('FetchX509SVID', ['true']).next())
    assert.equal(agent.calls.at(-1)?.headerOk, true)
  })

test('renews when half of the life is left, with a new key, and hands everybody the same', async (t) => {
  const { agent, clock, client } = await setup(t)
  const [one, other] = [client.stream('FetchX509SVID'), client.stream('FetchX509SVID')]
  const [first, same] = [await one.next(), await other.next()]
  assert.deepEqual(first, same)
  await clock.advance(24_999)
  agent.push()
  assert.deepEqual([await one.next(), await other.next()], [first, same], 'not before half of its 60 s and 10 s of cushion is left')
  await clock.advance(1)
  const [second, again] = [await one.next(), await other.next()]
  assert.deepEqual(second, again)
  assert.notDeepEqual(svidsOf(second)[0]?.x509_svid_key, svidsOf(first)[0]?.x509_svid_key)
  assert.equal(leafOf(second).validToDate.getTime(), clock.now() + 60_000)
})

test('renews between 10 % sooner and 10 % later, but not before a quarter of the TTL', async (t) => {
  for (const [x509TtlSeconds, draw, expected] of [
    [60, 0, 28_500], // 35 s are half of the life: 10 % less are left
    [60, 1, 21_500],
    [3600, 0, 1_975_500],
    [3600, 1, 1_614_500],
    [10, 1, 2500], // 11 s would have to be left of 10
  ] as const) {
    const { agent, clock, client } = await setup(t, { x509TtlSeconds, random: () => draw })
    const stream = client.stream('FetchX509SVID')
    const first = leafOf(await stream.next())
    await clock.advance(expected - 1)
    agent.push()
    assert.deepEqual(leafOf(await stream.next()).raw, first.raw)
    await clock.advance(1)
    assert.notDeepEqual(leafOf(await stream.next()).raw, first.raw)
  }
})

test('renews nothing while it is told to hold', async (t) => {
  const { clock, agent, client } = await setup(t)
  const stream = client.stream('FetchX509SVID')
  const first = leafOf(await stream.next())
  agent.setBehaviour('hold-rotation')
  assert.deepEqual(leafOf(await stream.next()).raw, first.raw)
  await clock.advance(25_000)
  agent.push()
  assert.deepEqual(leafOf(await stream.next()).raw, first.raw)
  agent.setBehaviour('serve')
  assert.deepEqual(leafOf(await stream.next()).raw, first.raw)
  assert.notDeepEqual(leafOf(await stream.next()).raw, first.raw)
})

test('orders SVIDs by entry ID and gives a hint to its oldest entry only', async (t) => {
  const { agent, client } = await setup(t, { entries: [{ ...web, hint: 'same' }] })
  agent.addEntry({ ...api, hint: 'same' })
  const stream = client.stream('FetchX509SVID')
  const svids = svidsOf(await stream.next())
  assert.deepEqual(
    svids.map(({ spiffe_id, hint }) => [spiffe_id, hint]),
    [
      [api.spiffeId, ''],
      [web.spiffeId, 'same'],
    ],
  )
  agent.deleteEntry(web.id)
  // What the added entry gave cause to may still be on its way.
  let left = svids
  while (left.length > 1) left = svidsOf(await stream.next())
  assert.equal(left[0]?.hint, 'same')
})

test('pushes a change of an entry, freshly signed', async (t) => {
  const { agent, client } = await setup(t)
  const stream = client.stream('FetchX509SVID')
  const before = leafOf(await stream.next())
  agent.updateEntry(web.id, { hint: 'new', dnsNames: ['web.dev'], keyType: 'ec-p384' })
  const message = await stream.next()
  assert.equal(svidsOf(message)[0]?.hint, 'new')
  assert.notEqual(leafOf(message).serialNumber, before.serialNumber)
  assert.match(leafOf(message).subject, /CN=web\.dev/)
  assert.equal(leafOf(message).publicKey.asymmetricKeyDetails?.namedCurve, 'secp384r1')
  assert.throws(() => agent.updateEntry('nobody', {}), /no entry nobody/)
})

test('ends streams with PermissionDenied when the last entry goes, and serves again when one comes', async (t) => {
  const { agent, client } = await setup(t)
  const streams = ['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTBundles'].map((method) => client.stream(method))
  for (const stream of streams) await stream.next()
  assert.equal(agent.openStreams, 3)
  agent.deleteEntry(web.id)
  for (const stream of streams) await assert.rejects(stream.next(), denied)
  await assert.rejects(client.stream('FetchX509SVID').next(), denied)
  await assert.rejects(client.unary('FetchJWTSVID', { audience: ['x'] }), denied)
  assert.equal(agent.openStreams, 0)
  agent.addEntry(web)
  assert.equal(svidsOf(await client.stream('FetchX509SVID').next()).length, 1)
})

test('a first message waits for what is being signed, and a deleted entry does not come back signed', async (t) => {
  const { agent, clock, client } = await setup(t)
  agent.addEntry({ ...api, keyType: 'rsa-2048' }) // takes longer than the call
  assert.equal(svidsOf(await client.stream('FetchX509SVID').next()).length, 2)
  agent.addEntry({ ...api, id: 'c', keyType: 'rsa-2048' })
  agent.deleteEntry('c')
  await agent.rotateNow()
  await clock.advance(60_000)
  await agent.rotateNow()
  assert.deepEqual(await idsOf(client), [api.spiffeId, web.spiffeId])
})

test('refuses an entry of another trust domain, or one it has already', async (t) => {
  const { agent, client } = await setup(t)
  assert.throws(() => agent.addEntry({ id: 'c', spiffeId: 'spiffe://other/web' }), /not in the trust domain/)
  assert.throws(() => agent.addEntry(web), /already has an entry/)
  agent.addEntry(api)
  assert.deepEqual(await idsOf(client), [api.spiffeId, web.spiffeId])
})

test('repeats the same X.509 message, and bundles only when they are news', async (t) => {
  const { agent, authority, client } = await setup(t)
  const x509 = client.stream('FetchX509SVID')
  const bundles = client.stream('FetchX509Bundles')
  const jwtBundles = client.stream('FetchJWTBundles')
  const first = await x509.next()
  await bundles.next()
  assert.equal(keysOf(await jwtBundles.next()).length, 1)
  agent.push()
  assert.deepEqual(await x509.next(), first)
  await authority.rotate()
  agent.push()
  // Had the first push gone to these streams, this would be its message, with one authority.
  assert.deepEqual(bundleOf(await bundles.next()), Buffer.concat(authority.bundle()))
  assert.equal(keysOf(await jwtBundles.next()).length, 2)
})

test('federates: to every entry, or to the ones that name the trust domain', async (t) => {
  const { agent, clock, client } = await setup(t, { entries: [{ ...web, federatesWith: ['b.test'] }] })
  const foreign = await createAuthority({ trustDomain: 'b.test', clock })
  const stream = client.stream('FetchX509SVID')
  const federated = async () => Object.keys((await stream.next())?.['federated_bundles'] as object)
  assert.deepEqual(await federated(), [])
  agent.federate('b.test', foreign.bundle(), await foreign.jwks())
  assert.deepEqual(await federated(), ['spiffe://b.test'])
  agent.federate('c.test', foreign.bundle())
  assert.deepEqual(await federated(), ['spiffe://b.test'])
  agent.addEntry(api) // names none, so it gets all
  assert.deepEqual(await federated(), ['spiffe://b.test', 'spiffe://c.test'])
  const jwtBundles = await client.stream('FetchJWTBundles').next()
  assert.deepEqual(keysOf(jwtBundles, 'spiffe://b.test'), (await foreign.jwks()).keys)
})

test('renews all on command, with the new authority after a rotation', async (t) => {
  const { agent, authority, client } = await setup(t)
  const stream = client.stream('FetchX509SVID')
  const before = leafOf(await stream.next())
  await authority.rotate()
  await agent.rotateNow()
  const message = await stream.next()
  assert.notEqual(leafOf(message).issuer, before.issuer)
  assert.deepEqual(svidsOf(message)[0]?.bundle, Buffer.concat(authority.bundle()))
})

test('silent: opens streams and takes calls, answers them only when it serves again', async (t) => {
  const { agent, client } = await setup(t)
  await client.unary('FetchJWTSVID', { audience: ['x'] }) // from now on cached, so it would come at once
  agent.setBehaviour('silent')
  const stream = client.stream('FetchX509SVID')
  const answers: string[] = []
  const message = stream.next().then(() => answers.push('stream'))
  const token = client.unary('FetchJWTSVID', { audience: ['x'] }).then(() => answers.push('token'))
  await roundTrip(client)
  await roundTrip(client)
  assert.equal(agent.calls.length, 3)
  assert.deepEqual(answers, [])
  agent.setBehaviour('serve')
  await Promise.all([message, token])
  assert.equal(answers.length, 2)
})

test('a status: ends open streams and every new call with it', async (t) => {
  const { agent, client } = await setup(t)
  const stream = client.stream('FetchX509SVID')
  await stream.next()
  const failed = { code: status.UNAVAILABLE, details: 'workload attestation failed' }
  agent.setBehaviour(failed)
  await assert.rejects(stream.next(), failed)
  await assert.rejects(client.stream('FetchJWTBundles').next(), failed)
  await assert.rejects(client.unary('FetchJWTSVID', { audience: ['x'] }), failed)
  agent.setBehaviour('serve')
  assert.ok(await client.stream('FetchX509SVID').next())
})

test('forgets a stream that its caller has left', async (t) => {
  const { agent, client } = await setup(t)
  const stream = client.stream('FetchX509SVID')
  await stream.next()
  assert.equal(agent.openStreams, 1)
  stream.cancel()
  await assert.rejects(stream.next(), { code: status.CANCELLED })
  await roundTrip(client) // the cancellation travelled first
  assert.equal(agent.openStreams, 0)
})

test('answers what SPIRE answers to WIT calls and to health checks', async (t) => {
  const { client } = await setup(t)
  await assert.rejects(client.stream('FetchWITSVID').next(), { code: status.UNIMPLEMENTED })
  assert.deepEqual(await client.unary('Check', {}), { status: 'SERVING' })
})

test('sends garbage when told to, and ends streams with OK', async (t) => {
  const { agent, client } = await setup(t)
  const stream = client.stream('FetchX509SVID')
  await stream.next()
  agent.setBehaviour({ raw: { svids: [{ spiffe_id: 'x', x509_svid: Buffer.from('y'), x509_svid_key: Buffer.alloc(0), bundle: Buffer.alloc(0), hint: '' }] } })
  assert.deepEqual(svidsOf(await stream.next())[0]?.x509_svid, Buffer.from('y'))
  agent.setBehaviour('end-streams')
  assert.equal(await stream.next(), undefined)
})

test('a stop removes the socket and ends the streams: gracefully as unavailable', async (t) => {
  const { agent, client } = await setup(t)
  const stream = client.stream('FetchX509SVID')
  await stream.next()
  await agent.stop()
  await assert.rejects(stream.next(), { code: status.UNAVAILABLE })
  await assert.rejects(client.stream('FetchX509SVID').next(), { code: status.UNAVAILABLE })
})

test('an abrupt stop cuts a call that is waiting', async (t) => {
  const { agent, client } = await setup(t)
  agent.setBehaviour('silent')
  const waiting = assert.rejects(client.stream('FetchX509SVID').next())
  await roundTrip(client)
  await agent.stop('abrupt')
  await waiting
})
