// A SPIFFE agent for the demo: the Workload API on a socket, with one entry and the lifetimes that one asks for.
import type { Clock } from '../core/clock.ts'
import { start } from '../core/run.ts'
import { createStreams, unary } from './agent-calls.ts'
import { createServer, serve } from './agent-server.ts'
import { fetchJwt, renewalDelayMs, x509Message } from './agent-svids.ts'
import type { Authority } from './authority.ts'

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
  let svid = await issue()
  const identities = () => [{ ...entry, jwtTtlSeconds, svid }]
  const issueJwt = (spiffeId: string, audience: string[], ttlSeconds: number) => authority.issueJwt({ spiffeId, audience, ttlSeconds, issuer: jwtIssuer })
  const streams = createStreams()
  const server = createServer({
    FetchX509SVID: streams.streaming(() => async () => x509Message(identities(), authority.bundle())),
    FetchJWTSVID: unary(fetchJwt(identities, issueJwt)),
  })
  const stop = await serve(path, streams, server)
  const renewal = start(async (signal) => {
    for (;;) {
      await clock.sleep(renewalDelayMs(x509TtlSeconds, Math.random), signal)
      svid = await issue()
      await streams.push()
    }
  })
  return async () => {
    await renewal.stop()
    await stop()
  }
}
