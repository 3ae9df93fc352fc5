// Which listeners a configuration wants, and what each of them answers.
import { join } from 'node:path'
import type { Config, ConsumerConfig } from '../config/config.ts'
import type { World } from '../core/events.ts'
import { createConsumerHandler } from '../endpoints/consumer.ts'
import { createContainerHandler } from '../endpoints/container.ts'
import { type Commands, createControlHandler } from '../endpoints/control.ts'
import type { ProfileView } from '../endpoints/documents.ts'
import { hostRule, retryAfter } from '../endpoints/guard.ts'
import { createImdsHandler } from '../endpoints/imds.ts'
import { createImdsTokens } from '../endpoints/imds-token.ts'
import { createProbesHandler, createStatusHandler } from '../endpoints/probes.ts'
import { type Handler, isLoopback, type ListenAt, type OpenListener } from '../endpoints/server.ts'
import type { createHealth } from '../telemetry/health.ts'
import type { Parts } from './parts.ts'
import { consumerOwner, imdsKeyName, type Secrets, socketMode, tokenName } from './runtime-dir.ts'

export interface ListenerDeps extends World, Pick<ReturnType<typeof createHealth>, 'health' | 'status'> {
  readonly parts: Parts
  readonly metrics: () => Promise<{ contentType: string; body: string }>
  readonly commands: Commands
  readonly control: boolean
  readonly env: NodeJS.ProcessEnv
  readonly further: readonly WantedListener[]
}

type OpenListeners = ReadonlyMap<string, OpenListener>

export interface WantedListener {
  readonly name: string
  readonly at: ListenAt
  /** The daemon goes on without it when it cannot be opened. */
  readonly optional?: true
  /** It gives credentials, and closes before those that do not. */
  readonly credentials?: true
  /** Called when all are open and the parts are there: real ports and profiles are known. */
  readonly handler: (open: OpenListeners, secrets: Secrets) => Handler
}

export const unavailable: Handler = () => ({ status: 503, headers: retryAfter })

/**
 * Every listener, those that give no secret first. The control socket is the first of all: two daemons cannot share a runtime
 * directory. Throws config_invalid for an unknown owner or group. `stopping` ends waits of requests.
 */
export function wantedListeners(config: Config, deps: ListenerDeps, stopping: AbortSignal): WantedListener[] {
  const { parts, clock, emit } = deps
  const { runtimeDir, metricsEndpoint: metrics, statusEndpoint: status, containerEndpoint: container } = config
  const wanted: WantedListener[] = []
  /** The views of profiles by name, as they are when it is called. */
  const viewsOf = (names: readonly string[]): ProfileView[] => names.flatMap((name) => parts.profiles.get(name)?.view ?? [])

  if (deps.control)
    wanted.push({
      name: 'control',
      at: { kind: 'unix', path: join(runtimeDir, 'control.sock'), mode: 0o600 },
      handler: () => createControlHandler(deps.status, deps.commands),
    })
  if (metrics !== undefined) {
    const hosts = hostRule(metrics.listen.host, metrics.hostNames, true)
    const at: ListenAt = { kind: 'tcp', ...metrics.listen, loopbackOnly: false }
    wanted.push({ name: 'metrics', at, handler: () => createProbesHandler({ hosts, health: deps.health, metrics: deps.metrics }) })
  }
  if (status !== undefined) {
    const at: ListenAt = { kind: 'tcp', ...status.listen, loopbackOnly: isLoopback(status.listen.host) }
    wanted.push({ name: 'status', at, handler: () => createStatusHandler(hostRule(status.listen.host, []), deps.status) })
  }
  wanted.push(...deps.further)

  for (const consumer of config.consumers) {
    const { name, mode, profiles, audiences } = consumer
    wanted.push({
      name: `consumer ${name}`,
      credentials: true,
      at: { kind: 'unix', path: join(runtimeDir, `${name}.sock`), mode: socketMode(mode), ...consumerOwner(consumer) },
      handler: (open) => {
        const jwt = parts.identities.get('default')?.jwt
        return createConsumerHandler({
          name,
          profiles: viewsOf(profiles),
          audiences: new Map(jwt === undefined ? [] : audiences.map((audience) => [audience, jwt.watch([audience])])),
          environment: (profile) => consumerEnvironment(runtimeDir, consumer, profile, open),
          clock,
          emit,
        })
      },
    })
  }
  for (const { listen, hostNames, profile: name, uids, availabilityZone } of config.imdsEndpoints) {
    const hosts = hostRule(listen.host, hostNames)
    const listener = `imds ${name}`
    wanted.push({
      name: listener,
      credentials: true,
      at: { kind: 'tcp', ...listen, loopbackOnly: true },
      handler: (_open, secrets) => {
        const [profile] = viewsOf([name])
        const key = secrets.get(imdsKeyName)?.[0]?.bytes
        if (profile === undefined || key === undefined) return unavailable
        return createImdsHandler({ hosts, profile, uids, availabilityZone, tokens: createImdsTokens(key, listener, clock), clock, emit, signal: stopping })
      },
    })
  }
  if (container !== undefined)
    wanted.push({
      name: 'container',
      credentials: true,
      at: { kind: 'tcp', ...container.listen, loopbackOnly: true },
      handler: (_open, secrets) =>
        createContainerHandler({
          hosts: hostRule(container.listen.host, container.hostNames),
          consumers: config.consumers.map(({ name, profiles, uids }) => ({
            name,
            uids,
            tokens: secrets.get(tokenName(name)) ?? [],
            profiles: viewsOf(profiles),
          })),
          profiles: new Set(config.profiles.map(({ name }) => name)),
          clock,
          emit,
        }),
    })
  return wanted
}

/** What points an SDK at a consumer's profile. No secret: the token stays in its file. */
function consumerEnvironment(runtimeDir: string, consumer: ConsumerConfig, profile: ProfileView, open: OpenListeners): Record<string, string> {
  const path = consumer.profiles.length === 1 ? '/v1/credentials' : `/v1/credentials/${profile.name}`
  const endpoint = open.get('container')
  const metadata = open.get(`imds ${profile.name}`)
  // boto3 reads the second name only.
  const region = { AWS_REGION: profile.region, AWS_DEFAULT_REGION: profile.region }
  if (endpoint !== undefined)
    return {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://${endpoint.address}${path}`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(runtimeDir, tokenName(consumer.name)),
      ...region,
    }
  return metadata === undefined ? region : { AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://${metadata.address}`, ...region }
}
