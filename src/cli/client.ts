// A client of the daemon's sockets, for the commands that ask it something.
import { accessSync, constants, readdirSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { errorText, type Failure, failure, systemCode } from '../core/errors.ts'
import { configOption, consumerOption, type Io, profileOption, runtimeDirOption, type Values } from './command.ts'
import { runtimeDir } from './configuration.ts'

/** Options of whoever asks a daemon, and of whoever asks it as a consumer. */
export const daemonOptions = { config: configOption, 'runtime-dir': runtimeDirOption }
export const consumerOptions = { ...daemonOptions, consumer: consumerOption, profile: profileOption }

const patienceMs = 5_000

/** One request over a unix socket; the body of an answer with 200. Throws daemon_unreachable, or what the daemon says instead. `timeoutMs` bounds all of it. */
export async function ask(socket: string, method: 'GET' | 'POST', path: string, timeoutMs: number = patienceMs): Promise<string> {
  const signal = AbortSignal.timeout(timeoutMs)
  let response: IncomingMessage | undefined
  let body: string
  try {
    response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ socketPath: socket, method, path, headers: { host: 'localhost' }, signal }, resolve)
        .on('error', reject)
        .end()
    })
    body = await text(response)
  } catch (error) {
    const known = { ENOENT: 'no such file', ECONNREFUSED: 'connection refused', EACCES: 'permission denied' }[systemCode(error) ?? '']
    const broken = response === undefined ? (known ?? errorText(error)) : 'the answer broke off'
    const why = signal.aborted ? `no answer within ${timeoutMs / 1000} s` : broken
    throw failure('daemon_unreachable', `no daemon answers at ${socket}: ${why}`, { cause: error })
  }
  if (response.statusCode === 200) return body
  throw refused(response.statusCode ?? 0, body)
}

/** What an answer that is not 200 says. */
function refused(status: number, body: string): Failure {
  try {
    const { message, remedy } = JSON.parse(body) as { message?: string; remedy?: string }
    const [code, otherwise] = status === 503 ? (['not_ready', undefined] as const) : (['usage', ''] as const)
    return failure(code, message ?? `the daemon answered ${status}`, { remedy: remedy ?? otherwise })
  } catch {
    return failure('daemon_unreachable', `the daemon answered ${status}`)
  }
}

export const controlSocket = (runtimeDir: string): string => join(runtimeDir, 'control.sock')

/** Asks on the operator's socket of the daemon that the options name. */
export const askControl = async (values: Values, io: Io, method: 'GET' | 'POST', path: string, timeoutMs?: number): Promise<string> =>
  ask(controlSocket(await runtimeDir(values, io)), method, path, timeoutMs)

/** Asks on the consumer's socket that the options name. */
export const askConsumer = async (values: Values, io: Io, path: string): Promise<string> =>
  ask(consumerSocket(await runtimeDir(values, io), values['consumer']), 'GET', path)

/**
 * A consumer's socket: the named one, or the only one that there is. Throws usage when there are several, and
 * daemon_unreachable when there is none.
 */
export function consumerSocket(runtimeDir: string, name: string | undefined): string {
  if (name !== undefined) return join(runtimeDir, `${name}.sock`)
  let found: string[]
  try {
    found = readdirSync(runtimeDir).filter((file) => file.endsWith('.sock') && file !== 'control.sock' && mayOpen(join(runtimeDir, file)))
  } catch (error) {
    throw failure('daemon_unreachable', `cannot look into ${runtimeDir}: ${systemCode(error) ?? errorText(error)}`)
  }
  const [only, ...more] = found
  if (only === undefined) throw failure('daemon_unreachable', `there is no consumer's socket in ${runtimeDir} that this user may open`)
  if (more.length > 0)
    throw failure('usage', `there are several consumers in ${runtimeDir}: ${found.map((file) => file.slice(0, -5)).join(', ')}`, {
      remedy: 'Say which with --consumer NAME.',
    })
  return join(runtimeDir, only)
}

/** Whether this user may talk to a socket. */
function mayOpen(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** A path that ends in the profile that a user has named, if one was. Throws usage for what can be no name. */
export function profilePath(what: string, name: string | undefined, kind = 'profile'): string {
  if (name === undefined) return what
  if (!/^[\w-]+$/.test(name)) throw failure('usage', `there is no ${kind} ${JSON.stringify(name)}`, { remedy: '`svidecar check` lists them.' })
  return `${what}/${name}`
}

/** What points SDKs at a consumer's endpoint. Throws usage when the daemon has none for the profile, unless only the region is needed. */
export async function fetchEnvironment(socket: string, profile: string | undefined, need: 'endpoint' | 'region' = 'endpoint'): Promise<Record<string, string>> {
  const environment = JSON.parse(await ask(socket, 'GET', profilePath('/v1/environment', profile))) as Record<string, string>
  if (need === 'endpoint' && Object.keys(environment).every((key) => key.endsWith('_REGION')))
    throw failure('usage', `the daemon at ${dirname(socket)} has no endpoint for this profile`, {
      remedy: 'Configure container_endpoint; `svidecar env --format aws-config` needs none.',
    })
  return environment
}
