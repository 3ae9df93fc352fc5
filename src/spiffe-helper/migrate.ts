// helper.conf as svidecar's own configuration, with a comment for each thing that is different there.
import { posix } from 'node:path'
import { splitArguments } from './cmd-args.ts'
import { joined } from './configuration.ts'
import { type HelperConfig, parseHelperConf, validateHelperConf } from './keys.ts'

const text = (value: string): string =>
  /^[A-Za-z0-9./][\w./:-]*$/.test(value) && !/^[\d.]+$|^(true|false|null|yes|no|on|off)$/i.test(value) ? value : JSON.stringify(value)
const words = (list: readonly string[]): string => `[${list.map(text).join(', ')}]`
const block = (pairs: Readonly<Record<string, string | undefined>>): string =>
  `{ ${Object.entries(pairs)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key}: ${value}`]))
    .join(', ')} }`

/** svidecar's files can be written by their owner alone, and be executed by nobody. */
function mode(given: number | undefined, what: string, note: (line: string) => void): string | undefined {
  if (given === undefined) return undefined
  const allowed = (given & 0o644) | 0o400
  const spelled = (value: number): string => `0${value.toString(8).padStart(3, '0')}`
  if (allowed !== given) note(`${what} was ${spelled(given)}; nobody but the owner may write here, and nobody execute.`)
  return JSON.stringify(spelled(allowed))
}

/** Translates the text of helper.conf. Throws what spiffe-helper would say of it. */
export function migrate(source: string, env: NodeJS.ProcessEnv): string {
  const warnings: string[] = []
  const helper = validateHelperConf(parseHelperConf(source), undefined, env, (warning) => warnings.push(warning))
  const lines: string[] = []
  const note = (line: string, indent = '') => lines.push(`${indent}# ${line}`)
  for (const warning of warnings) note(warning)
  if (!helper.daemonMode) note('daemon_mode = false: run this with `svidecar once`.')
  if (helper.svidecarConfig !== '') note(`"svidecar_config" = ${JSON.stringify(helper.svidecarConfig)}: merge that file with this one.`)
  lines.push('identities:')
  if (helper.hint === '') note('choose: first follows whichever identity the agent puts first, as spiffe-helper does; spiffe_id names one for good.', '  ')
  const address = /^(unix|tcp):/.test(helper.agentAddress) ? helper.agentAddress : `unix://${helper.agentAddress}`
  lines.push(
    `  default: ${block({ workload_api: text(address), hint: helper.hint === '' ? undefined : text(helper.hint), choose: helper.hint === '' ? 'first' : undefined })}`,
  )
  lines.push('files:', ...files(helper))
  const told = hooks(helper)
  if (told.length > 0) lines.push('hooks:', ...told)
  if (helper.health !== undefined) {
    const { port, livenessPath, readinessPath } = helper.health
    note(`Probes: ${livenessPath} is /livez, ${readinessPath} is /readyz; there are /startupz and /metrics, too. The answers have another body.`)
    lines.push(`metrics_endpoint: { listen: 0.0.0.0:${port} }`)
  }
  return `${lines.join('\n')}\n`
}

function files({ certDir, x509, modes, ...helper }: HelperConfig): string[] {
  const lines: string[] = []
  const note = (line: string) => lines.push(`  # ${line}`)
  if (Object.values(modes).some((one) => one !== undefined)) note('Modes are set on every write, whatever the umask.')
  if (x509 !== undefined) {
    const paths = Object.entries(x509).map(([what, name]) => [what, joined(certDir, name)] as const)
    const directory = posix.dirname(paths[0]?.[1] ?? '')
    note('The three names become links into the newest generation: a reader that opens <directory>/..data once never sees a mix.')
    if (paths.some(([, path]) => posix.dirname(path) !== directory)) note('The files lay in different directories; a set lies in one.')
    note('A container that mounts single files of the directory must mount the directory.')
    const certMode = mode(modes.cert, 'cert_file_mode', note)
    const keyMode = mode(modes.key, 'key_file_mode', note)
    if (helper.includeFederatedDomains) note('merged: any federated trust domain can then name anybody; federated: files gives one bundle each.')
    const pairs = {
      directory: text(directory),
      ...Object.fromEntries(paths.map(([what, path]) => [what, text(posix.basename(path))])),
      mode: certMode,
      key_mode: keyMode,
      intermediates: helper.addIntermediatesToBundle ? 'bundle' : undefined,
      federated: helper.includeFederatedDomains ? 'merged' : undefined,
      omit_expired: helper.omitExpired ? 'true' : undefined,
    }
    lines.push(`  - x509: ${block(pairs)}`)
  }
  if (helper.jwtBundleFileName !== '') {
    note('format: jwks is what JWT libraries read.')
    lines.push(
      `  - jwt_bundle: ${block({ path: text(joined(certDir, helper.jwtBundleFileName)), format: 'spiffe-helper', mode: mode(modes.jwtBundle ?? 0o600, 'jwt_bundle_file_mode', note) })}`,
    )
  }
  if (helper.jwtSvids.length > 0) note('A token is removed when it expires; spiffe-helper leaves it.')
  const jwtMode = mode(modes.jwtSvid, 'jwt_svid_file_mode', note)
  for (const { audience, extraAudiences, fileName } of helper.jwtSvids)
    lines.push(`  - jwt: ${block({ audience: words([audience, ...extraAudiences]), path: text(joined(certDir, fileName)), mode: jwtMode })}`)
  return lines
}

function hooks({ cmd, cmdArgs, pidFileName, renewSignal, daemonMode }: HelperConfig): string[] {
  const lines: string[] = []
  if (cmd !== '' && daemonMode) {
    lines.push('  # The process is started again when it ends, and ended with svidecar; spiffe-helper waits for the next update, and leaves it behind.')
    lines.push(
      `  - { on: [x509], child: ${block({ command: words([cmd, ...splitArguments(cmdArgs)]), signal: renewSignal === '' ? undefined : renewSignal })} }`,
    )
  }
  if (pidFileName !== '') lines.push(`  - { on: [x509], signal: ${block({ pid_file: text(pidFileName), name: renewSignal })} }`)
  return lines
}
