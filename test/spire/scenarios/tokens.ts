// Scenarios of JWT-SVIDs: audiences, issuer, whose they are, and how they are kept fresh.
import assert from 'node:assert/strict'
import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose'
import type { IdentityToken } from '../../../src/identity/sources.ts'
import { type Client, isReady } from '../client.ts'
import { type Scenario, type Stage, seconds } from '../scenario.ts'

const api = { id: 'a', path: '/api', jwt: 'short' } as const
const web = { id: 'b', path: '/web', jwt: 'short' } as const

/** Verifies the signature with the bundle that the product has, and returns what was signed. */
async function verified({ world }: Stage, { jwtBundles }: Client, token: IdentityToken): Promise<JWTPayload> {
  const { what: state } = await jwtBundles.until('there is a JWT bundle', isReady)
  assert.ok(state.status === 'ready')
  const own = [...state.value].find(([name]) => name === world.trustDomain)?.[1]
  const { payload, protectedHeader } = await jwtVerify(token.compact.reveal(), createLocalJWKSet(JSON.parse(own?.canonical ?? '') as JSONWebKeySet), {
    currentDate: new Date(world.clock.now()),
    audience: [...token.audience],
    clockTolerance: 60,
  })
  assert.equal(protectedHeader.typ, 'JWT')
  return payload
}

const kept: Scenario = {
  number: 16,
  promise: 'keeps a token for each set of audiences, asks for the next by half of its life, and is never without one',
  world: { entries: [api, web] },
  speed: 40,
  async run(stage) {
    const { world, client, note } = stage
    const own = client({ streams: ['jwt_bundles'] })
    const one = own.watch(own.jwt.watch(['one']))
    const both = own.watch(own.jwt.watch(['two', 'three']))
    assert.equal(own.jwt.watch(['three', 'two']), own.jwt.watch(['two', 'three']), 'a set has no order')
    await one.until('there is a token', isReady)
    await both.until('there is a token', isReady)
    for (const [watched, audience] of [
      [one, ['one']],
      [both, ['three', 'two']],
    ] as const) {
      const [first] = watched.values
      assert.ok(first)
      const payload = await verified(stage, own, first.what)
      assert.ok(Array.isArray(payload.aud))
      assert.deepEqual(payload.aud.toSorted(), audience)
      assert.equal(payload.sub, `spiffe://${world.trustDomain}/api`, 'the first entry')
      assert.equal(payload.iss, world.issuer)
      assert.equal(first.what.issuer, world.issuer)
      const told = await own.api.validateJwtSvid(audience[0], first.what.compact.reveal(), AbortSignal.timeout(10_000))
      assert.equal(told.spiffeId, payload.sub)
    }

    await one.until('two renewals', () => one.values.length === 3, 90_000)
    const asked = own.eventsOf('jwt.fetched').filter(({ what }) => what.audience === 'one')
    for (const [index, { what: token, wall }] of one.values.entries()) {
      const next = one.values[index + 1]
      if (next === undefined) continue
      const issuedAt = token.issuedAt ?? Number.NaN
      const life = token.expiresAt - issuedAt
      const share = (at: number) => (at - issuedAt) / life
      const again = asked.find((fetch) => fetch.wall > wall)
      assert.ok(again && again.wall - (issuedAt + life / 2) <= 1_000 + world.slackMs, 'asked by half of its life')
      assert.ok(next.wall < token.expiresAt, 'the next one came while it was valid')
      note(`asked at ${Math.round(100 * share(again.wall))} % of its life, the next one came at ${Math.round(100 * share(next.wall))} %`)
    }
    assert.ok(
      one.states.slice(1).every(({ what }) => isReady(what)),
      'there was a token all the time',
    )
    const gaps = asked.slice(1).map(({ at }, index) => at - (asked[index]?.at ?? 0))
    assert.ok(Math.min(...gaps) >= 950, `asked again after ${seconds(Math.min(...gaps))}`)
  },
}

const renewed: Scenario = {
  number: 16,
  promise: 'has the next token soon after half of the life of the one before',
  world: { entries: [api] },
  speed: 40,
  async run({ client, note }) {
    const own = client({ streams: [] })
    const one = own.watch(own.jwt.watch(['one']))
    const { what: first } = await one.until('there is a token', isReady)
    assert.ok(first.status === 'ready')
    const { issuedAt = 0, expiresAt } = first.value
    const { wall } = await one.until('a renewal', () => one.values.length === 2)
    const share = (wall - issuedAt) / (expiresAt - issuedAt)
    note(`the next token came at ${Math.round(100 * share)} % of its life`)
    assert.ok(share <= 0.65, `it came at ${Math.round(100 * share)} %`)
  },
}

const oneUse: Scenario = {
  number: 16,
  promise: 'fetches a token of the identity that was chosen, be it by its SPIFFE ID or by its X.509-SVID',
  world: { entries: [api, web] },
  async run(stage) {
    const { world, client } = stage
    for (const { wants, path } of [
      { wants: '/web', path: '/web' },
      { wants: undefined, path: '/api' },
    ]) {
      const own = client({ streams: ['x509', 'jwt_bundles'], ...(wants === undefined ? {} : { wants }) })
      const { what: x509 } = await own.x509.until('there is an identity', isReady)
      const token = await own.jwt.fetch(['one'], AbortSignal.timeout(10_000))
      const payload = await verified(stage, own, token)
      assert.equal(payload.sub, `spiffe://${world.trustDomain}${path}`)
      assert.ok(x509.status === 'ready')
      assert.equal(x509.value.svid.spiffeId, payload.sub)
    }
  },
}

const noIssuer: Scenario = {
  number: 16,
  promise: 'takes tokens without an issuer',
  world: { entries: [api], authority: 'intermediate' },
  async run(stage) {
    const own = stage.client({ streams: ['jwt_bundles'] })
    const token = await own.jwt.fetch(['one'], AbortSignal.timeout(10_000))
    await verified(stage, own, token)
    assert.equal(stage.world.issuer, undefined)
    assert.equal(token.issuer, undefined)
    assert.ok(!('iss' in decodeJwt(token.compact.reveal())))
  },
}

const serverDown: Scenario = {
  number: 11,
  promise: 'keeps its token while nothing is signed, gives it up at its end, and has one again with the server',
  notOnDev: 'the dev agent signs its tokens itself, so none ever fails',
  ownServer: true,
  world: { entries: [api] },
  async run({ world, client, note }) {
    const own = client({ streams: [] })
    const one = own.watch(own.jwt.watch(['one']))
    const { what: first } = await one.until('there is a token', isReady)
    assert.ok(first.status === 'ready')
    await world.stopServer()
    const { what: over, wall } = await one.until('it is given up', ({ status }) => status === 'waiting')
    assert.equal(over.failure?.code, 'jwt_svid_expired')
    const lateMs = wall - first.value.expiresAt
    assert.ok(lateMs >= 0 && lateMs <= world.slackMs, `given up ${seconds(lateMs)} after its end`)
    assert.equal(one.values.length, 1)

    await world.startServer()
    const begun = world.clock.boot()
    const { at } = await one.until('there is a token', isReady)
    note(`given up ${seconds(lateMs)} after its end, a new one ${seconds(at - begun)} after the server`)
  },
}

export const tokenScenarios: readonly Scenario[] = [kept, renewed, oneUse, noIssuer, serverDown]
