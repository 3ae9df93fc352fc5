// A client of the daemon's sockets, for the commands that ask it something.
import { accessSync, constants, readdirSync } from 'node:fs'
import { request } from 'node:http'
import { dirname, join } from 'node:path'
import { failure, systemCode } from '../core/errors.ts'

export interface Reply {
  readonly status: number
  readonly body: string
}

const patienceMs = 5_000

/** One request over a unix socket. Throws daemon_unreachable. `timeoutMs` bounds all of it. */
export function ask(socket: string, method: 'GET' | 'POST', path: string, timeoutMs: number = patienceMs): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const unreachable = (why: string, cause?: unknown) => reject(failure('daemon_unreachable', `no daemon answers at ${socket}: ${why}`, { cause }))
    const call = request({ socketPath: socket, method, path, headers: { host: 'localhost' }, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }))
      response.on('error', (error) => unreachable('the answer broke off', error))
    })
    call.on('error', (error) => {
      const texts: Readonly<Record<string, string>> = {
        ENOENT: 'no such file',
        ECONNREFUSED: 'connection refused',
        EACCES: 'permission denied',
        ABORT_ERR: `no answer within ${timeoutMs / 1000} s`,
      }
      unreachable(texts[systemCode(error) ?? ''] ?? error.message, error)
    })
    call.end()
  })
}

export const controlSocket = (runtimeDir: string): string => join(runtimeDir, 'control.sock')

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
    throw failure('daemon_unreachable', `cannot look into ${runtimeDir}: ${systemCode(error) ?? String(error)}`)
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

/** The message of an answer that is not 2xx, as a Failure. */
export function refused({ status, body }: Reply): ReturnType<typeof failure> {
  try {
    const document = JSON.parse(body) as { message?: string; remedy?: string }
    return failure(status === 503 ? 'not_ready' : 'usage', document.message ?? `the daemon answered ${status}`, {
      remedy: document.remedy ?? (status === 503 ? undefined : ''),
    })
  } catch {
    return failure('daemon_unreachable', `the daemon answered ${status}`)
  }
}

/** A path that ends in the profile that a user has named, if one was. Throws usage for what can be no name. */
export function profilePath(what: string, profile: string | undefined): string {
  if (profile !== undefined && !/^[\w-]+$/.test(profile))
    throw failure('usage', `there is no profile ${JSON.stringify(profile)}`, { remedy: '`svidecar status` lists the profiles.' })
  return `${what}${profile === undefined ? '' : `/${profile}`}`
}

/** What points SDKs at a consumer's endpoint. Throws usage when the daemon has no endpoint for the profile. */
export async function fetchEnvironment(socket: string, profile: string | undefined): Promise<Readonly<Record<string, string>>> {
  const reply = await ask(socket, 'GET', profilePath('/v1/environment', profile))
  if (reply.status !== 200) throw refused(reply)
  const environment = JSON.parse(reply.body) as Record<string, string>
  if (Object.keys(environment).every((key) => key.endsWith('_REGION')))
    throw failure('usage', `the daemon at ${dirname(socket)} has no endpoint for this profile`, {
      remedy: 'Configure container_endpoint; `svidecar env --format aws-config` needs none.',
    })
  return environment
}
