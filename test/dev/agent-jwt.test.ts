// The dev agent's JWT half: what it issues, caches as SPIRE does, and validates.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { status } from '@grpc/grpc-js'
import { decodeJwt } from 'jose'
import { type Agent, type AgentOptions, startAgent } from '../support/dev/agent.ts'
import { type Authority, createAuthority } from '../support/dev/authority.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { type PlainClient, plainClient, temporaryFolder } from './support.ts'

const web = { id: 'a', spiffeId: 'spiffe://dev.local/web', hint: 'internal' }
const api = { id: 'b', spiffeId: 'spiffe://dev.local/api', jwtTtlSeconds: 600 }

interface Setup {
  clock: FakeClock
  authority: Authority
  agent: Agent
  client: PlainClient
  fetch: (request: object) => Promise<{ spiffe_id: string; svid: string; hint: string }[]>
}

async function setup(t: TestContext, options: Partial<AgentOptions> = {}): Promise<Setup> {
  const clock = createFakeClock()
  const authority = await createAuthority({ trustDomain: 'dev.local', clock })
  const address = `unix://${await temporaryFolder(t)}/agent.sock`
  const times = { x509TtlSeconds: 3600, jwtTtlSeconds: 60, random: () => 0.5 }
  const agent = await startAgent({ address, authority, clock, entries: [web, api], ...times, ...options })
  t.after(() => agent.stop('abrupt'))
  const client = plainClient(t, agent.address)
  const fetch: Setup['fetch'] = async (request) => {
    const reply = await client.unary('FetchJWTSVID', request)
    return reply['svids'] as Awaited<ReturnType<Setup['fetch']>>
  }
  return { clock, authority, agent, client, fetch }
}

test('issues one token an entry, with its hint and its own lifetime', async (t) => {
  const { fetch } = await setup(t, { jwtIssuer: 'https://oidc.dev.local' })
  const [one, other] = await fetch({ audience: ['x', 'y'] })
  assert.deepEqual([one?.spiffe_id, one?.hint, other?.spiffe_id, other?.hint], [web.spiffeId, 'internal', api.spiffeId, ''])
  const claims = decodeJwt(one?.svid ?? '')
  assert.deepEqual([claims.sub, claims.aud, claims.iss], [web.spiffeId, ['x', 'y'], 'https://oidc.dev.local'])
  assert.equal((claims.exp ?? 0) - (claims.iat ?? 0), 60)
  const longer = decodeJwt(other?.svid ?? '')
  assert.equal((longer.exp ?? 0) - (longer.iat ?? 0), 600)
})

test('answers for the SPIFFE ID that was asked for, and denies one it has not', async (t) => {
  const { fetch } = await setup(t)
  const svids = await fetch({ audience: ['x'], spiffe_id: api.spiffeId })
  assert.deepEqual(
    svids.map(({ spiffe_id }) => spiffe_id),
    [api.spiffeId],
  )
  const denied = { code: status.PERMISSION_DENIED, details: 'no identity issued' }
  await assert.rejects(fetch({ audience: ['x'], spiffe_id: 'spiffe://dev.local/other' }), denied)
  await assert.rejects(fetch({ audience: ['x'], spiffe_id: 'api' }), { code: status.INVALID_ARGUMENT })
})

test('refuses an empty audience', async (t) => {
  const { fetch } = await setup(t)
  for (const audience of [[], ['']]) await assert.rejects(fetch({ audience }), { code: status.INVALID_ARGUMENT, details: 'audience must be specified' })
  assert.equal((await fetch({ audience: ['x'] })).length, 2)
})

test('hands out the same token for the same set of audiences until half of its life', async (t) => {
  const { agent, clock, fetch } = await setup(t)
  const token = async (...audience: string[]) => (await fetch({ audience, spiffe_id: web.spiffeId }))[0]?.svid
  const first = await token('x', 'y')
  assert.equal(await token('y', 'x'), first)
  assert.notEqual(await token('x'), first)
  await clock.advance(29_000)
  assert.equal(await token('x', 'y'), first)
  await clock.advance(1000)
  assert.notEqual(await token('x', 'y'), first)
  agent.updateEntry(web.id, { jwtTtlSeconds: 120 })
  const { iat = 0, exp = 0 } = decodeJwt((await token('x', 'y')) ?? '')
  assert.equal(exp - iat, 120)
})

test('validates a token and returns its claims', async (t) => {
  const { client, fetch } = await setup(t)
  const [one] = await fetch({ audience: ['x'] })
  const reply = await client.unary('ValidateJWTSVID', { audience: 'x', svid: one?.svid })
  assert.equal(reply['spiffe_id'], web.spiffeId)
  const { fields } = reply['claims'] as { fields: Record<string, object> }
  assert.deepEqual(fields['sub'], { stringValue: web.spiffeId })
  assert.deepEqual(fields['aud'], { listValue: { values: [{ stringValue: 'x' }] } })
  assert.deepEqual(fields['exp'], { numberValue: decodeJwt(one?.svid ?? '').exp })
})

test('does not validate what it should not', async (t) => {
  const { clock, authority, agent, client, fetch } = await setup(t)
  const svid = (await fetch({ audience: ['x'] }))[0]?.svid ?? ''
  const validate = (request: object) => client.unary('ValidateJWTSVID', { audience: 'x', svid, ...request })
  const invalid = { code: status.INVALID_ARGUMENT }
  assert.ok(await validate({}))
  await assert.rejects(validate({ audience: '' }), { ...invalid, details: 'audience must be specified' })
  await assert.rejects(validate({ svid: '' }), { ...invalid, details: 'svid must be specified' })
  await assert.rejects(validate({ audience: 'y' }), invalid)
  await assert.rejects(validate({ svid: 'not.a.token' }), invalid)
  await assert.rejects(validate({ svid: `${svid.slice(0, -8)}AAAAAAAA` }), invalid)

  // A key of another trust domain is good for that trust domain's subjects only.
  const foreign = await createAuthority({ trustDomain: 'b.test', clock })
  const theirs = await foreign.issueJwt({ spiffeId: 'spiffe://b.test/x', audience: ['x'], ttlSeconds: 60 })
  await assert.rejects(validate({ svid: theirs }), { ...invalid, details: 'no keys found for trust domain "b.test"' })
  agent.federate('b.test', foreign.bundle(), await foreign.jwks())
  assert.ok(await validate({ svid: theirs }))
  const forged = await foreign.issueJwt({ spiffeId: web.spiffeId, audience: ['x'], ttlSeconds: 60 })
  await assert.rejects(validate({ svid: forged }), invalid)

  await authority.rotate()
  assert.ok(await validate({}))
  await clock.advance(119_000) // its 60 s, and less than the 60 s of leeway
  assert.ok(await validate({}))
  await clock.advance(2000)
  await assert.rejects(validate({}), invalid)
})
