// A JWT-SVID is read for what it says and when it ends; whatever is wrong with it, no part of it reaches a message.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { systemClock } from '../../src/core/clock.ts'
import { isFailure } from '../../src/core/errors.ts'
import { type JwtSvidMessage, parseJwtSvid } from '../../src/spiffe/jwt-svid.ts'
import { createAuthority } from '../support/dev/authority.ts'

const id = 'spiffe://example.org/web'
const encode = (json: unknown) => Buffer.from(JSON.stringify(json)).toString('base64url')
const goodHeader = { alg: 'ES256', kid: 'k', typ: 'JWT' }
const goodClaims = { sub: id, aud: ['x'], exp: 2_000_000_100, iat: 2_000_000_000 }
const signature = 'c2lnbmF0dXJl'
const token = (header: unknown = goodHeader, claims: unknown = goodClaims) => `${encode(header)}.${encode(claims)}.${signature}`
const message = (svid: string): JwtSvidMessage => ({ spiffe_id: id, svid, hint: '' })

const failureOf = (of: JwtSvidMessage) => {
  try {
    parseJwtSvid(of)
    return undefined
  } catch (error) {
    assert.ok(isFailure(error), `not a Failure: ${String(error)}`)
    assert.equal(error.code, 'jwt_svid_invalid')
    return error
  }
}
const verdict = (svid: string) => failureOf(message(svid))?.message
const withHeader = (change: object) => token({ ...goodHeader, ...change })
const withClaims = (change: object) => token(goodHeader, { ...goodClaims, ...change })
const accepts = (svid: string, why: string) => assert.equal(verdict(svid), undefined, why)
const rejects = (svid: string, why: RegExp) => assert.match(verdict(svid) ?? '', why, `not refused by ${why}`)

test('gives back what the token says', () => {
  const svid = withClaims({ iss: 'https://issuer', aud: ['x', 'y'] })
  const { compact, ...facts } = parseJwtSvid(message(svid))
  assert.equal(compact.reveal(), svid)
  assert.deepEqual(facts, {
    subject: id,
    audience: ['x', 'y'],
    issuer: 'https://issuer',
    algorithm: 'ES256',
    issuedAt: 2_000_000_000_000,
    expiresAt: 2_000_000_100_000,
  })
})

test('accepts the tokens that SPIRE issues', async () => {
  const authority = await createAuthority({ trustDomain: 'example.org', clock: systemClock })
  for (const algorithm of ['ES256', 'RS256', 'PS256'] as const) {
    const svid = await authority.issueJwt({ spiffeId: id, audience: ['x'], ttlSeconds: 60, algorithm })
    const parsed = parseJwtSvid(message(svid))
    assert.deepEqual([parsed.algorithm, parsed.audience, parsed.issuer], [algorithm, ['x'], undefined])
    assert.equal(parsed.expiresAt - (parsed.issuedAt ?? 0), 60_000)
  }
})

describe('the algorithm', () => {
  test('is one of the nine', () => {
    for (const family of ['RS', 'ES', 'PS']) for (const size of [256, 384, 512]) accepts(withHeader({ alg: family + size }), family)
    for (const alg of ['none', 'None', '', 'HS256', 'HS512', 'EdDSA', 'RS1', 'ES256K', 'es256', 'RS256 ', 'RS2566', 'A256KW'])
      rejects(withHeader({ alg }), /algorithm/)
    for (const alg of [undefined, null, 256, ['ES256'], { ES256: 1 }]) rejects(withHeader({ alg }), /algorithm/)
  })
})

test('the type is absent, JWT or JOSE', () => {
  for (const typ of [undefined, 'JWT', 'JOSE']) accepts(withHeader({ typ }), String(typ))
  for (const typ of ['', 'jwt', 'at+jwt', 'JWS', null, 1, ['JWT']]) rejects(withHeader({ typ }), /type/)
})

test('the key ID may be missing', () => {
  assert.equal(parseJwtSvid(message(withHeader({ kid: undefined }))).subject, id)
})

test('the subject is the SPIFFE ID that the agent said', () => {
  rejects(withClaims({ sub: 'spiffe://example.org/other' }), /belongs to spiffe:\/\/example\.org\/other/)
  for (const sub of [undefined, null, '', 'web', 1, [id], 'Spiffe://example.org/web', `${id}/`, ` ${id}`]) rejects(withClaims({ sub }), /SPIFFE ID/)
  const other = message(token())
  assert.ok(failureOf({ ...other, spiffe_id: 'spiffe://example.org/other' }))
  assert.ok(failureOf({ ...other, spiffe_id: '' }))
})

test('the audience is a text or a list of texts, and there is one', () => {
  assert.deepEqual(parseJwtSvid(message(withClaims({ aud: 'x' }))).audience, ['x'])
  assert.deepEqual(parseJwtSvid(message(withClaims({ aud: ['x', 'y'] }))).audience, ['x', 'y'])
  for (const aud of [undefined, null, [], 1, [1], [null], {}, [['x']], true]) rejects(withClaims({ aud }), /audience/)
})

test('there is an expiry, which is a number', () => {
  for (const exp of [undefined, null, '2000000000', [2_000_000_000], true, {}]) rejects(withClaims({ exp }), /expiry/)
  accepts(withClaims({ exp: 1 }), 'one that has passed: that is for whoever uses it')
  const fraction = parseJwtSvid(message(withClaims({ exp: 1.5 })))
  assert.equal(fraction.expiresAt, 1500)
})

test('its expiry is an instant that a calendar has, so that whoever prints it may', () => {
  const raw = (exp: string) => `${encode(goodHeader)}.${Buffer.from(`{"sub":"${id}","aud":"x","exp":${exp}}`).toString('base64url')}.${signature}`
  for (const exp of ['8640000000001', '1e15', '-1e15', '1e400', '-1e400']) rejects(raw(exp), /expiry/)
  accepts(raw('8640000000000'), 'the last one')
})

test('an issue time is not needed and not believed', () => {
  assert.equal(parseJwtSvid(message(withClaims({ iat: undefined }))).issuedAt, undefined)
  assert.equal(parseJwtSvid(message(withClaims({ iat: 'now' }))).issuedAt, undefined)
  accepts(withClaims({ iat: 3_000_000_000 }), 'after its own expiry')
})

test('it has three parts, of which two are JSON objects', () => {
  const [header, claims] = token().split('.')
  for (const svid of ['', '.', '..', 'a', `${header}.${claims}`, `${token()}.x`, `${header}.${claims}.a.b.c`]) rejects(svid, /./)
  for (const part of ['', 'a', encode(1), encode('x'), encode(null), encode([]), '!!!', encode('{}'), 'e30x']) {
    rejects(`${part}.${claims}.${signature}`, /part|JSON|algorithm/)
    rejects(`${header}.${part}.${signature}`, /part|JSON|SPIFFE ID/)
  }
})

describe('no text of the token', () => {
  const long = /[A-Za-z0-9_-]{16}/g
  /** Everything of it that somebody could paste elsewhere. */
  const pieces = (svid: string) => [...(svid.match(long) ?? [])]
  const shown = (of: JwtSvidMessage) => {
    const error = failureOf(of)
    return error === undefined ? '' : inspect(error, { depth: 9, showHidden: true, maxStringLength: null })
  }
  const json = fc.oneof(
    fc.jsonValue(),
    fc.record({ alg: fc.constantFrom('ES256', 'none', 'HS256'), typ: fc.constantFrom('JWT', 'x') }),
    fc.record({ sub: fc.constantFrom(id, 'x'), aud: fc.constantFrom('x', 1), exp: fc.constantFrom(1, 'x') }),
  )

  test('is in what is said about any wrong token', () => {
    const near = fc.tuple(json, json, fc.uint8Array({ minLength: 30 })).map(([header, claims, end]) => {
      return `${encode(header)}.${encode(claims)}.${Buffer.from(end).toString('base64url')}`
    })
    fc.assert(
      fc.property(fc.oneof(near, fc.base64String({ minLength: 20 }), fc.string()), (svid) => {
        const text = shown(message(svid))
        for (const piece of pieces(svid)) assert.ok(!text.includes(piece), `${piece} is in ${text}`)
      }),
      { numRuns: 500 },
    )
  })

  test('is in what is said about a real token that was cut or changed', () => {
    const real = token()
    fc.assert(
      fc.property(fc.nat(real.length - 1), fc.string({ maxLength: 3 }), fc.boolean(), (at, text, cut) => {
        const svid = real.slice(0, at) + text + (cut ? '' : real.slice(at + 1))
        const said = shown(message(svid))
        for (const piece of pieces(svid)) assert.ok(!said.includes(piece), `${piece} is in ${said}`)
      }),
      { numRuns: 500 },
    )
  })

  test('is in what is said about a part that is not JSON, decoded or not', () => {
    const [header, claims] = token().split('.')
    for (const text of ['hunter2hunter2', '{"a":hunter2hunter2}', '["hunter2hunter2', '{"jti":"hunter2hunter2"'])
      for (const part of [encode(text).slice(0, -1), Buffer.from(text).toString('base64url')])
        for (const svid of [`${part}.${claims}.${signature}`, `${header}.${part}.${signature}`, part]) {
          const said = shown(message(svid))
          assert.ok(said !== '' && !said.includes('hunter2') && !said.includes(part), said)
        }
  })

  test('is printed with the parsed SVID', () => {
    const parsed = parseJwtSvid(message(token()))
    const text = inspect(parsed, { depth: 9, showHidden: true }) + JSON.stringify(parsed) + String(parsed.compact)
    for (const piece of pieces(token())) assert.ok(!text.includes(piece))
  })
})

test('what is said about a wrong token has a bounded length', () => {
  const long = 'x'.repeat(100_000)
  for (const svid of [long, withHeader({ alg: long }), withClaims({ sub: long }), withClaims({ sub: `${id}/${long}` })])
    assert.ok((verdict(svid) ?? long).length < 3000)
})
