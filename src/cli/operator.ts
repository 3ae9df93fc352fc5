// The commands for operators: how the running daemon is, whether it is ready, and what it should do now.
import { isatty } from 'node:tty'
import { type Failure, failure, isFailure, sentence, systemCode, toFailure } from '../core/errors.ts'
import type { StatusReport } from '../core/health.ts'
import { ask, askControl, consumerSocket, controlSocket, daemonOptions, profilePath } from './client.ts'
import { type Command, consumerOption, type Io, type Values } from './command.ts'
import { runtimeDir } from './configuration.ts'
import { parseDuration } from './duration.ts'
import { renderStatus } from './render.ts'

const refreshMs = 20_000
const pauseMs = 200
const watchMs = 1_000

export const status: Command = {
  options: { ...daemonOptions, json: { type: 'boolean', help: 'Print JSON.' }, watch: { type: 'boolean', help: 'Print it again and again, until Ctrl-C.' } },
  details: 'Exit status 0 when every required profile has valid credentials, else 1.',
  example: 'svidecar status --watch',
  async run(values, io) {
    if (values['watch'] !== undefined) return watch(values, io)
    const body = await askControl(values, io, 'GET', '/status')
    const report = JSON.parse(body) as StatusReport
    io.out(values['json'] !== undefined ? body : renderStatus(report))
    return report.ready ? 0 : 1
  },
}

/** A terminal shows one report that changes; elsewhere they come one after the other. A daemon that is away is waited for. */
async function watch(values: Values, io: Io): Promise<void> {
  const over = new AbortController()
  void io.nextSignal(['SIGINT', 'SIGTERM']).then(() => over.abort())
  const terminal = isatty(1)
  while (!over.signal.aborted) {
    const text = await askControl(values, io, 'GET', '/status').then(
      (body) => (values['json'] === undefined ? renderStatus(JSON.parse(body) as StatusReport) : body),
      (error) => `${sentence(toFailure(error))}\n`,
    )
    io.out(terminal ? `\x1b[H\x1b[2J${text}` : `${text}${values['json'] === undefined ? '\n' : ''}`)
    await io.clock.sleep(terminal ? watchMs : watchMs * 10, over.signal).catch(() => {})
  }
}

export const refresh: Command = {
  usage: '[PROFILE] [options]',
  options: daemonOptions,
  words: 1,
  details: 'Without a profile: all of them. What cannot be renewed keeps its last good credentials. Exit status 1 if one failed.',
  example: 'svidecar refresh app',
  async run(values, io, [profile]) {
    const { profiles } = JSON.parse(await askControl(values, io, 'POST', profilePath('/refresh', profile), refreshMs)) as {
      profiles: { profile: string; ok: boolean; message?: string; remedy?: string }[]
    }
    for (const one of profiles) (one.ok ? io.out : io.err)(`${one.profile}: ${one.ok ? 'renewed' : `${one.message ?? 'failed'} ${one.remedy ?? ''}`}\n`)
    return profiles.every((one) => one.ok) ? 0 : 1
  },
}

export const reload: Command = {
  options: daemonOptions,
  details: 'The same as SIGHUP, with an answer. What did not change goes on with its credentials; a file with mistakes changes nothing.',
  example: 'svidecar reload',
  async run(values, io) {
    const body = await askControl(values, io, 'POST', '/reload').catch((error: unknown) => {
      if (!isFailure(error) || error.code !== 'usage') throw error
      throw failure('config_invalid', `nothing has changed: ${error.message}`, { remedy: error.remedy })
    })
    const { changed } = JSON.parse(body) as { changed: string[] }
    io.out(`reloaded; changed: ${changed.join(', ') || 'nothing'}\n`)
  },
}

export const rotateToken: Command = {
  usage: 'CONSUMER [options]',
  options: daemonOptions,
  words: 1,
  details: 'SDKs read the token file again at each fetch. The old token opens for five minutes more, for fetches that are on their way.',
  example: 'svidecar rotate-token app',
  async run(values, io, [consumer]) {
    if (consumer === undefined) throw failure('usage', 'svidecar rotate-token needs a consumer', { remedy: 'Such as: svidecar rotate-token app.' })
    const { file, overlapSeconds } = JSON.parse(await askControl(values, io, 'POST', profilePath('/rotate-token', consumer, 'consumer'))) as {
      file: string
      overlapSeconds: number
    }
    io.out(`${consumer}: a new token is in ${file}; the old one opens for ${overlapSeconds} s more\n`)
  },
}

/** Undefined when ready, else the reason. With a consumer or where the control socket may not be opened: by the consumer's socket. */
async function reason(directory: string, { profile, consumer }: Values): Promise<Failure | undefined> {
  try {
    if (consumer === undefined) return reasonIn(JSON.parse(await ask(controlSocket(directory), 'GET', '/status')) as StatusReport, profile)
  } catch (error) {
    if (!isFailure(error) || systemCode(error.cause) !== 'EACCES') throw error
  }
  return ask(consumerSocket(directory, consumer), 'GET', profilePath('/v1/ready', profile)).then(() => undefined, toFailure)
}

/** What a status report says against the profile of that name, or against all that are required. Throws usage for a profile that is none. */
function reasonIn({ ready, missing, profiles, problems }: StatusReport, name: string | undefined): Failure | undefined {
  const profile = profiles.find((one) => one.name === name)
  if (name !== undefined && profile === undefined)
    throw failure('usage', `there is no profile ${JSON.stringify(name)}`, { remedy: `There is ${profiles.map((one) => one.name).join(', ')}.` })
  if (profile === undefined ? ready : profile.status === 'fresh' || profile.status === 'stale') return undefined
  const problem = problems.find(({ subject }) => profile === undefined || subject === `profile ${name}` || subject === `identity ${profile.identity}`)
  if (problem === undefined) return failure('not_ready', `no credentials yet for ${name ?? missing.join(', ')}`)
  return failure('not_ready', `${problem.subject}: ${problem.message}`, { remedy: problem.remedy })
}

/** A daemon that is not there may come: a reason like any other. */
const orUnreachable = (error: unknown): Failure => {
  if (isFailure(error) && error.code === 'daemon_unreachable') return error
  throw error
}

/** Asks until it is ready or the time is over. Throws the last reason. */
export async function waitUntilReady(values: Values, timeoutMs: number, io: Io): Promise<void> {
  const directory = await runtimeDir(values, io)
  const end = io.clock.boot() + timeoutMs
  let said = ''
  for (;;) {
    const why = await reason(directory, values).catch(orUnreachable)
    if (why === undefined) return
    if (io.clock.boot() >= end) throw failure(why.code, `not ready after ${Math.round(timeoutMs / 1000)} s: ${why.message}`, { remedy: why.remedy })
    if (why.message !== said) io.err(`waiting: ${why.message}\n`)
    said = why.message
    await io.clock.sleep(pauseMs, new AbortController().signal)
  }
}

export const wait: Command = {
  options: {
    ...daemonOptions,
    consumer: consumerOption,
    profile: { type: 'string', value: 'NAME', help: 'Wait for this profile only. Default: every required one.' },
    timeout: { type: 'string', value: 'DURATION', help: 'Give up after this time, with exit status 1. Default 60s.' },
  },
  details: "Also waits for the daemon itself. Where the control socket may not be opened it asks on the consumer's.",
  example: 'svidecar wait --timeout 30s',
  run: async (values, io) => waitUntilReady(values, parseDuration(values['timeout'] ?? '60s', '--timeout'), io),
}

export const healthcheck: Command = {
  options: daemonOptions,
  details: 'Exit status 0 when every required profile has valid credentials, else 1 with the reason.',
  example: 'svidecar healthcheck',
  run: (values, io) => waitUntilReady(values, 0, io),
}
