// The product's sources of one identity, put together as the daemon does it, with everything that they publish written down.
import type { Clock } from '../../src/core/clock.ts'
import type { FailureCode } from '../../src/core/errors.ts'
import type { Event, EventOf } from '../../src/core/events.ts'
import { type Running, start, type Task } from '../../src/core/run.ts'
import { createCell, type Source } from '../../src/core/source.ts'
import { assembleIdentity } from '../../src/daemon/assemble.ts'
import type { IdentityState, JwtSource, X509Identity } from '../../src/identity/sources.ts'
import { createIdentityCell, type SourceOptions } from '../../src/identity/state.ts'
import { createJwtBundleSource } from '../../src/identity/workload-api/bundle-source.ts'
import type { WorkloadApi } from '../../src/identity/workload-api/client.ts'
import { keepStream } from '../../src/identity/workload-api/stream.ts'
import type { JwtBundle } from '../../src/spiffe/jwt-bundle.ts'
import { parseSocketAddress } from '../../src/spiffe/socket-address.ts'
import { parseSpiffeId, type TrustDomain } from '../../src/spiffe/spiffe-id.ts'
import { digestOfBundles, type X509Bundle } from '../../src/spiffe/x509-bundle.ts'
import { parseX509Bundles } from '../../src/spiffe/x509-context.ts'
import { assertIdentity } from './verify.ts'
import type { World } from './world.ts'

export interface Published<T> {
  readonly what: T
  /** When, by the clock's boot() and now(). */
  readonly at: number
  readonly wall: number
}

export interface Watched<T> {
  /** Every state, the first one included. */
  readonly states: readonly Published<IdentityState<T>>[]
  /** Every value: each is another object than the one before. */
  readonly values: readonly Published<T>[]
  /** The state of now or the first one to come that is as wanted. The limit is in real milliseconds and only guards against waiting for ever. */
  until(what: string, wanted: (state: IdentityState<T>) => boolean, withinMs?: number): Promise<Published<IdentityState<T>>>
}

export interface ClientOptions {
  readonly hint?: string
  /** The path of the wanted SPIFFE ID. */
  readonly wants?: string
  /** Another socket than the agent's own. */
  readonly path?: string
  /** Which streams it opens besides the answers to its token requests; the X.509 one where left out. */
  readonly streams?: readonly ('x509' | 'x509_bundles' | 'jwt_bundles')[]
}

export interface Client {
  readonly api: WorkloadApi
  readonly x509: Watched<X509Identity>
  readonly x509Bundles: Watched<ReadonlyMap<TrustDomain, X509Bundle>>
  readonly jwtBundles: Watched<ReadonlyMap<TrustDomain, JwtBundle>>
  readonly jwt: JwtSource
  readonly events: readonly Published<Event>[]
  readonly eventsOf: <T extends Event['type']>(type: T) => readonly Published<EventOf<T>>[]
  readonly watch: <T>(source: Source<IdentityState<T>>) => Watched<T>
  /** What was wrong with values that were published. */
  readonly problems: readonly unknown[]
  readonly stop: () => Promise<void>
}

export const isReady = (state: IdentityState<unknown>): boolean => state.status === 'ready' && state.failure === undefined
export const isFailing =
  (code: FailureCode) =>
  (state: IdentityState<unknown>): boolean =>
    state.failure?.code === code

/** The X.509 bundles as a source; the daemon takes them from the stream of its SVIDs, and `svidecar bundle` asks once. */
function createX509BundleSource(options: SourceOptions) {
  const cell = createIdentityCell<Client['x509Bundles']['values'][number]['what']>(options, 'x509_bundles', (all) =>
    digestOfBundles(all, ({ digest }) => digest),
  )
  const { run } = keepStream(options, {
    open: options.api.x509Bundles,
    take: (message) => void cell.ready(parseX509Bundles(Object.entries(message))),
    rejected: cell.rejected,
    failed: cell.failing,
  })
  return { source: cell.source, run }
}

/** Starts the sources on the world's agent. */
export function startClient(world: World, options: ClientOptions = {}): Client {
  const { clock } = world
  const { streams = ['x509'] } = options
  const events: Published<Event>[] = []
  const problems: unknown[] = []
  const common = {
    clock,
    random: Math.random,
    emit: (event: Event) => {
      events.push({ what: event, at: clock.boot(), wall: clock.now() })
    },
  }
  const part = assembleIdentity(
    {
      name: 'conformance',
      workloadApi: parseSocketAddress(`unix://${options.path ?? world.path}`),
      spiffeId: options.wants === undefined ? undefined : parseSpiffeId(`spiffe://${world.trustDomain}${options.wants}`),
      hint: options.hint,
    },
    common,
  )
  part.need({ x509: streams.includes('x509'), jwtBundles: false, audiences: [] })
  const bundleOptions = { ...common, identity: 'conformance', api: part.api, explain: <F>(problem: F) => problem }
  const x509Bundles = createX509BundleSource(bundleOptions)
  const jwtBundles = createJwtBundleSource(bundleOptions)

  const running: Running[] = []
  const run = (task: Task): void => {
    const one = start(task)
    one.ended.catch((error: unknown) => problems.push(error))
    running.push(one)
  }
  const watch = <T>(source: Source<IdentityState<T>>, check: (value: T) => void = () => {}): Watched<T> => {
    const { watched, task } = record(source, clock, (value) => {
      try {
        check(value)
      } catch (error) {
        problems.push(error)
      }
    })
    run(task)
    return watched
  }
  const client: Client = {
    api: part.api,
    x509: watch(part.x509, (identity) => assertIdentity(identity, clock.now())),
    x509Bundles: watch(x509Bundles.source),
    jwtBundles: watch(jwtBundles.source),
    jwt: part.jwt,
    events,
    eventsOf: (type) => events.filter((one): one is Published<EventOf<typeof type>> => one.what.type === type),
    watch,
    problems,
    stop: async () => {
      await Promise.all(running.map((one) => one.stop()))
    },
  }
  run(part.run)
  if (streams.includes('x509_bundles')) run(x509Bundles.run)
  if (streams.includes('jwt_bundles')) run(jwtBundles.run)
  return client
}

function record<T>(source: Source<IdentityState<T>>, clock: Clock, check: (value: T) => void) {
  const states: Published<IdentityState<T>>[] = []
  const values: Published<T>[] = []
  const count = createCell(0)
  const take = (state: IdentityState<T>) => {
    const times = { at: clock.boot(), wall: clock.now() }
    states.push({ what: state, ...times })
    if (state.status === 'ready' && state.value !== values.at(-1)?.what) {
      values.push({ what: state.value, ...times })
      check(state.value)
    }
    count.set(states.length)
  }
  take(source.current)

  const history = () =>
    states.map(({ what, at }) => {
      const problem = what.failure === undefined ? '' : `, ${what.failure.code}: ${what.failure.message}`
      return `\n  ${((at - (states[0]?.at ?? 0)) / 1000).toFixed(2)} s ${what.status}${problem}`
    })

  const watched: Watched<T> = {
    states,
    values,
    async until(what, wanted, withinMs = 60_000) {
      const deadline = AbortSignal.timeout(withinMs)
      for (let index = states.length - 1; ; index++) {
        const published = states[index]
        if (published !== undefined && wanted(published.what)) return published
        if (index === states.length - 1)
          await count.next(states.length, deadline).catch(() => {
            throw new Error(`${what}: not within ${withinMs / 1000} s. The states were:${history().join('')}`)
          })
      }
    },
  }
  const task = async (signal: AbortSignal): Promise<void> => {
    for (;;) take(await source.next(states.at(-1)?.what ?? source.current, signal))
  }
  return { watched, task }
}
