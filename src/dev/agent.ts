// A SPIFFE agent for the demo: one entry, whose SVIDs live as long as one asks and are renewed as SPIRE renews them.
import { status } from '@grpc/grpc-js'
import type { Clock } from '../core/clock.ts'
import { start } from '../core/run.ts'
import { createStreams, type Status, unary } from './agent-calls.ts'
import { createServer, serve } from './agent-server.ts'
import type { Authority, IssuedX509 } from './authority.ts'

/** What a matching entry gives its callers. */
export interface Identity {
  readonly spiffeId: string
  readonly hint: string
  readonly jwtTtlSeconds: number
  readonly svid: IssuedX509
}

export interface AgentOptions {
  /** An absolute one, in a private folder. */
  readonly path: string
  readonly authority: Authority
  readonly clock: Clock
  readonly x509TtlSeconds: number
  readonly jwtTtlSeconds: number
  readonly jwtIssuer: string
  readonly entry: { readonly spiffeId: string; readonly hint: string; readonly dnsNames: readonly string[] }
}

/** Starts an agent that gives its entry's identity to every caller. Returns how to stop it. */
export async function startAgent({ path, authority, clock, x509TtlSeconds, jwtTtlSeconds, jwtIssuer, entry }: AgentOptions): Promise<() => Promise<void>> {
  const issue = () => authority.issueX509({ ...entry, ttlSeconds: x509TtlSeconds })
  const identity = { ...entry, jwtTtlSeconds, svid: await issue() }
  const issueJwt = (spiffeId: string, audience: string[], ttlSeconds: number) => authority.issueJwt({ spiffeId, audience, ttlSeconds, issuer: jwtIssuer })
  const streams = createStreams()
  const server = createServer({
    FetchX509SVID: streams.streaming(() => async () => x509Message([identity], authority.bundle())),
    FetchJWTSVID: unary(fetchJwt(() => [identity], issueJwt)),
  })
  const stop = await serve(path, streams, server)
  const renewal = start(async (signal) => {
    for (;;) {
      await clock.sleep(renewalDelayMs(x509TtlSeconds, Math.random), signal)
      identity.svid = await issue()
      await streams.push()
    }
  })
  return async () => {
    await renewal.stop()
    await stop()
  }
}

/** When half of the certificate's life is left, 10 % more or less; that life is ten seconds longer than the TTL. */
export const renewalDelayMs = (ttlSeconds: number, random: () => number): number =>
  Math.max(ttlSeconds * 250, ttlSeconds * 1000 - (ttlSeconds + 10) * 500 * (0.9 + 0.2 * random()))

export const x509Message = (identities: readonly Omit<Identity, 'jwtTtlSeconds'>[], bundle: Buffer[]) => ({
  svids: identities.map(({ spiffeId, hint, svid }) => ({
    spiffe_id: spiffeId,
    x509_svid: Buffer.concat(svid.chain),
    x509_svid_key: svid.key,
    bundle: Buffer.concat(bundle),
    hint,
  })),
  federated_bundles: {},
})

export const noIdentity: Status = { code: status.PERMISSION_DENIED, details: 'no identity issued' }
export const invalid = (details: string): Status => ({ code: status.INVALID_ARGUMENT, details })

/** Answers FetchJWTSVID. */
export const fetchJwt =
  (identities: () => readonly Omit<Identity, 'svid'>[], issue: (spiffeId: string, audience: string[], ttlSeconds: number) => Promise<string>) =>
  async (request: { audience: string[]; spiffe_id: string }) => {
    const audience = request.audience.filter((one) => one !== '')
    if (audience.length === 0) throw invalid('audience must be specified')
    if (request.spiffe_id !== '' && !request.spiffe_id.startsWith('spiffe://')) throw invalid('invalid requested SPIFFE ID: scheme is missing or invalid')
    const wanted = identities().filter(({ spiffeId }) => request.spiffe_id === '' || spiffeId === request.spiffe_id)
    if (wanted.length === 0) throw noIdentity
    const svids = wanted.map(async ({ spiffeId, jwtTtlSeconds, hint }) => ({ spiffe_id: spiffeId, svid: await issue(spiffeId, audience, jwtTtlSeconds), hint }))
    return { svids: await Promise.all(svids) }
  }
