// All listeners of the daemon as one set: a new configuration opens what is new before it closes what is gone.
import { join } from 'node:path'
import type { Config, ConsumerConfig, ListenConfig } from '../config/config.ts'
import type { HealthReport, StatusReport } from '../core/health.ts'
import { createConsumerHandler } from '../endpoints/consumer.ts'
import { createContainerHandler } from '../endpoints/container.ts'
import { type Commands, createControlHandler } from '../endpoints/control.ts'
import type { ProfileView } from '../endpoints/documents.ts'
import { hostRule, isLoopback } from '../endpoints/guard.ts'
import { createImdsHandler } from '../endpoints/imds.ts'
import { createImdsTokens } from '../endpoints/imds-token.ts'
import { createProbesHandler } from '../endpoints/probes.ts'
import { type Handler, type ListenAt, listen, type OpenListener } from '../endpoints/server.ts'
import { createStatusHandler } from '../endpoints/status.ts'
import type { World } from './assemble.ts'
import type { Parts } from './parts.ts'
import { consumerToken, imdsKey, type Owner, ownerOf, socketMode } from './runtime-dir.ts'

export interface ListenerDeps extends World {
  readonly parts: Parts
  readonly health: () => HealthReport
  readonly status: () => StatusReport
  readonly metrics: () => Promise<{ contentType: string; body: string }>
  readonly commands: Commands
}

interface Wanted {
  readonly name: string
  readonly at: ListenAt
  /** Made after all are open, when the real ports are known. */
  readonly handler: (ports: ReadonlyMap<string, OpenListener>) => Handler
}

export interface Listeners {
  readonly open: ReadonlyMap<string, OpenListener>
  /**
   * Opens what is new; it answers 503 until the returned function, called once the parts are there, gives every
   * listener its handler and closes what is gone. Throws listen_failed or runtime_dir, and then nothing has changed.
   */
  prepare(config: Config): Promise<() => Promise<void>>
  stop(): Promise<void>
}

const tcp = ({ host, port }: ListenConfig, loopbackOnly: boolean): ListenAt => ({
  kind: 'tcp',
  host,
  port,
  loopbackOnly,
})

const unavailable: Handler = () => ({ status: 503, headers: { 'retry-after': '1' } })

/** Creates the set, empty. */
export function createListeners(deps: ListenerDeps): Listeners {
  const { clock, emit, parts } = deps
  const stopping = new AbortController()
  let open = new Map<string, { listener: OpenListener; key: string }>()

  /** The views of profiles by name. Not yet assembled ones are asked for after parts.apply(). */
  const views = (names: readonly string[]): ProfileView[] =>
    names.flatMap((name) => parts.profiles.get(name)?.view ?? [])

  function telemetry(config: Config): Wanted[] {
    const { metricsEndpoint: metrics, statusEndpoint: status } = config
    return [
      {
        name: 'control',
        at: { kind: 'unix', path: join(config.runtimeDir, 'control.sock'), mode: 0o600 },
        handler: () => createControlHandler(deps.status, deps.commands),
      },
      ...(metrics === undefined
        ? []
        : [
            {
              name: 'metrics',
              at: tcp(metrics.listen, false),
              handler: () =>
                createProbesHandler({
                  hosts: hostRule(metrics.listen.host, metrics.hostNames, true),
                  health: deps.health,
                  metrics: deps.metrics,
                }),
            },
          ]),
      ...(status === undefined
        ? []
        : [
            {
              name: 'status',
              at: tcp(status.listen, isLoopback(status.listen.host)),
              handler: () => createStatusHandler(hostRule(status.listen.host, []), deps.status),
            },
          ]),
    ]
  }

  function imds(config: Config, key: Buffer | undefined): Wanted[] {
    return config.imdsEndpoints.flatMap(({ listen: at, hostNames, profile, availabilityZone }): Wanted[] => {
      if (key === undefined) return []
      const name = `imds ${profile}`
      const handler = () => {
        const [view] = views([profile])
        return view === undefined
          ? unavailable
          : createImdsHandler({
              hosts: hostRule(at.host, hostNames),
              profile: view,
              availabilityZone,
              tokens: createImdsTokens(key, name, clock),
              clock,
              emit,
              signal: stopping.signal,
            })
      }
      return [{ name, at: tcp(at, true), handler }]
    })
  }

  function container(config: Config, consumers: readonly { config: ConsumerConfig; token: Buffer }[]): Wanted[] {
    const endpoint = config.containerEndpoint
    if (endpoint === undefined) return []
    const handler = () =>
      createContainerHandler({
        hosts: hostRule(endpoint.listen.host, endpoint.hostNames),
        consumers: consumers.map((one) => ({
          name: one.config.name,
          token: one.token,
          profiles: views(one.config.profiles),
        })),
        profiles: new Map(views(config.profiles.map(({ name }) => name)).map((view) => [view.name, view])),
        clock,
        emit,
      })
    return [{ name: 'container', at: tcp(endpoint.listen, true), handler }]
  }

  function consumerSocket(config: Config, consumer: ConsumerConfig, owner: Owner): Wanted {
    const handler: Wanted['handler'] = (all) => {
      const jwt = parts.identities.get('default')?.jwt
      return createConsumerHandler({
        name: consumer.name,
        profiles: views(consumer.profiles),
        audiences: new Map(
          consumer.audiences.flatMap((audience) => (jwt === undefined ? [] : [[audience, jwt.watch([audience])]])),
        ),
        environment: (profile) => consumerEnvironment(config, consumer, profile, all.get('container')),
        clock,
        emit,
      })
    }
    return {
      name: `consumer ${consumer.name}`,
      at: {
        kind: 'unix',
        path: join(config.runtimeDir, `${consumer.name}.sock`),
        mode: socketMode(consumer.mode),
        ...owner,
      },
      handler,
    }
  }

  /** Opens what is not open yet; on a failure closes again what this call opened. */
  async function openAll(wanted: readonly Wanted[]): Promise<Map<string, { listener: OpenListener; key: string }>> {
    const next = new Map<string, { listener: OpenListener; key: string }>()
    const fresh: OpenListener[] = []
    try {
      for (const { name, at } of wanted) {
        const key = at.kind === 'unix' ? at.path : JSON.stringify(at)
        const known = open.get(name)
        if (known?.key === key) {
          next.set(name, known)
          continue
        }
        const listener = await listen(name, at, unavailable)
        fresh.push(listener)
        next.set(name, { listener, key })
      }
    } catch (error) {
      for (const listener of fresh) await listener.stop()
      throw error
    }
    return next
  }

  return {
    get open() {
      return new Map([...open].map(([name, { listener }]) => [name, listener]))
    },
    async prepare(config) {
      const consumers: { config: ConsumerConfig; token: Buffer; owner: Owner }[] = []
      for (const consumer of config.consumers) {
        const owner = ownerOf(consumer)
        consumers.push({ config: consumer, owner, token: await consumerToken(config.runtimeDir, consumer, owner) })
      }
      const key = config.imdsEndpoints.length === 0 ? undefined : await imdsKey(config.runtimeDir)
      const wanted = [
        ...telemetry(config),
        ...consumers.map((one) => consumerSocket(config, one.config, one.owner)),
        ...imds(config, key),
        ...container(config, consumers),
      ]
      const next = await openAll(wanted)
      return async () => {
        const before = open
        open = next
        const all = new Map([...open].map(([name, { listener }]) => [name, listener]))
        // In the order of `wanted`: telemetry answers first.
        for (const { name, at, handler } of wanted) {
          const one = open.get(name)
          await one?.listener.change(handler(all), at)
          if (one !== undefined && before.get(name) !== one)
            emit({ type: 'listener.opened', listener: name, address: one.listener.address })
        }
        for (const [name, one] of before) {
          if (open.get(name) === one) continue
          await one.listener.stop()
          if (!open.has(name)) emit({ type: 'listener.closed', listener: name })
        }
        warnOpen(config)
      }
    },
    async stop() {
      stopping.abort()
      // Telemetry came first and goes last.
      for (const { listener } of [...open.values()].reverse()) await listener.stop()
      open = new Map()
    },
  }

  function warnOpen(config: Config): void {
    for (const { profile } of config.imdsEndpoints)
      emit({
        type: 'listener.warning',
        listener: `imds ${profile}`,
        message: `any local process can read the credentials of profile ${profile} from its IMDS endpoint: IMDS authenticates nobody. Prefer the container endpoint where the SDK can use it`,
      })
  }
}

/** What points an SDK at a consumer's profile. No secret: the token stays in its file. */
function consumerEnvironment(
  config: Config,
  consumer: ConsumerConfig,
  profile: ProfileView,
  container: OpenListener | undefined,
): Record<string, string> {
  const path = consumer.profiles.length === 1 ? '/v1/credentials' : `/v1/credentials/${profile.name}`
  const imds = config.imdsEndpoints.find((one) => one.profile === profile.name)
  return {
    ...(container === undefined
      ? imds === undefined
        ? {}
        : { AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://${imds.listen.host}:${imds.listen.port}` }
      : {
          AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://${container.address}${path}`,
          AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(config.runtimeDir, `${consumer.name}.token`),
        }),
    AWS_REGION: profile.region,
  }
}
