// Which listeners a configuration wants, and what each of them answers.
import { join } from 'node:path'
import type { Config, ConsumerConfig, ListenConfig } from '../config/config.ts'
import type { HealthReport, StatusReport } from '../core/health.ts'
import { createConsumerHandler } from '../endpoints/consumer.ts'
import { createContainerHandler } from '../endpoints/container.ts'
import { type Commands, createControlHandler } from '../endpoints/control.ts'
import type { ProfileView } from '../endpoints/documents.ts'
import { hostRule } from '../endpoints/guard.ts'
import { createImdsHandler } from '../endpoints/imds.ts'
import { createImdsTokens } from '../endpoints/imds-token.ts'
import { createProbesHandler } from '../endpoints/probes.ts'
import { type Handler, isLoopback, type ListenAt, type OpenListener } from '../endpoints/server.ts'
import { createStatusHandler } from '../endpoints/status.ts'
import type { World } from './assemble.ts'
import type { Parts } from './parts.ts'
import { consumerToken, imdsKey, ownerOf, socketMode } from './runtime-dir.ts'

export interface ListenerDeps extends World {
  readonly parts: Parts
  readonly health: () => HealthReport
  readonly status: () => StatusReport
  readonly metrics: () => Promise<{ contentType: string; body: string }>
  readonly commands: Commands
}

export interface WantedListener {
  readonly name: string
  readonly at: ListenAt
  /** Called when all are open and the parts are there: real ports and profiles are known. */
  readonly handler: (open: ReadonlyMap<string, OpenListener>, secrets: Secrets) => Handler
}

export const unavailable: Handler = () => ({ status: 503, headers: { 'retry-after': '1' } })

const tcp = ({ host, port }: ListenConfig, loopbackOnly: boolean): ListenAt => ({ kind: 'tcp', host, port, loopbackOnly })

/** The tokens by consumer, and the key of the IMDS tokens. */
export interface Secrets {
  readonly tokens: ReadonlyMap<string, Buffer>
  readonly imdsKey: Buffer | undefined
}

/** Writes what consumers need; what is held already is kept. Throws runtime_dir. */
export async function writeSecrets(config: Config, held: Secrets | undefined): Promise<Secrets> {
  const tokens = new Map<string, Buffer>()
  for (const consumer of config.consumers)
    tokens.set(consumer.name, await consumerToken(config.runtimeDir, consumer, ownerOf(consumer), held?.tokens.get(consumer.name)))
  return { tokens, imdsKey: config.imdsEndpoints.length === 0 ? held?.imdsKey : (held?.imdsKey ?? (await imdsKey(config.runtimeDir))) }
}

/** The listeners that give credentials. Throws config_invalid for an unknown owner or group. `stopping` ends waits of requests. */
export const credentialListeners = (config: Config, deps: ListenerDeps, stopping: AbortSignal): WantedListener[] => [
  ...config.consumers.map((consumer) => consumerSocket(config, consumer, deps)),
  ...imds(config, deps, stopping),
  ...container(config, deps),
]

/** The views of profiles by name, as they are when it is called. */
const viewsOf = ({ parts }: ListenerDeps, names: readonly string[]): ProfileView[] => names.flatMap((name) => parts.profiles.get(name)?.view ?? [])

/** The listeners that give no secret. The control socket is the first of all: two daemons cannot share a runtime directory. */
export function telemetryListeners(config: Config, deps: ListenerDeps): WantedListener[] {
  const { metricsEndpoint: metrics, statusEndpoint: status } = config
  const wanted: WantedListener[] = [
    {
      name: 'control',
      at: { kind: 'unix', path: join(config.runtimeDir, 'control.sock'), mode: 0o600 },
      handler: () => createControlHandler(deps.status, deps.commands),
    },
  ]
  if (metrics !== undefined) {
    const hosts = hostRule(metrics.listen.host, metrics.hostNames, true)
    wanted.push({ name: 'metrics', at: tcp(metrics.listen, false), handler: () => createProbesHandler({ hosts, health: deps.health, metrics: deps.metrics }) })
  }
  if (status !== undefined) {
    const hosts = hostRule(status.listen.host, [])
    wanted.push({ name: 'status', at: tcp(status.listen, isLoopback(status.listen.host)), handler: () => createStatusHandler(hosts, deps.status) })
  }
  return wanted
}

function imds(config: Config, deps: ListenerDeps, stopping: AbortSignal): WantedListener[] {
  const { clock, emit } = deps
  return config.imdsEndpoints.map(({ listen: at, hostNames, profile: wanted, availabilityZone }) => {
    const name = `imds ${wanted}`
    const handler: WantedListener['handler'] = (_open, secrets) => {
      const [profile] = viewsOf(deps, [wanted])
      return profile === undefined || secrets.imdsKey === undefined
        ? unavailable
        : createImdsHandler({
            hosts: hostRule(at.host, hostNames),
            profile,
            availabilityZone,
            tokens: createImdsTokens(secrets.imdsKey, name, clock),
            clock,
            emit,
            signal: stopping,
          })
    }
    return { name, at: tcp(at, true), handler }
  })
}

function container(config: Config, deps: ListenerDeps): WantedListener[] {
  const endpoint = config.containerEndpoint
  if (endpoint === undefined) return []
  const all = config.profiles.map(({ name }) => name)
  const handler: WantedListener['handler'] = (_open, { tokens }) =>
    createContainerHandler({
      hosts: hostRule(endpoint.listen.host, endpoint.hostNames),
      consumers: config.consumers.map(({ name, profiles }) => ({ name, token: tokens.get(name) ?? Buffer.alloc(0), profiles: viewsOf(deps, profiles) })),
      profiles: new Map(viewsOf(deps, all).map((view) => [view.name, view])),
      clock: deps.clock,
      emit: deps.emit,
    })
  return [{ name: 'container', at: tcp(endpoint.listen, true), handler }]
}

function consumerSocket(config: Config, consumer: ConsumerConfig, deps: ListenerDeps): WantedListener {
  const { clock, emit } = deps
  const handler: WantedListener['handler'] = (open) => {
    const jwt = deps.parts.identities.get('default')?.jwt
    return createConsumerHandler({
      name: consumer.name,
      profiles: viewsOf(deps, consumer.profiles),
      audiences: new Map(jwt === undefined ? [] : consumer.audiences.map((audience) => [audience, jwt.watch([audience])])),
      environment: (profile) => consumerEnvironment(config, consumer, profile, open),
      clock,
      emit,
    })
  }
  const path = join(config.runtimeDir, `${consumer.name}.sock`)
  return { name: `consumer ${consumer.name}`, at: { kind: 'unix', path, mode: socketMode(consumer.mode), ...ownerOf(consumer) }, handler }
}

/** What points an SDK at a consumer's profile. No secret: the token stays in its file. */
function consumerEnvironment(config: Config, consumer: ConsumerConfig, profile: ProfileView, open: ReadonlyMap<string, OpenListener>): Record<string, string> {
  const path = consumer.profiles.length === 1 ? '/v1/credentials' : `/v1/credentials/${profile.name}`
  const endpoint = open.get('container')
  const metadata = open.get(`imds ${profile.name}`)
  const pointing: Record<string, string> =
    endpoint !== undefined
      ? {
          AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://${endpoint.address}${path}`,
          AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(config.runtimeDir, `${consumer.name}.token`),
        }
      : metadata !== undefined
        ? { AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://${metadata.address}` }
        : {}
  // boto3 reads the second name only.
  return { ...pointing, AWS_REGION: profile.region, AWS_DEFAULT_REGION: profile.region }
}
