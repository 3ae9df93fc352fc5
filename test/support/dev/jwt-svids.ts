// The JWT half of the tests' dev agent: tokens cached as SPIRE caches them, and ValidateJWTSVID, which really verifies.
import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose'
import type { Clock } from '../../../src/core/clock.ts'
import type { Authority, JwtRequest } from './authority.ts'

/** Issues through `authority`: gives the cached token until about half of its life is over, then a new one. */
export function createTokenCache(authority: Authority, clock: Clock, issuer: string | undefined, random: () => number) {
  const cache = new Map<string, { token: string; expiresAt: number }>()
  return async ({ spiffeId, audience, ttlSeconds }: JwtRequest): Promise<string> => {
    const key = JSON.stringify([spiffeId, ttlSeconds, audience.toSorted()])
    const cached = cache.get(key)
    // Asked at each request with a new draw, as in SPIRE: a token may arrive with only half of its life left.
    const wantedMs = ttlSeconds * 1000 * 0.5 * (0.9 + 0.2 * random())
    if (cached && cached.expiresAt - clock.now() > wantedMs) return cached.token
    const token = await authority.issueJwt({ spiffeId, audience, ttlSeconds, issuer })
    cache.set(key, { token, expiresAt: (decodeJwt(token).exp ?? 0) * 1000 })
    return token
  }
}

const algorithms = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512']

/** Verifies a JWT-SVID (JWT-SVID, section 5) with the keys of its subject's trust domain only; throws the reason. */
export async function validateJwtSvid(
  token: string,
  audience: string,
  keysOf: (trustDomain: string) => JSONWebKeySet | undefined,
  now: number,
): Promise<{ spiffeId: string; claims: JWTPayload }> {
  const { sub } = decodeJwt(token)
  if (!sub) throw new Error('token missing subject claim')
  const trustDomain = /^spiffe:\/\/([a-z0-9._-]+)(?:\/|$)/.exec(sub)?.[1]
  if (trustDomain === undefined) throw new Error(`token has an invalid subject claim: ${sub}`)
  const keys = keysOf(trustDomain)
  if (!keys) throw new Error(`no keys found for trust domain "${trustDomain}"`)
  const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(keys), {
    audience,
    algorithms,
    currentDate: new Date(now),
    clockTolerance: 60, // go-jose's leeway
    requiredClaims: ['exp'],
  })
  if (!protectedHeader.kid) throw new Error('token header missing key id')
  const { typ } = protectedHeader
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') throw new Error('token header type not equal to either JWT or JOSE')
  return { spiffeId: sub, claims: payload }
}
