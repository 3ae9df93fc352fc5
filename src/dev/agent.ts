// A SPIFFE agent for demos and tests: the Workload API on a socket, with the lifetimes and the moods one asks for.
import { setTimeout as delay } from 'node:timers/promises'
import { type handleUnaryCall, Server, ServerCredentials, status } from '@grpc/grpc-js'
import type { Clock } from '../core/clock.ts'
import { createCell } from '../core/source.ts'
import { type AgentCall, type Behaviour, createAgentService } from './agent-service.ts'
import { listen } from './agent-socket.ts'
import { createAgentState, type Foreign } from './agent-state.ts'
import type { Authority } from './authority.ts'
import { createEntries, type Entry } from './entries.ts'
import { createJwtSvids } from './jwt-svids.ts'
import { healthService, workloadService } from './workload-definition.ts'

export interface AgentOptions {
  /** unix:///absolute/path */
  address: string
  authority: Authority
  clock: Clock
  x509TtlSeconds: number
  jwtTtlSeconds: number
  /** The `iss` of JWT-SVIDs; SPIRE leaves it out unless configured. */
  jwtIssuer?: string
  entries?: Entry[]
  random?: () => number
}

export interface Agent {
  readonly address: string
  /** The last thousand RPCs of the Workload API. */
  readonly calls: readonly AgentCall[]
  readonly openStreams: number
  addEntry(entry: Entry): void
  updateEntry(id: string, change: Partial<Entry>): void
  deleteEntry(id: string): void
  /** DER roots and optionally JWT keys of another trust domain. */
  federate(trustDomain: string, bundle: Buffer[], jwks?: { keys: object[] }): void
  unfederate(trustDomain: string): void
  /** A new leaf and key for every entry; resolves when they have been pushed. */
  rotateNow(): Promise<void>
  /** Sends the same X.509 state again, as SPIRE does; bundle streams get news only. */
  push(): void
  setBehaviour(behaviour: Behaviour): void
  /** Removes the socket and ends the streams: gracefully with UNAVAILABLE, or by cutting the connections. */
  stop(how?: 'graceful' | 'abrupt'): Promise<void>
}

/** Starts the agent; every matching entry is served to every caller, since its socket lets in its owner only. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  if (process.env['NODE_ENV'] === 'production') throw new Error('the dev agent gives identities to any caller: it does not run with NODE_ENV=production')
  const { authority, clock, random = Math.random } = options
  const behaviour = createCell<Behaviour>('serve')
  const federated = new Map<string, Foreign>()
  const jwts = createJwtSvids({ authority, clock, issuer: options.jwtIssuer, random })
  const mayRenew = async (signal: AbortSignal) => {
    while (behaviour.current === 'hold-rotation') await behaviour.next('hold-rotation', signal)
  }
  const entries = createEntries({ authority, clock, random, x509TtlSeconds: options.x509TtlSeconds, mayRenew, changed: () => service.push() })
  const service = createAgentService(createAgentState({ ...options, entries, federated, jwts }), behaviour)
  for (const entry of options.entries ?? []) entries.add(entry)
  await entries.settled()

  const server = new Server()
  server.addService(workloadService(), service.implementation)
  const check: handleUnaryCall<object, object> = (_call, reply) => reply(null, { status: 'SERVING' })
  server.addService(healthService(), { Check: check })
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const listener = await listen(options.address, (socket) => injector.injectConnection(socket)).catch(async (error) => {
    await entries.stop()
    throw error
  })
  const push = async () => {
    await entries.settled()
    await service.push()
  }

  const stop = async (how: 'graceful' | 'abrupt') => {
    await entries.stop()
    const closed = listener.close()
    if (how === 'graceful') {
      service.end({ code: status.UNAVAILABLE, details: 'the agent is stopping' })
      server.tryShutdown(() => {}) // its callback comes before the streams' last bytes have left
      // Real time, since a call that a silent agent never answers would keep its connection open for ever.
      await Promise.race([closed, delay(200, undefined, { ref: false })])
    }
    server.forceShutdown()
    listener.destroy()
    await closed
  }
  let stopping: Promise<void> | undefined

  return {
    address: options.address,
    calls: service.calls,
    get openStreams() {
      return service.streams.size
    },
    addEntry: entries.add,
    updateEntry: (id, change) => {
      entries.update(id, change)
      for (const { entry } of entries.identities) if (entry.id === id) jwts.forget(entry.spiffeId)
    },
    deleteEntry: entries.delete,
    federate: (trustDomain, bundle, jwks = { keys: [] }) => {
      federated.set(trustDomain, { bundle, jwks })
      void push()
    },
    unfederate: (trustDomain) => {
      federated.delete(trustDomain)
      void push()
    },
    rotateNow: entries.renewAll,
    push: () => void push(),
    setBehaviour: (next) => {
      behaviour.set(next)
      void push()
    },
    stop: (how = 'graceful') => (stopping ??= stop(how)),
  }
}
