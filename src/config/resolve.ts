// From what was written to what is meant: defaults filled in, nouns parsed, references checked, every mistake kept.
import { isIPv4, isIPv6 } from 'node:net'
import { resolve } from 'node:path'
import { parseSocketAddress } from '../spiffe/socket-address.ts'
import { parseSpiffeId } from '../spiffe/spiffe-id.ts'
import type { Config, ConsumerConfig, IdentityConfig, ListenConfig } from './config.ts'
import { createChecker, type Declared, type Mistake, type Path } from './mistakes.ts'
import { octal, resolveFiles, resolveHooks } from './resolve-files.ts'
import { milliseconds, resolveProfile } from './resolve-profile.ts'
import type { RawConfig } from './schema.ts'

export interface Surroundings {
  readonly env: NodeJS.ProcessEnv
  readonly uid: number | undefined
  readonly terminal: boolean
  /** Files come from elsewhere, so the configuration need not name any. */
  readonly beside?: true
}

// Names become those of files, sockets and labels.
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/

/** Where runtime files live when nothing is configured. systemd gives a list, of which the first is ours. */
export function defaultRuntimeDir({ env, uid }: Surroundings): string {
  const xdg = env['XDG_RUNTIME_DIR']
  return env['SVIDECAR_RUNTIME_DIR'] || env['RUNTIME_DIRECTORY']?.split(':')[0] || (uid !== 0 && xdg ? `${xdg}/svidecar` : '/run/svidecar')
}

/** Resolves a configuration of the right shape. The Config is whole only if there are no mistakes. */
export function resolveConfig(raw: RawConfig, origin: string, around: Surroundings, declared: Declared): { config: Config; mistakes: readonly Mistake[] } {
  const check = createChecker(declared)
  const { wrong, attempt, reference } = check
  const listen = (path: Path, text: string | undefined, fallback: number, loopback: boolean): ListenConfig => {
    const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text ?? `127.0.0.1:${fallback}`)
    const host = match?.[1] ?? match?.[2] ?? ''
    const port = Number(match?.[3] ?? Number.NaN)
    if (!(isIPv4(host) || isIPv6(host)) || !(port <= 65_535))
      wrong(path, `${JSON.stringify(text)} is not an IP address and a port, such as 127.0.0.1:${fallback}`)
    else if (loopback && !host.startsWith('127.') && host !== '::1') wrong(path, `${host} is not a loopback address, and this listener gives credentials`)
    return { host, port }
  }
  const endpoint = (path: Path, given: { listen?: string | undefined; host_names?: string[] | undefined }, port: number, loopback: boolean) => ({
    listen: listen([...path, 'listen'], given.listen, port, loopback),
    hostNames: given.host_names ?? [],
  })
  const { consumers = {}, container_endpoint: container, imds_endpoints: imds = [], metrics_endpoint: metrics, status_endpoint: status } = raw
  for (const key of ['identities', 'profiles', 'consumers'] as const)
    for (const name of Object.keys(raw[key] ?? {}))
      if (!namePattern.test(name)) wrong([key, name], 'a name has letters, digits, dashes and underscores, at most 63', true)

  const config: Config = {
    origin,
    identities: Object.entries(raw.identities ?? { default: {} }).map(([name, identity]): IdentityConfig => {
      const path = ['identities', name]
      const { workload_api: text = around.env['SPIFFE_ENDPOINT_SOCKET'], spiffe_id: spiffeId, hint, choose } = identity
      if (choose !== undefined && (spiffeId ?? hint) !== undefined) wrong([...path, 'choose'], 'spiffe_id and hint say which identity it is')
      if (text === undefined) wrong(raw.identities === undefined ? [] : path, 'there is no Workload API address: set SPIFFE_ENDPOINT_SOCKET or workload_api')
      return {
        name,
        workloadApi: attempt([...path, 'workload_api'], () => parseSocketAddress(text ?? 'unix:///unset'), { kind: 'unix', path: '', text: '' }),
        spiffeId: spiffeId === undefined ? undefined : attempt([...path, 'spiffe_id'], () => parseSpiffeId(spiffeId), undefined),
        hint,
        ...(choose === 'first' ? { followFirst: true } : {}),
      }
    }),
    profiles: Object.entries(raw.profiles ?? {}).flatMap(([name, profile]) => resolveProfile(name, profile, around.env, check) ?? []),
    consumers: Object.entries(consumers).map(([name, { profiles, audiences, owner, group, uids, mode = '0440' }]): ConsumerConfig => {
      const path = ['consumers', name]
      if (name === 'control') wrong(path, 'the name control is taken by the control socket', true)
      for (const [index, profile] of profiles.entries()) reference([...path, 'profiles', index], 'profile', profile)
      if (audiences !== undefined) reference([...path, 'audiences'], 'identity', 'default')
      return { name, profiles, audiences: audiences ?? [], owner, group, uids, mode: octal(mode) }
    }),
    files: resolveFiles(raw.files ?? [], around.env['HOME'], check),
    hooks: resolveHooks(raw.hooks ?? [], check),
    containerEndpoint: container && endpoint(['container_endpoint'], container, 9912, true),
    imdsEndpoints: imds.map((given, index) => {
      const path = ['imds_endpoints', index]
      const { profile, uids, availability_zone: availabilityZone } = given
      reference([...path, 'profile'], 'profile', profile)
      if (imds.slice(0, index).some((other) => other.profile === profile)) wrong([...path, 'profile'], `profile ${profile} has an IMDS endpoint already`)
      return { ...endpoint(path, given, 9911, true), profile, uids, availabilityZone }
    }),
    metricsEndpoint: metrics && endpoint(['metrics_endpoint'], metrics, 9913, false),
    statusEndpoint: status && { listen: listen(['status_endpoint', 'listen'], status.listen, 9914, false) },
    // Applications are told the path of their token file, and they run elsewhere.
    runtimeDir: resolve(raw.runtime_dir ?? defaultRuntimeDir(around)),
    onIdentityWithdrawn: raw.on_identity_withdrawn ?? 'keep',
    reload: raw.reload ?? 'signal',
    stopTimeoutMs: milliseconds(raw.stop_timeout ?? '5s'),
    shutdownGraceMs: milliseconds(raw.shutdown_grace ?? '0s'),
    log: { level: raw.log?.level ?? 'info', format: raw.log?.format ?? (around.terminal ? 'text' : 'json') },
  }
  if (declared.profile.length === 0 && (raw.files ?? []).length === 0 && !around.beside) wrong(['profiles'], 'there is no profile, and there are no files')
  if (container !== undefined && raw.consumers === undefined) wrong(['container_endpoint'], 'nobody may read from it: name a consumer')
  return { config, mistakes: check.mistakes }
}
