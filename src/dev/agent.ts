// A SPIFFE agent for the demo and the tests: the Workload API on a socket, with the lifetimes that one asks for.
import { setTimeout as delay } from 'node:timers/promises'
import { Server, ServerCredentials, status, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { createMethods, type MethodsOptions } from './agent-methods.ts'
import { createAgentService, type Methods } from './agent-service.ts'
import { listen } from './agent-socket.ts'
import type { Authority } from './authority.ts'
import { createEntries, type Entry } from './entries.ts'
import { workloadService } from './workload-definition.ts'

export interface AgentOptions extends Omit<MethodsOptions, 'entries' | 'random'> {
  /** unix:///absolute/path */
  readonly address: string
  readonly authority: Pick<Authority, 'bundle' | 'issueX509' | 'issueJwt'>
  readonly x509TtlSeconds: number
  readonly entries: readonly Entry[]
  readonly random?: () => number
  /** For tests: more methods, or the same ones changed. */
  readonly extend?: (own: ReturnType<typeof createMethods>, entries: MethodsOptions['entries']) => Methods
  readonly createServer?: (implementation: UntypedServiceImplementation) => Server
}

export function workloadServer(implementation: UntypedServiceImplementation): Server {
  const server = new Server()
  server.addService(workloadService(), implementation)
  return server
}

/** Starts the agent; every matching entry is served to every caller, since its socket lets in its owner only. */
export async function startAgent({ random = Math.random, extend = (own) => own, createServer = workloadServer, ...options }: AgentOptions) {
  if (process.env['NODE_ENV'] === 'production') throw new Error('the dev agent gives identities to any caller: it does not run with NODE_ENV=production')
  const entries = createEntries({ ...options, random, changed: () => service.push() })
  const { settled } = entries
  const service = createAgentService(extend(createMethods({ ...options, entries, random }), entries), settled)
  await entries.set(options.entries)

  const server = createServer(service.implementation)
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const listener = await listen(options.address, (socket) => injector.injectConnection(socket)).catch((error: unknown) => {
    entries.stop()
    throw error
  })

  const stop = async (how: 'graceful' | 'abrupt') => {
    const closed = new Promise((resolve) => listener.close(resolve))
    if (how === 'graceful') {
      service.end({ code: status.UNAVAILABLE, details: 'the agent is stopping' })
      server.tryShutdown(() => {}) // its callback comes before the streams' last bytes have left
      // Real time, since a call that a silent agent never answers would keep its connection open for ever.
      await Promise.race([closed, delay(200, undefined, { ref: false })])
    }
    server.forceShutdown()
    entries.stop()
    await closed
  }
  let stopping: Promise<void> | undefined

  return {
    address: options.address,
    entries,
    get openStreams() {
      return service.openStreams
    },
    /** Sends the same X.509 state again, as SPIRE does. */
    push: async () => {
      await settled()
      await service.push()
    },
    /** Removes the socket and ends the streams: gracefully with UNAVAILABLE, or by cutting the connections. */
    stop: (how: 'graceful' | 'abrupt' = 'graceful'): Promise<void> => (stopping ??= stop(how)),
  }
}
