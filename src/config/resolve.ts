// From what was written to what is meant: defaults filled in, nouns parsed, references checked, every mistake kept.
import { isIPv4, isIPv6 } from 'node:net'
import { resolve } from 'node:path'
import { parseSocketAddress } from '../spiffe/socket-address.ts'
import { parseSpiffeId } from '../spiffe/spiffe-id.ts'
import type { Config, ConsumerConfig, IdentityConfig, ListenConfig } from './config.ts'
import { createChecker, type Mistake, type Path } from './mistakes.ts'
import { milliseconds, resolveProfile } from './resolve-profile.ts'
import type { RawConfig } from './schema.ts'

export interface Surroundings {
  readonly env: NodeJS.ProcessEnv
  readonly uid: number | undefined
  readonly terminal: boolean
}

/** Names that the document has, also of what is wrong in itself. */
export interface Declared {
  readonly profiles: readonly string[]
  readonly identities: readonly string[]
}

/** Where runtime files live when nothing is configured. systemd gives a list, of which the first is ours. */
export function defaultRuntimeDir({ env, uid }: Surroundings): string {
  const xdg = env['XDG_RUNTIME_DIR']
  return env['SVIDECAR_RUNTIME_DIR'] || env['RUNTIME_DIRECTORY']?.split(':')[0] || (uid !== 0 && xdg ? `${xdg}/svidecar` : '/run/svidecar')
}

/** Resolves a configuration of the right shape. The Config is whole only if there are no mistakes. */
export function resolveConfig(raw: RawConfig, origin: string, around: Surroundings, declared: Declared): { config: Config; mistakes: readonly Mistake[] } {
  const check = createChecker()
  const { wrong, attempt, reference, names: named } = check
  const listen = (path: Path, text: string | undefined, fallback: number, loopback: boolean): ListenConfig => {
    const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text ?? `127.0.0.1:${fallback}`)
    const host = match?.[1] ?? match?.[2] ?? ''
    const port = Number(match?.[3] ?? Number.NaN)
    if (!(isIPv4(host) || isIPv6(host)) || !(port <= 65_535))
      wrong(path, `${JSON.stringify(text)} is not an IP address and a port, such as 127.0.0.1:${fallback}`)
    else if (loopback && !host.startsWith('127.') && host !== '::1') wrong(path, `${host} is not a loopback address, and this listener gives credentials`)
    return { host, port }
  }

  const rawIdentities: NonNullable<RawConfig['identities']> = raw.identities ?? { default: {} }
  const socket = around.env['SPIFFE_ENDPOINT_SOCKET']
  named(['identities'], Object.keys(rawIdentities))
  const identities = Object.entries(rawIdentities).map(([name, identity]): IdentityConfig => {
    const path = ['identities', name]
    const text = identity.workload_api ?? socket
    if (text === undefined) wrong(raw.identities === undefined ? [] : path, 'there is no Workload API address: set SPIFFE_ENDPOINT_SOCKET or workload_api')
    return {
      name,
      workloadApi: attempt([...path, 'workload_api'], () => parseSocketAddress(text ?? 'unix:///unset'), { kind: 'unix', path: '', text: '' }),
      spiffeId: identity.spiffe_id === undefined ? undefined : attempt([...path, 'spiffe_id'], () => parseSpiffeId(identity.spiffe_id ?? ''), undefined),
      hint: identity.hint,
    }
  })

  named(['profiles'], Object.keys(raw.profiles))
  if (declared.profiles.length === 0) wrong(['profiles'], 'there is no profile')
  const { profiles: profileNames, identities: identityNames } = declared
  const profiles = Object.entries(raw.profiles).flatMap(([name, profile]) => resolveProfile(name, profile, identityNames, around.env, check) ?? [])

  named(['consumers'], Object.keys(raw.consumers ?? {}))
  const consumers = Object.entries(raw.consumers ?? {}).map(([name, consumer]): ConsumerConfig => {
    const path = ['consumers', name]
    if (name === 'control') wrong(path, 'the name control is taken by the control socket', true)
    for (const [index, profile] of consumer.profiles.entries()) reference([...path, 'profiles', index], profile, profileNames, 'profile')
    if (consumer.audiences !== undefined) reference([...path, 'audiences'], 'default', identityNames, 'identity')
    return {
      name,
      profiles: consumer.profiles,
      audiences: consumer.audiences ?? [],
      owner: consumer.owner,
      group: consumer.group,
      mode: Number.parseInt(consumer.mode ?? '0440', 8),
    }
  })
  if (raw.container_endpoint !== undefined && raw.consumers === undefined) wrong(['container_endpoint'], 'nobody may read from it: name a consumer')

  const hosts = (endpointConfig: { host_names?: string[] | undefined }) => endpointConfig.host_names ?? []
  const config: Config = {
    origin,
    identities,
    profiles,
    consumers,
    containerEndpoint: raw.container_endpoint && {
      listen: listen(['container_endpoint', 'listen'], raw.container_endpoint.listen, 9912, true),
      hostNames: hosts(raw.container_endpoint),
    },
    imdsEndpoints: (raw.imds_endpoints ?? []).map((imds, index) => {
      reference(['imds_endpoints', index, 'profile'], imds.profile, profileNames, 'profile')
      if (raw.imds_endpoints?.slice(0, index).some((other) => other.profile === imds.profile))
        wrong(['imds_endpoints', index, 'profile'], `profile ${imds.profile} has an IMDS endpoint already`)
      return {
        listen: listen(['imds_endpoints', index, 'listen'], imds.listen, 9911, true),
        hostNames: hosts(imds),
        profile: imds.profile,
        availabilityZone: imds.availability_zone,
      }
    }),
    metricsEndpoint: raw.metrics_endpoint && {
      listen: listen(['metrics_endpoint', 'listen'], raw.metrics_endpoint.listen, 9913, false),
      hostNames: hosts(raw.metrics_endpoint),
    },
    statusEndpoint: raw.status_endpoint && { listen: listen(['status_endpoint', 'listen'], raw.status_endpoint.listen, 9914, false) },
    // Applications are told the path of their token file, and they run elsewhere.
    runtimeDir: resolve(raw.runtime_dir ?? defaultRuntimeDir(around)),
    onIdentityWithdrawn: raw.on_identity_withdrawn ?? 'keep',
    shutdownGraceMs: milliseconds(raw.shutdown_grace ?? '0s'),
    log: { level: raw.log?.level ?? 'info', format: raw.log?.format ?? (around.terminal ? 'text' : 'json') },
  }
  return { config, mistakes: check.mistakes }
}
