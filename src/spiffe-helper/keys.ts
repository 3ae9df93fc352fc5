// The keys of helper.conf: their types, their defaults, and what spiffe-helper v0.11.0 says of values that do not go together.
import { parseHcl1 } from './hcl1.ts'
import { type Decoded, decodeStruct, type Shape } from './hcl1-decode.ts'

const jwtShape: Shape = { jwt_audience: 'string', jwt_extra_audiences: 'strings', jwt_svid_file_name: 'string' }

/** In the order of the original's struct, which decides which of several mistakes is told. */
const shape: Shape = {
  add_intermediates_to_bundle: 'bool',
  agent_address: 'string',
  cmd: 'string',
  cmd_args: 'string',
  pid_file_name: 'string',
  cert_dir: 'string',
  cert_file_mode: 'int',
  key_file_mode: 'int',
  jwt_bundle_file_mode: 'int',
  jwt_svid_file_mode: 'int',
  include_federated_domains: 'bool',
  omit_expired: 'bool',
  renew_signal: 'string',
  daemon_mode: 'bool',
  health_checks: { struct: { listener_enabled: 'bool', bind_port: 'int', liveness_path: 'string', readiness_path: 'string' } },
  hint: 'string',
  svid_file_name: 'string',
  svid_key_file_name: 'string',
  svid_bundle_file_name: 'string',
  jwt_svids: { list: jwtShape },
  jwt_bundle_file_name: 'string',
}

/** Keys of ours. The original looks past keys in quotes, so one file serves both. */
const ours: Shape = { svidecar_config: 'string', svidecar_timeout: 'string' }

export type HelperConfig = ReturnType<typeof validateHelperConf>

const defaultAgentAddress = '/tmp/spire-agent/public/api.sock'

/** Parses the text of helper.conf. Throws Hcl1Error. */
export function parseHelperConf(text: string): Decoded {
  const items = parseHcl1(text)
  const own = items.filter(({ keys }) => keys.length === 1 && keys[0]?.quoted && Object.hasOwn(ours, keys[0].name.toLowerCase()))
  const { values, unknown } = decodeStruct('root', shape, items)
  return { values: { ...values, ...decodeStruct('root', ours, own).values }, unknown }
}

/**
 * Checks in the original's order, of which the first mistake is thrown as an Error, and fills in the defaults.
 * `daemonMode`: what the command line says, which goes before the file. `warn` gets warnings, while they are found.
 */
export function validateHelperConf({ values, unknown }: Decoded, daemonMode: boolean | undefined, env: NodeJS.ProcessEnv, warn: (text: string) => void) {
  const text = (key: string): string => (values[key] as string | undefined) ?? ''
  const int = (key: string): number => Number(values[key] ?? 0)
  if (unknown.length > 0) throw new Error(`unknown top level key(s): ${unknown.join(',')}`)
  const jwts = (values['jwt_svids'] ?? []) as readonly Decoded[]
  for (const [index, entry] of jwts.entries())
    if (entry.unknown.length > 0) throw new Error(`unknown key(s) in jwt_svids[${index}]: ${entry.unknown.join(',')}`)
  for (const entry of jwts) {
    if (!entry.values['jwt_svid_file_name']) throw new Error("'jwt_file_name' is required in 'jwt_svids'")
    if (!entry.values['jwt_audience']) throw new Error("'jwt_audience' is required in 'jwt_svids'")
  }
  const agentAddress = text('agent_address') || addressFrom(env, warn)
  const daemon = daemonMode ?? ((values['daemon_mode'] ?? true) as boolean)
  if (!daemon) {
    const ignored = (key: string) => warn(`${key} is set but daemon_mode is false. ${key} will be ignored. This may become an error in a future release.`)
    if (text('cmd') !== '') ignored('cmd')
    if (text('renew_signal') !== '') ignored('renew_signal')
    if (text('pid_file_name') !== '') throw new Error('pid_file_name is set but daemon_mode is false. pid_file_name is only supported in daemon_mode')
  }
  if (text('pid_file_name') !== '' && text('renew_signal') === '') throw new Error('must specify renew_signal when using pid_file_name')
  const names = ['svid_file_name', 'svid_key_file_name', 'svid_bundle_file_name'] as const
  const named = names.filter((key) => text(key) !== '').length
  if (named !== 0 && named !== 3) throw new Error(`all or none of ${names.map((key) => `'${key}'`).join(', ')} must be specified`)
  if (named === 0 && jwts.length === 0 && text('jwt_bundle_file_name') === '')
    throw new Error(`at least one of the sets (${names.map((key) => `'${key}'`).join(', ')}), 'jwt_svids', or 'jwt_bundle_file_name' must be fully specified`)
  const mode = (what: string): number | undefined => {
    const value = int(`${what}_file_mode`)
    if (value < 0) throw new Error(`${what.replaceAll('_', ' ')} file mode must be positive`)
    // Go's FileMode keeps other things than setuid and its like in these bits.
    return value === 0 ? undefined : value & 0o777
  }
  const modes = { cert: mode('cert'), key: mode('key'), jwtBundle: mode('jwt_bundle'), jwtSvid: mode('jwt_svid') }
  return {
    agentAddress,
    cmd: text('cmd'),
    cmdArgs: text('cmd_args'),
    pidFileName: text('pid_file_name'),
    certDir: text('cert_dir'),
    /** undefined: not set, so the usual one for a new file and none for one that was there. */
    modes,
    addIntermediatesToBundle: values['add_intermediates_to_bundle'] === true,
    includeFederatedDomains: values['include_federated_domains'] === true,
    omitExpired: values['omit_expired'] === true,
    renewSignal: text('renew_signal'),
    daemonMode: daemon,
    health: healthFrom((values['health_checks'] as Decoded | undefined)?.values ?? {}),
    hint: text('hint'),
    x509: named === 0 ? undefined : { certificate: text(names[0]), key: text(names[1]), bundle: text(names[2]) },
    jwtSvids: jwts.map((entry) => ({
      audience: String(entry.values['jwt_audience']),
      extraAudiences: (entry.values['jwt_extra_audiences'] ?? []) as string[],
      fileName: String(entry.values['jwt_svid_file_name']),
    })),
    jwtBundleFileName: text('jwt_bundle_file_name'),
    svidecarConfig: text('svidecar_config'),
    svidecarTimeout: text('svidecar_timeout'),
  }
}

function addressFrom(env: NodeJS.ProcessEnv, warn: (text: string) => void): string {
  const [old, current] = [env['SPIRE_AGENT_ADDRESS'], env['SPIFFE_ENDPOINT_SOCKET']]
  if (old && current)
    throw new Error(
      'both SPIRE_AGENT_ADDRESS and SPIFFE_ENDPOINT_SOCKET set. Use SPIFFE_ENDPOINT_SOCKET only. Support for SPIRE_AGENT_ADDRESS is deprecated and will be removed in 0.10.0',
    )
  if (old) warn('SPIRE_AGENT_ADDRESS is deprecated and will be removed in 0.10.0. Use SPIFFE_ENDPOINT_SOCKET instead.')
  return current || old || defaultAgentAddress
}

function healthFrom(values: Decoded['values']) {
  if (values['listener_enabled'] !== true) return undefined
  const port = Number(values['bind_port'] ?? 0)
  if (port < 0) throw new Error('bind port must be positive')
  const path = (key: string, usual: string): string => (values[key] as string | undefined) || usual
  return { port: port || 8081, livenessPath: path('liveness_path', '/live'), readinessPath: path('readiness_path', '/ready') }
}
