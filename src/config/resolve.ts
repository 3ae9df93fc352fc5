// From what was written to what is meant: defaults filled in, nouns parsed, references checked, every mistake kept.
import { readFileSync } from 'node:fs'
import { isIPv4, isIPv6 } from 'node:net'
import { type Arn, parseArn } from '../aws/arn.ts'
import { serviceUrl } from '../aws/hosts.ts'
import { errorText } from '../core/errors.ts'
import { parseSocketAddress } from '../spiffe/socket-address.ts'
import { parseSpiffeId } from '../spiffe/spiffe-id.ts'
import type { Config, ConsumerConfig, IdentityConfig, ListenConfig, MethodConfig, ProfileConfig } from './config.ts'
import { type Mistake, nearest, type Path } from './mistakes.ts'
import type { RawConfig, RawProfile } from './schema.ts'

export interface Surroundings {
  readonly env: NodeJS.ProcessEnv
  readonly uid: number | undefined
  readonly terminal: boolean
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/
const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

const milliseconds = (text: string): number => {
  const [, digits = '0', unit = 's'] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? []
  return Number(digits) * (units[unit] ?? 0)
}

/** Where runtime files live when nothing is configured. systemd gives a list, of which the first is ours. */
export function defaultRuntimeDir({ env, uid }: Surroundings): string {
  const xdg = env['XDG_RUNTIME_DIR']
  return (
    env['SVIDECAR_RUNTIME_DIR'] ||
    env['RUNTIME_DIRECTORY']?.split(':')[0] ||
    (uid !== 0 && xdg ? `${xdg}/svidecar` : '/run/svidecar')
  )
}

/** Resolves a configuration of the right shape. The Config is whole only if there are no mistakes. */
export function resolveConfig(
  raw: RawConfig,
  origin: string,
  around: Surroundings,
): { config: Config; mistakes: readonly Mistake[] } {
  const mistakes: Mistake[] = []
  const wrong = (path: Path, message: string, key = false) => void mistakes.push({ path, message, key })
  const attempt = <T>(path: Path, make: () => T, fallback: T): T => {
    try {
      return make()
    } catch (error) {
      wrong(path, errorText(error))
      return fallback
    }
  }
  const reference = (path: Path, name: string, names: readonly string[], what: string) => {
    if (names.includes(name)) return
    const near = nearest(name, names)
    wrong(
      path,
      `there is no ${what} ${JSON.stringify(name)}${near === undefined ? ` (there is ${names.join(', ') || 'none'})` : `; did you mean ${near}?`}`,
    )
  }
  const named = (path: Path, names: readonly string[]) => {
    for (const name of names)
      if (!namePattern.test(name))
        wrong([...path, name], 'a name has letters, digits, dashes and underscores, at most 63', true)
  }
  const listen = (path: Path, text: string | undefined, fallback: number, loopback: boolean): ListenConfig => {
    const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text ?? `127.0.0.1:${fallback}`)
    const host = match?.[1] ?? match?.[2] ?? ''
    const port = Number(match?.[3] ?? Number.NaN)
    if (!(isIPv4(host) || isIPv6(host)) || !(port <= 65_535))
      wrong(path, `${JSON.stringify(text)} is not an IP address and a port, such as 127.0.0.1:${fallback}`)
    else if (loopback && !/^127\./.test(host) && host !== '::1')
      wrong(path, `${host} is not a loopback address, and this listener gives credentials`)
    return { host, port }
  }

  const rawIdentities: NonNullable<RawConfig['identities']> = raw.identities ?? { default: {} }
  const socket = around.env['SPIFFE_ENDPOINT_SOCKET']
  named(['identities'], Object.keys(rawIdentities))
  const identities = Object.entries(rawIdentities).map(([name, identity]): IdentityConfig => {
    const path = ['identities', name]
    const text = identity.workload_api ?? socket
    if (text === undefined)
      wrong(
        raw.identities === undefined ? [] : path,
        'there is no Workload API address: set SPIFFE_ENDPOINT_SOCKET or workload_api',
      )
    return {
      name,
      workloadApi: attempt([...path, 'workload_api'], () => parseSocketAddress(text ?? 'unix:///unset'), {
        kind: 'unix',
        path: '',
        text: '',
      }),
      spiffeId:
        identity.spiffe_id === undefined
          ? undefined
          : attempt([...path, 'spiffe_id'], () => parseSpiffeId(identity.spiffe_id ?? ''), undefined),
      hint: identity.hint,
    }
  })

  const arn = (path: Path, text: string, kind: Parameters<typeof parseArn>[1]): Arn =>
    attempt(path, () => parseArn(text, kind), {
      text,
      partition: 'aws',
      service: '',
      region: '',
      account: '',
      resource: '',
    })
  const session = (path: Path, text: string | undefined): number => {
    const seconds = milliseconds(text ?? '1h') / 1000
    if (seconds < 900 || seconds > 43_200)
      wrong([...path, 'session_duration'], `${text} is not between 15m and 12h, which is what AWS takes`)
    return seconds
  }
  function method(path: Path, profile: RawProfile): MethodConfig | undefined {
    const { roles_anywhere: anywhere, web_identity: web } = profile
    if ((anywhere === undefined) === (web === undefined)) {
      wrong(
        path,
        anywhere === undefined
          ? 'say how: roles_anywhere or web_identity'
          : 'say either roles_anywhere or web_identity, not both',
      )
      return undefined
    }
    if (web !== undefined)
      return {
        kind: 'web_identity',
        role: arn([...path, 'web_identity', 'role_arn'], web.role_arn, 'role'),
        audience: web.audience,
        durationSeconds: session([...path, 'web_identity'], web.session_duration),
      }
    if (anywhere === undefined) return undefined
    const inside = [...path, 'roles_anywhere']
    const found = {
      kind: 'roles_anywhere' as const,
      trustAnchor: arn([...inside, 'trust_anchor_arn'], anywhere.trust_anchor_arn, 'trust-anchor'),
      profile: arn([...inside, 'profile_arn'], anywhere.profile_arn, 'profile'),
      role: arn([...inside, 'role_arn'], anywhere.role_arn, 'role'),
    }
    if (
      found.profile.region !== '' &&
      found.trustAnchor.region !== '' &&
      found.profile.region !== found.trustAnchor.region
    )
      wrong(
        [...inside, 'profile_arn'],
        `the profile is in ${found.profile.region} and the trust anchor in ${found.trustAnchor.region}; they must be in one region`,
      )
    return { ...found, durationSeconds: session(inside, anywhere.session_duration) }
  }
  function endpoint(path: Path, profile: RawProfile, fallback: URL): string {
    if (profile.endpoint === undefined) return fallback.href
    return attempt(
      [...path, 'endpoint'],
      () => checkEndpoint(profile.endpoint ?? '', profile.allow_plaintext ?? false),
      fallback.href,
    )
  }

  named(['profiles'], Object.keys(raw.profiles))
  if (Object.keys(raw.profiles).length === 0) wrong(['profiles'], 'there is no profile')
  const identityNames = identities.map(({ name }) => name)
  const profiles = Object.entries(raw.profiles).flatMap(([name, profile]): ProfileConfig[] => {
    const path = ['profiles', name]
    const identity = profile.identity ?? 'default'
    reference(profile.identity === undefined ? path : [...path, 'identity'], identity, identityNames, 'identity')
    const how = method(path, profile)
    if (how === undefined) return []
    const anchorRegion = how.kind === 'roles_anywhere' ? how.trustAnchor.region : ''
    const region =
      profile.region ??
      (how.kind === 'roles_anywhere' ? anchorRegion || around.env['AWS_REGION'] : around.env['AWS_REGION']) ??
      ''
    if (!/^[a-z0-9-]{3,32}$/.test(region))
      wrong(
        profile.region === undefined ? path : [...path, 'region'],
        region === '' ? 'there is no region: set region or AWS_REGION' : `${JSON.stringify(region)} is not a region`,
      )
    else if (anchorRegion !== '' && region !== anchorRegion)
      wrong([...path, 'region'], `the trust anchor is in ${anchorRegion}, and CreateSession is answered only there`)
    if (profile.session_name !== undefined && !/^[\w+=,.@-]{2,64}$/.test(profile.session_name))
      wrong([...path, 'session_name'], 'a session name has 2 to 64 letters, digits and any of _+=,.@-')
    const service = serviceUrl(
      how.kind === 'roles_anywhere' ? 'rolesanywhere' : 'sts',
      region || 'us-east-1',
      how.role.partition,
    )
    const ca =
      profile.ca_file === undefined
        ? undefined
        : attempt([...path, 'ca_file'], () => readFileSync(profile.ca_file ?? '', 'utf8'), undefined)
    return [
      {
        name,
        identity,
        method: how,
        required: profile.required ?? true,
        region,
        endpoint: endpoint(path, profile, service),
        sessionName: profile.session_name,
        ca,
      },
    ]
  })

  const profileNames = Object.keys(raw.profiles)
  named(['consumers'], Object.keys(raw.consumers ?? {}))
  const consumers = Object.entries(raw.consumers ?? {}).map(([name, consumer]): ConsumerConfig => {
    const path = ['consumers', name]
    if (name === 'control') wrong(path, 'the name control is taken by the control socket', true)
    for (const [index, profile] of consumer.profiles.entries())
      reference([...path, 'profiles', index], profile, profileNames, 'profile')
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
  if (raw.container_endpoint !== undefined && consumers.length === 0)
    wrong(['container_endpoint'], 'nobody may read from it: name a consumer')

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
    statusEndpoint: raw.status_endpoint && {
      listen: listen(['status_endpoint', 'listen'], raw.status_endpoint.listen, 9914, false),
    },
    runtimeDir: raw.runtime_dir ?? defaultRuntimeDir(around),
    onIdentityWithdrawn: raw.on_identity_withdrawn ?? 'keep',
    shutdownGraceMs: milliseconds(raw.shutdown_grace ?? '0s'),
    log: { level: raw.log?.level ?? 'info', format: raw.log?.format ?? (around.terminal ? 'text' : 'json') },
  }
  return { config, mistakes }
}

function checkEndpoint(text: string, allowPlaintext: boolean): string {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new Error(`${JSON.stringify(text)} is not a URL`)
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new Error('an endpoint has no user, query or fragment')
  const loopback = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && (loopback || allowPlaintext))) {
    throw new Error(
      url.protocol === 'http:'
        ? `plain http to ${url.hostname} would show credentials to the network; use https, or say allow_plaintext: true`
        : 'an endpoint starts with https://',
    )
  }
  return url.href
}
