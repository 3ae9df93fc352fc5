// What the dev agent has for its callers: X.509-SVIDs and JWT-SVIDs as the Workload API's messages, and when SPIRE renews them.
import { status } from '@grpc/grpc-js'
import type { Status } from './agent-calls.ts'
import type { IssuedX509 } from './authority.ts'

/** What a matching entry gives its callers. */
export interface Identity {
  readonly spiffeId: string
  readonly hint: string
  readonly jwtTtlSeconds: number
  /** Undefined until the first one is signed. */
  readonly svid: IssuedX509 | undefined
}

export const noIdentity: Status = { code: status.PERMISSION_DENIED, details: 'no identity issued' }
export const invalid = (details: string): Status => ({ code: status.INVALID_ARGUMENT, details })

/** As SPIRE: when half of the certificate's life is left, 10 % more or less; that life is ten seconds longer than the TTL. */
export const renewalDelayMs = (ttlSeconds: number, random: () => number): number =>
  Math.max(ttlSeconds * 250, ttlSeconds * 1000 - (ttlSeconds + 10) * 500 * (0.9 + 0.2 * random()))

/** The stream's message; undefined while an entry matches whose SVID is not signed yet, when SPIRE is silent. */
export function x509Message(identities: readonly Identity[], bundle: Buffer[]) {
  if (identities.length === 0) throw noIdentity
  const svids = identities.flatMap(({ spiffeId, hint, svid }) =>
    svid ? [{ spiffe_id: spiffeId, x509_svid: Buffer.concat(svid.chain), x509_svid_key: svid.key, bundle: Buffer.concat(bundle), hint }] : [],
  )
  return svids.length > 0 ? { svids, federated_bundles: {} } : undefined
}

/** Answers FetchJWTSVID. */
export const fetchJwt =
  (identities: () => readonly Identity[], issue: (spiffeId: string, audience: string[], ttlSeconds: number) => Promise<string>) =>
  async (request: { audience: string[]; spiffe_id: string }) => {
    const audience = request.audience.filter((one) => one !== '')
    if (audience.length === 0) throw invalid('audience must be specified')
    if (request.spiffe_id !== '' && !request.spiffe_id.startsWith('spiffe://')) throw invalid('invalid requested SPIFFE ID: scheme is missing or invalid')
    const wanted = identities().filter(({ spiffeId }) => request.spiffe_id === '' || spiffeId === request.spiffe_id)
    if (wanted.length === 0) throw noIdentity
    const svids = wanted.map(async ({ spiffeId, jwtTtlSeconds, hint }) => ({ spiffe_id: spiffeId, svid: await issue(spiffeId, audience, jwtTtlSeconds), hint }))
    return { svids: await Promise.all(svids) }
  }
