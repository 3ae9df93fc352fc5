// A SPIFFE agent for the demo: the Workload API on a socket, with one entry and the lifetimes that one asks for.
import { setTimeout as delay } from 'node:timers/promises'
import { Server, ServerCredentials, status, type UntypedServiceImplementation } from '@grpc/grpc-js'
import type { Clock } from '../core/clock.ts'
import { start } from '../core/run.ts'
import { createStreams, unary } from './agent-calls.ts'
import { listen } from './agent-socket.ts'
import { createJwtMethod, type JwtOptions, renewalDelayMs, x509Message } from './agent-svids.ts'
import type { Authority } from './authority.ts'
import { workloadService } from './workload-service.ts'

export interface AgentOptions extends Omit<JwtOptions, 'random'> {
  /** unix:///absolute/path */
  readonly address: string
  readonly authority: Authority
  readonly clock: Clock
  readonly x509TtlSeconds: number
  readonly jwtTtlSeconds: number
  readonly entry: { readonly spiffeId: string; readonly hint: string; readonly dnsNames: readonly string[] }
}

/** Starts an agent that gives its entry's identity to every caller. */
export async function startAgent({ entry, ...options }: AgentOptions) {
  const { authority, clock, x509TtlSeconds, jwtTtlSeconds } = options
  const random = Math.random
  const issue = () => authority.issueX509({ ...entry, ttlSeconds: x509TtlSeconds })
  let svid = await issue()
  const identities = () => [{ ...entry, jwtTtlSeconds, svid }]
  const streams = createStreams()
  const server = createServer({
    FetchX509SVID: streams.streaming(() => async () => x509Message(identities(), authority.bundle())),
    FetchJWTSVID: unary(createJwtMethod({ ...options, random }, identities)),
  })
  const stop = await serve(options.address, streams, server)
  const renewal = start(async (signal) => {
    for (;;) {
      await clock.sleep(renewalDelayMs(x509TtlSeconds, random()), signal)
      svid = await issue()
      await streams.push()
    }
  })
  return {
    stop: async () => {
      await renewal.stop()
      await stop()
    },
  }
}

/** A server of the Workload API; it answers UNIMPLEMENTED to whatever is left out. */
export function createServer(implementation: UntypedServiceImplementation): Server {
  const server = new Server()
  server.addService(workloadService(), implementation)
  return server
}

/**
 * Serves every caller, since the socket lets in its owner only. Returns what removes the socket and ends the streams:
 * gracefully with UNAVAILABLE, or by cutting the connections.
 */
export async function serve(address: string, streams: ReturnType<typeof createStreams>, server: Server) {
  if (process.env['NODE_ENV'] === 'production') throw new Error('the dev agent gives identities to any caller: it does not run with NODE_ENV=production')
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const listener = await listen(address, (socket) => injector.injectConnection(socket))
  return async (how: 'graceful' | 'abrupt' = 'graceful'): Promise<void> => {
    const closed = new Promise((resolve) => listener.close(resolve))
    if (how === 'graceful') {
      streams.end({ code: status.UNAVAILABLE, details: 'the agent is stopping' })
      server.tryShutdown(() => {}) // its callback comes before the streams' last bytes have left
      // Real time, since a call that a silent agent never answers would keep its connection open for ever.
      await Promise.race([closed, delay(200, undefined, { ref: false })])
    }
    server.forceShutdown()
    await closed
  }
}
