// helper.conf as svidecar's own configuration, with a comment for each thing that is different there.
import { posix } from 'node:path'
import { signalNumber } from '../core/signals.ts'
import { splitArguments } from './cmd-args.ts'
import { agentAt, joined } from './configuration.ts'
import { type HelperConfig, parseHelperConf, validateHelperConf } from './keys.ts'

/** Plain only where YAML cannot but read the same text. svidecar would expand ${…}. */
const text = (value: string): string =>
  /^[A-Za-z/]([\w./:-]*[\w./-])?$/.test(value) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(value)
    ? value
    : JSON.stringify(value).replaceAll('${', () => '$${')
const comment = (line: string, indent = ''): string => `${indent}# ${line.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')}`
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
  const note = (line: string, indent?: string) => lines.push(comment(line, indent))
  for (const warning of warnings) note(warning)
  if (!helper.daemonMode) note('daemon_mode = false: run this with `svidecar once`.')
  if (helper.svidecarConfig !== '') note(`"svidecar_config" = ${JSON.stringify(helper.svidecarConfig)}: merge that file with this one.`)
  lines.push('identities:')
  if (helper.hint === '') note('choose: first follows whichever identity the agent puts first, as spiffe-helper does; spiffe_id names one for good.', '  ')
  const address = agentAt(helper.agentAddress).text
  if (address.includes(' ')) note(`The agent is at ${address}: svidecar takes no blanks there, so link it to a name without.`, '  ')
  lines.push(
    `  default: ${block({ workload_api: text(address.replaceAll(' ', '_')), hint: helper.hint === '' ? undefined : text(helper.hint), choose: helper.hint === '' ? 'first' : undefined })}`,
  )
  lines.push('files:', ...files(helper))
  const told = hooks(helper)
  if (told.some((line) => line.startsWith('  -'))) lines.push('hooks:')
  lines.push(...told)
  if (helper.health !== undefined) {
    const { port, livenessPath, readinessPath } = helper.health
    if (port > 65_535) note(`There is no port ${port}, and so there are no probes.`)
    else note(`Probes: ${livenessPath} is /livez, ${readinessPath} is /readyz; there are /startupz and /metrics, too. The answers have another body.`)
    if (port <= 65_535) lines.push(`metrics_endpoint: { listen: 0.0.0.0:${port} }`)
  }
  return `${lines.join('\n')}\n`
}

function files({ certDir, x509, modes, ...helper }: HelperConfig): string[] {
  const lines: string[] = []
  const note = (line: string) => lines.push(comment(line, '  '))
  const taken = new Set<string>()
  /** Of two that would be written to one path the second becomes a comment. */
  const add = (line: string, path: string) => {
    if (taken.has(path)) note(`${path} has been written above: - ${line}`)
    else lines.push(`  - ${line}`)
    taken.add(path)
  }
  if (Object.values(modes).some((one) => one !== undefined)) note('Modes are set on every write, whatever the umask.')
  if (x509 !== undefined) {
    const paths = Object.values(x509).map((name) => joined(certDir, name))
    const directory = posix.dirname(paths[0] ?? '')
    note('The three names become links into the newest generation: a reader that opens <directory>/..data once never sees a mix.')
    if (paths.some((path) => posix.dirname(path) !== directory)) note('The files lay in different directories; a set lies in one.')
    const given = paths.map((path) => posix.basename(path))
    const bases = given.map((name) => name.replace(/^\.+/, '') || 'svid')
    if (bases.join() !== given.join()) note('Names with a dot in front are generations here, so the dot is gone.')
    if (new Set(bases).size < bases.length) note('Some of the three names were equal, and one file took the place of another.')
    const names = Object.keys(x509).map(
      (what, index) => [what, `${bases[index]}${bases.slice(0, index).includes(bases[index] ?? '') ? `.${what}` : ''}`] as const,
    )
    for (const [, name] of names) taken.add(joined(directory, name))
    note('A container that mounts single files of the directory must mount the directory.')
    if (helper.includeFederatedDomains) note('merged: any federated trust domain can then name anybody; federated: files gives one bundle each.')
    const pairs = {
      directory: text(directory),
      ...Object.fromEntries(names.map(([what, name]) => [what, text(name)])),
      mode: mode(modes.cert, 'cert_file_mode', note),
      key_mode: mode(modes.key, 'key_file_mode', note),
      intermediates: helper.addIntermediatesToBundle ? 'bundle' : undefined,
      federated: helper.includeFederatedDomains ? 'merged' : undefined,
      omit_expired: helper.omitExpired ? 'true' : undefined,
    }
    lines.push(`  - x509: ${block(pairs)}`)
  }
  if (helper.jwtBundleFileName !== '') {
    note('format: jwks is what JWT libraries read.')
    const path = joined(certDir, helper.jwtBundleFileName)
    add(`jwt_bundle: ${block({ path: text(path), format: 'spiffe-helper', mode: mode(modes.jwtBundle ?? 0o600, 'jwt_bundle_file_mode', note) })}`, path)
  }
  if (helper.jwtSvids.length > 0) note('A token is removed when it expires; spiffe-helper leaves it.')
  const jwtMode = mode(modes.jwtSvid, 'jwt_svid_file_mode', note)
  for (const { audience, extraAudiences, fileName } of helper.jwtSvids) {
    const path = joined(certDir, fileName)
    const audiences = [...new Set([audience, ...extraAudiences])]
    if (audiences.includes('')) note('An empty audience is none here.')
    add(`jwt: ${block({ audience: words(audiences.filter((one) => one !== '')), path: text(path), mode: jwtMode })}`, path)
  }
  return lines
}

function hooks({ cmd, cmdArgs, pidFileName, renewSignal, daemonMode }: HelperConfig): string[] {
  const lines: string[] = []
  const note = (line: string) => lines.push(comment(line, '  '))
  const signal = signalNumber(renewSignal) === undefined ? undefined : renewSignal
  if (daemonMode && renewSignal !== '' && signal === undefined)
    note(`renew_signal ${JSON.stringify(renewSignal)} is no signal, and nobody was told of an update.`)
  if (cmd !== '' && daemonMode) {
    note('The process is started again when it ends, and ended with svidecar; spiffe-helper waits for the next update, and leaves it behind.')
    try {
      lines.push(`  - { on: [x509], child: ${block({ command: words([cmd, ...splitArguments(cmdArgs)]), signal })} }`)
    } catch (error) {
      note(`cmd_args ${JSON.stringify(cmdArgs)} cannot be read, and cmd was not started: ${(error as Error).message}`)
    }
  }
  if (pidFileName !== '' && signal !== undefined) lines.push(`  - { on: [x509], signal: ${block({ pid_file: text(pidFileName), name: signal })} }`)
  return lines
}
