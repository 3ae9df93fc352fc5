// What the dev agent answers: X.509-SVIDs on a stream, and JWT-SVIDs, cached as SPIRE caches them.
import { status } from '@grpc/grpc-js'
import { decodeJwt } from 'jose'
import type { Clock } from '../core/clock.ts'
import type { Methods, Status } from './agent-service.ts'
import type { Authority } from './authority.ts'
import type { createEntries } from './entries.ts'

export interface MethodsOptions {
  readonly authority: Pick<Authority, 'bundle' | 'issueJwt'>
  readonly clock: Clock
  readonly entries: ReturnType<typeof createEntries>
  readonly jwtTtlSeconds: number
  /** The `iss` of JWT-SVIDs; SPIRE leaves it out unless configured. */
  readonly jwtIssuer?: string
  readonly random: () => number
}

export const noIdentity: Status = { code: status.PERMISSION_DENIED, details: 'no identity issued' }
export const invalid = (details: string): Status => ({ code: status.INVALID_ARGUMENT, details })

export function createMethods({ authority, clock, entries, jwtTtlSeconds, jwtIssuer, random }: MethodsOptions) {
  const x509 = async () => {
    const { identities } = entries
    if (identities.length === 0) throw noIdentity
    const bundle = Buffer.concat(authority.bundle())
    const svids = identities.flatMap(({ entry, hint, svid }) =>
      svid ? [{ spiffe_id: entry.spiffeId, x509_svid: Buffer.concat(svid.chain), x509_svid_key: svid.key, bundle, hint }] : [],
    )
    // SPIRE is silent while an entry matches whose SVID is not signed yet.
    return svids.length > 0 ? { svids, federated_bundles: {} } : undefined
  }

  const tokens = new Map<string, { token: string; expiresAt: number }>()
  /** The cached token until about half of its life is over, then a new one. */
  const tokenOf = async (spiffeId: string, audience: string[], ttlSeconds: number) => {
    const key = JSON.stringify([spiffeId, ttlSeconds, audience.toSorted()])
    const cached = tokens.get(key)
    // Asked at each request with a new draw, as in SPIRE: a token may arrive with only half of its life left.
    const wantedMs = ttlSeconds * 1000 * 0.5 * (0.9 + 0.2 * random())
    if (cached && cached.expiresAt - clock.now() > wantedMs) return cached.token
    const token = await authority.issueJwt({ spiffeId, audience, ttlSeconds, issuer: jwtIssuer })
    tokens.set(key, { token, expiresAt: (decodeJwt(token).exp ?? 0) * 1000 })
    return token
  }
  const jwt = async (request: { audience: string[]; spiffe_id: string }) => {
    const audience = request.audience.filter((one) => one !== '')
    if (audience.length === 0) throw invalid('audience must be specified')
    if (request.spiffe_id !== '' && !request.spiffe_id.startsWith('spiffe://')) throw invalid('invalid requested SPIFFE ID: scheme is missing or invalid')
    const wanted = entries.identities.filter(({ entry }) => request.spiffe_id === '' || entry.spiffeId === request.spiffe_id)
    if (wanted.length === 0) throw noIdentity
    const svids = wanted.map(async ({ entry: { spiffeId, jwtTtlSeconds: own = jwtTtlSeconds }, hint }) => {
      const svid = await tokenOf(spiffeId, audience, own)
      return { spiffe_id: spiffeId, svid, hint }
    })
    return { svids: await Promise.all(svids) }
  }
  return { streams: { FetchX509SVID: () => x509 }, calls: { FetchJWTSVID: jwt } } satisfies Methods
}
