// The drop-in: spiffe-helper's command line, file, log and exit status around svidecar's daemon.
import { existsSync, readFileSync } from 'node:fs'
import { isatty } from 'node:tty'
import type { Io } from '../cli/command.ts'
import { parseDuration } from '../cli/duration.ts'
import { errorText, systemCode, systemReason } from '../core/errors.ts'
import { inheritedUmask, keepSocketsPrivate } from '../core/umask.ts'
import { assembleHelperConfig } from './configuration.ts'
import { parseFlags } from './flags.ts'
import { goQuote } from './go-quote.ts'
import { textOf } from './hcl1.ts'
import { createHealthHandler } from './health-body.ts'
import { type HelperConfig, parseHelperConf, validateHelperConf } from './keys.ts'
import { createHelperListener, createHelperLog, type HelperLog, origin, reasonOf } from './log-format.ts'

/** The release whose behaviour this is. */
const original = 'v0.11.0'
const defaultTimeout = '60s'

/** Runs spiffe-helper; resolves with the exit status: 0, 1 for whatever goes wrong, 2 for wrong flags. */
export async function spiffeHelper(args: readonly string[], io: Io): Promise<number> {
  const flags = parseFlags(args, process.argv[1] ?? 'spiffe-helper')
  if (flags.kind === 'version') {
    io.out(`${original}+svidecar.${io.version}\n`)
    return 0
  }
  if (flags.kind === 'usage') {
    io.err(flags.text)
    return flags.status
  }
  const stopped = io.nextSignal(['SIGTERM', 'SIGINT'])
  const log = createHelperLog(io.err, io.clock, isatty(2))
  log('info', `Using configuration file: ${goQuote(flags.config)}`)
  const helper = read(flags.config, flags.daemonMode, io.env, log)
  if (helper === undefined) return 1
  log('info', helper.daemonMode ? 'Launching daemon' : 'Daemon mode disabled')
  try {
    keepSocketsPrivate()
    const timeoutMs = parseDuration(helper.svidecarTimeout || defaultTimeout, 'svidecar_timeout')
    const context = { io, log, stopped, timeoutMs }
    await (helper.daemonMode ? runDaemon(helper, context) : runOneShot(helper, context))
  } catch (error) {
    log('error', 'Error starting spiffe-helper', { error: errorText(error) })
    return 1
  }
  log('info', 'Exiting')
  return 0
}

type Context = { readonly io: Io; readonly log: HelperLog; readonly stopped: Promise<NodeJS.Signals>; readonly timeoutMs: number }

/** Reads and checks helper.conf; what is wrong is logged. */
function read(path: string, daemonMode: boolean | undefined, env: NodeJS.ProcessEnv, log: HelperLog): HelperConfig | undefined {
  let stage = 'failed to parse configuration'
  try {
    const decoded = parse(path)
    stage = 'invalid configuration'
    return validateHelperConf(decoded, daemonMode, env, (text) => log('warning', text))
  } catch (error) {
    log('error', stage, { error: errorText(error) })
    return undefined
  }
}

function parse(path: string): ReturnType<typeof parseHelperConf> {
  try {
    return parseHelperConf(textOf(readFileSync(path)))
  } catch (error) {
    const code = systemCode(error)
    const reason = code === undefined ? errorText(error) : `${code === 'EISDIR' ? 'read' : 'open'} ${path}: ${systemReason(error)}`
    throw new Error(`failed to parse ${goQuote(path)}: ${reason}`)
  }
}

/** The configuration of "svidecar_config", and helper.conf on top of it. Throws config_invalid and socket_address_invalid. */
async function assemble(helper: HelperConfig, { env }: Io) {
  const around = { env, uid: process.getuid?.(), terminal: isatty(2), beside: true as const }
  const base = helper.svidecarConfig === '' ? undefined : await (await import('../config/load.ts')).loadConfig(helper.svidecarConfig, around)
  return assembleHelperConfig(helper, base, inheritedUmask)
}

async function runDaemon(helper: HelperConfig, { io, log, stopped }: Context): Promise<void> {
  const { config, outputs, warnings, badArguments } = await assemble(helper, io)
  for (const warning of warnings) log('warning', warning)
  if (helper.x509 !== undefined) log('info', 'Watching for X509 Context')
  if (helper.jwtBundleFileName !== '') log('info', 'Watching for JWT Bundles')
  if (helper.health !== undefined) log('info', 'Starting health server')
  const { startDaemon } = await import('../daemon/daemon.ts')
  const { health } = helper
  // All interfaces, as the original: the kubelet comes by the pod's address.
  const host = existsSync('/proc/self/net/if_inet6') ? '::' : '0.0.0.0'
  const daemon = await startDaemon({
    ...io,
    config,
    load: async () => (await assemble(helper, io)).config,
    random: Math.random,
    log: createHelperListener(log, () => badArguments !== undefined && log('error', 'Unable to signal process', { error: badArguments })),
    ...(helper.svidecarConfig === '' ? { control: false as const } : {}),
    listeners: (status) => {
      if (health === undefined) return []
      const at = { kind: 'tcp', host, port: health.port, loopbackOnly: false } as const
      return [{ name: `${origin} health`, at, optional: true, handler: () => createHealthHandler(health, outputs, status) }]
    },
  })
  await stopped
  await daemon.stop('signal')
}

/** Everything once. The stages are told in the original's order, and the first that failed ends it. */
async function runOneShot(helper: HelperConfig, { io, log, stopped, timeoutMs }: Context): Promise<void> {
  const { config } = await assemble(helper, io)
  const { runOnce } = await import('../daemon/once.ts')
  const stop = new AbortController()
  void stopped.then(() => stop.abort())
  const failures = new Map<string, string>()
  const listener = createHelperListener(
    (level, message) => level !== 'info' && log('warning', message),
    () => {},
  )
  const report = await runOnce(config, {
    ...io,
    random: Math.random,
    timeoutMs,
    signal: stop.signal,
    log: (event, line) => {
      if (event.type === 'output.failed') failures.set(event.output, reasonOf(event.failure))
      else if (event.type !== 'x509.received' && event.type !== 'output.written') listener(event, line)
    },
  })
  const why = stop.signal.aborted ? `stopped by ${await stopped}` : (report.problems[0]?.message ?? `nothing came within ${timeoutMs / 1000} s`)
  const audienceOf = (output: string) => JSON.stringify(helper.jwtSvids[Number(/\d+/.exec(output.slice(origin.length))?.[0])]?.audience)
  const stages = [
    ['x509', 'x509 certificates', () => ''],
    ['jwt_bundle', 'JWT bundle', (_output: string, reason: string) => (reason.startsWith('open ') ? 'unable to write JSON file: ' : '')],
    ['jwt', 'JWT SVIDs', (output: string) => `unable to fetch JWT SVID for audience ${audienceOf(output)}: `],
  ] as const
  for (const [kind, what, prefix] of stages) {
    const reports = report.outputs.filter((output) => output.kind === kind && output.name.startsWith(origin))
    if (reports.length === 0) continue
    const bad = reports.filter(({ status }) => status !== 'written').map(({ name }) => ({ name, reason: failures.get(name) ?? why }))
    if (bad.length > 0) {
      const error = bad.map(({ name, reason }) => prefix(name, reason) + reason).join('\n')
      log('error', `Error fetching ${what}`, { error })
      throw new Error(error)
    }
    log('info', `Successfully fetched ${what}`)
  }
  const unheard = report.problems.find(({ code }) => code === 'hook_failed')
  if (unheard !== undefined) throw new Error(`${unheard.subject}: ${unheard.message}`)
  if (!report.ready) throw new Error(why)
}
