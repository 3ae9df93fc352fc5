// svidecar wait: until the running daemon has credentials.
import { type Failure, failure, isFailure, systemCode } from '../core/errors.ts'
import type { StatusReport } from '../core/health.ts'
import { ask, askFor, consumerSocket, controlSocket, daemonOptions, profilePath, refused } from './client.ts'
import { type Command, consumerOption, type Io, textOf, type Values } from './command.ts'
import { runtimeDir } from './configuration.ts'
import { parseDuration } from './duration.ts'

const pauseMs = 200

/** Undefined when ready, else the reason. With a consumer or where the control socket may not be opened: by the consumer's socket. */
async function reason(directory: string, values: Values): Promise<Failure | undefined> {
  const profile = textOf(values, 'profile')
  const consumer = textOf(values, 'consumer')
  try {
    if (consumer === undefined) return reasonIn(JSON.parse(await askFor(controlSocket(directory), 'GET', '/status')) as StatusReport, profile)
  } catch (error) {
    if (!isFailure(error) || systemCode(error.cause) !== 'EACCES') throw error
  }
  const reply = await ask(consumerSocket(directory, consumer), 'GET', profilePath('/v1/ready', profile))
  return reply.status === 200 ? undefined : refused(reply)
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
export async function waitUntilReady(directory: string, values: Values, timeoutMs: number, io: Io): Promise<void> {
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
  async run(values, _positionals, io) {
    await waitUntilReady(await runtimeDir(values, io), values, parseDuration(textOf(values, 'timeout') ?? '60s', 'timeout'), io)
    return 0
  },
}
