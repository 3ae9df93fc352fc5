// A SPIFFE agent for the demo: one entry, whose SVIDs live as long as one asks and are renewed as SPIRE renews them.
import { status } from '@grpc/grpc-js'
import { start } from '../../../src/core/run.ts'
import { createServer, createStreams, type Status, serve, unary } from './agent-server.ts'
import type { IssuedX509, JwtRequest } from './authority.ts'
import type { AgentOptions } from './world.ts'

/** Whose SVIDs a matching entry gives its callers. */
interface Identity {
  readonly spiffeId: string
  readonly hint: string
}

/** Starts an agent that gives its entry's identity to every caller. Returns how to stop it. */
export async function startAgent({ path, authority, clock, x509TtlSeconds, jwtTtlSeconds, jwtIssuer, entry }: AgentOptions): Promise<() => Promise<void>> {
  const issue = () => authority.issueX509({ ...entry, ttlSeconds: x509TtlSeconds })
  const identity = { ...entry, jwtTtlSeconds, svid: await issue() }
  const issueJwt = (request: JwtRequest) => authority.issueJwt({ ...request, issuer: jwtIssuer })
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

export const x509Message = (identities: readonly (Identity & { svid: IssuedX509 })[], bundle: Buffer[]) => ({
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
  (identities: () => readonly (Identity & { jwtTtlSeconds: number })[], issue: (request: JwtRequest) => Promise<string>) =>
  async (request: { audience: string[]; spiffe_id: string }) => {
    const audience = request.audience.filter((one) => one !== '')
    if (audience.length === 0) throw invalid('audience must be specified')
    if (request.spiffe_id !== '' && !request.spiffe_id.startsWith('spiffe://')) throw invalid('invalid requested SPIFFE ID: scheme is missing or invalid')
    const wanted = identities().filter(({ spiffeId }) => request.spiffe_id === '' || spiffeId === request.spiffe_id)
    if (wanted.length === 0) throw noIdentity
    const svids = wanted.map(async ({ spiffeId, jwtTtlSeconds: ttlSeconds, hint }) => {
      return { spiffe_id: spiffeId, svid: await issue({ spiffeId, audience, ttlSeconds }), hint }
    })
    return { svids: await Promise.all(svids) }
  }
