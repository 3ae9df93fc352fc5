// svidecar wait: until the running daemon has credentials.

import { failure, isFailure, type toFailure } from '../core/errors.ts'
import type { StatusReport } from '../core/health.ts'
import { ask, consumerSocket, controlSocket, profilePath, refused } from './client.ts'
import { type Command, configOption, consumerOption, type Io, runtimeDirOption, textOf, type Values } from './command.ts'
import { runtimeDir } from './configuration.ts'
import { parseDuration } from './duration.ts'

const pauseMs = 200

/** Undefined when ready, else the reason. With a consumer or where the control socket may not be opened: by the consumer's socket. */
async function reason(directory: string, values: Values): Promise<ReturnType<typeof toFailure> | undefined> {
  const profile = textOf(values, 'profile')
  const consumer = textOf(values, 'consumer')
  const byConsumer = async () => {
    const reply = await ask(consumerSocket(directory, consumer), 'GET', profilePath('/v1/ready', profile))
    return reply.status === 200 ? undefined : refused(reply)
  }
  try {
    if (consumer !== undefined) return await byConsumer()
    const reply = await ask(controlSocket(directory), 'GET', '/status')
    const report = JSON.parse(reply.body) as StatusReport
    if (profile !== undefined && !report.profiles.some(({ name }) => name === profile))
      throw failure('usage', `there is no profile ${JSON.stringify(profile)}`, { remedy: `There is ${report.profiles.map(({ name }) => name).join(', ')}.` })
    const good =
      profile === undefined ? report.ready : report.profiles.some((one) => one.name === profile && (one.status === 'fresh' || one.status === 'stale'))
    const identity = report.profiles.find((one) => one.name === profile)?.identity
    const problem = report.problems.find(({ subject }) => profile === undefined || subject === `profile ${profile}` || subject === `identity ${identity}`)
    return good
      ? undefined
      : failure(
          'not_ready',
          problem === undefined ? `no credentials yet for ${profile ?? report.missing.join(', ')}` : `${problem.subject}: ${problem.message}`,
          { remedy: problem?.remedy },
        )
  } catch (error) {
    if (!isFailure(error)) throw error
    if (error.code === 'daemon_unreachable' && consumer === undefined && /permission denied/.test(error.message)) return byConsumer()
    if (error.code !== 'daemon_unreachable') throw error
    return error
  }
}

/** Asks until it is ready or the time is over. Throws the last reason. */
export async function waitUntilReady(directory: string, values: Values, timeoutMs: number, io: Io): Promise<void> {
  const end = io.clock.boot() + timeoutMs
  let said = ''
  for (;;) {
    const why = await reason(directory, values)
    if (why === undefined) return
    if (io.clock.boot() >= end) throw failure(why.code, `not ready after ${Math.round(timeoutMs / 1000)} s: ${why.message}`, { remedy: why.remedy })
    if (why.message !== said) io.err(`waiting: ${why.message}\n`)
    said = why.message
    await io.clock.sleep(pauseMs, new AbortController().signal)
  }
}

export const wait: Command = {
  summary: 'wait until the running daemon has credentials',
  usage: '[options]',
  options: {
    config: configOption,
    'runtime-dir': runtimeDirOption,
    consumer: consumerOption,
    profile: { type: 'string', value: 'NAME', help: 'Wait for this profile only. Default: every required one.' },
    timeout: { type: 'string', value: 'DURATION', help: 'Give up after this time, with exit status 1. Default 60s.' },
  },
  positionals: { names: [] },
  details: "Also waits for the daemon itself. Where the control socket may not be opened it asks on the consumer's.",
  example: 'svidecar wait --timeout 30s',
  async run(values, _positionals, io) {
    await waitUntilReady(await runtimeDir(values, io), values, parseDuration(textOf(values, 'timeout') ?? '60s', 'timeout'), io)
    return 0
  },
}
