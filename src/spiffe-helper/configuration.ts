// helper.conf → the daemon's Config: everything that is spiffe-helper's way is said here, in values that any front door could use.
import { posix } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Config, FileConfig, HookConfig } from '../config/config.ts'
import { failure } from '../core/errors.ts'
import { signalNumber } from '../core/signals.ts'
import { parseSocketAddress, type SocketAddress } from '../spiffe/socket-address.ts'
import { splitArguments } from './cmd-args.ts'
import type { HelperConfig } from './keys.ts'
import { hookNames, origin } from './log-format.ts'

const nothing: Omit<Config, 'identities' | 'files' | 'hooks'> = {
  origin,
  profiles: [],
  consumers: [],
  imdsEndpoints: [],
  runtimeDir: '',
  onIdentityWithdrawn: 'keep',
  reload: 'signal',
  stopTimeoutMs: 5_000,
  shutdownGraceMs: 0,
  log: { level: 'info', format: 'text' },
}

const pathsOf = (file: FileConfig): string[] =>
  file.kind === 'x509' ? Object.values(file.names).flatMap((name) => (name === undefined ? [] : [posix.join(file.directory ?? '', name)])) : [file.path]

/** Go's path.Join: an empty directory is no directory. */
export const joined = (directory: string, name: string): string => posix.join(directory, name).replace(/(?<=.)\/$/, '')

/** The original has a bare path for a socket, and blanks in it. Throws socket_address_invalid. */
export function agentAt(address: string): SocketAddress {
  const text = /^(unix|tcp):/.test(address) ? address : `unix://${address}`
  const found = parseSocketAddress(text.replaceAll(' ', '_'))
  const path = found.kind === 'tcp' ? '' : text.slice(-found.path.length)
  return found.kind === 'tcp' ? found : { ...found, path, text: `unix://${path}` }
}

/**
 * What helper.conf asks for, on top of `base`, the configuration that its "svidecar_config" names. `mask` is the umask, which takes
 * rights from new files as it does for the original. Throws socket_address_invalid, and config_invalid for two outputs in one file.
 */
export function assembleHelperConfig(helper: HelperConfig, base: Config | undefined, mask: number) {
  const { agentAddress, certDir, modes, hint, x509 } = helper
  const common = { identity: origin, removeAtStop: false }
  // A mode that is not said is for new files only.
  const mode = (given: number | undefined, usual: number) => ({ mode: (given ?? usual) & ~mask, keepMode: given === undefined })
  const key = mode(modes.key, 0o600)
  const outputs = new Map<string, string | undefined>()
  const named = (what: string, path?: string): string => {
    outputs.set(`${origin} ${what}`, path)
    return `${origin} ${what}`
  }
  const taken = new Map<string, string>()
  for (const file of base?.files ?? []) for (const path of pathsOf(file)) taken.set(posix.resolve(path), 'a file of svidecar_config')
  const pathOf = (key: string, fileName: string): string => {
    const path = joined(certDir, fileName)
    const other = taken.get(posix.resolve(path))
    if (other !== undefined)
      throw failure('config_invalid', `${other} and ${key} are one file, ${path}, of which only the last write would be left`, {
        remedy: 'Give each a name of its own.',
      })
    taken.set(posix.resolve(path), key)
    return path
  }
  const files: FileConfig[] = []
  if (x509 !== undefined)
    files.push({
      ...common,
      ...mode(modes.cert, 0o644),
      kind: 'x509',
      name: named('x509'),
      names: {
        certificate: pathOf('svid_file_name', x509.certificate),
        key: pathOf('svid_key_file_name', x509.key),
        bundle: pathOf('svid_bundle_file_name', x509.bundle),
      },
      keyMode: key.mode,
      keepKeyMode: key.keepMode,
      intermediates: helper.addIntermediatesToBundle ? 'bundle' : 'certificate',
      federated: helper.includeFederatedDomains ? 'merged' : 'none',
      omitExpired: helper.omitExpired,
    })
  if (helper.jwtBundleFileName !== '') {
    const path = pathOf('jwt_bundle_file_name', helper.jwtBundleFileName)
    files.push({ ...common, ...mode(modes.jwtBundle, 0o600), kind: 'jwt_bundle', name: named('jwt_bundle', path), path, format: 'spiffe-helper' })
  }
  for (const [index, { audience, extraAudiences, fileName }] of helper.jwtSvids.entries()) {
    // An entry that is there twice, word for word, says nothing new.
    if (helper.jwtSvids.some((other, earlier) => earlier < index && isDeepStrictEqual(other, helper.jwtSvids[index]))) continue
    const path = pathOf(`jwt_svids[${index}]`, fileName)
    const name = named(`jwt_svids[${index}]`, path)
    files.push({ ...common, ...mode(modes.jwtSvid, 0o600), kind: 'jwt', name, path, audience: [audience, ...extraAudiences], removeExpired: false })
  }
  const { hooks, warnings, badArguments } = assembleHooks(helper)
  const identity = { name: origin, workloadApi: agentAt(agentAddress), hint: hint === '' ? undefined : hint, followFirst: hint === '' }
  const own = base ?? { ...nothing, identities: [], files: [], hooks: [] }
  const config = { ...own, identities: [...own.identities, identity], files: [...own.files, ...files], hooks: [...own.hooks, ...hooks] }
  return { config, outputs, warnings, badArguments }
}

function assembleHooks({ cmd, cmdArgs, pidFileName, renewSignal, daemonMode }: HelperConfig) {
  // What the original finds only when it signals for the first time.
  const warnings: string[] = []
  const hooks: HookConfig[] = []
  // Why `cmd` cannot be started, whenever it should be.
  let badArguments: string | undefined
  if (!daemonMode) return { hooks, warnings, badArguments }
  if (renewSignal !== '' && signalNumber(renewSignal) === undefined)
    warnings.push(`renew_signal ${JSON.stringify(renewSignal)} is no signal, and nobody will be told of an update: write a whole name such as SIGHUP`)
  if (cmd !== '') {
    try {
      const command = [cmd, ...splitArguments(cmdArgs)]
      hooks.push({
        name: hookNames.cmd,
        on: ['x509'],
        action: { kind: 'child', command, restart: false, ...(renewSignal === '' ? {} : { signal: renewSignal }) },
      })
    } catch (error) {
      badArguments = `error parsing cmd arguments: ${(error as Error).message}`
      warnings.push(`cmd_args cannot be read, and cmd will not be started: ${(error as Error).message}`)
    }
  }
  if (pidFileName !== '') hooks.push({ name: hookNames.pidFile, on: ['x509'], action: { kind: 'signal', pidFile: pidFileName, signal: renewSignal } })
  return { hooks, warnings, badArguments }
}
