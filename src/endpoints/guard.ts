// What a request must pass before anybody looks at what it wants: against DNS rebinding, browsers, proxies and tricks.
import { isIP } from 'node:net'
import type { Answer, Request } from './server.ts'

/** Whether a Host header means this listener. */
export type HostRule = (header: string | undefined) => boolean

const hostPattern = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/@\s]+))(?::\d{1,5})?$/

/**
 * The rule of a listener bound to `host`: that literal, localhost and the configured names, in any case, with or without a port.
 * `anyAddress`: any IP literal will do, since probes and Prometheus come with the pod's address.
 */
export function hostRule(host: string, names: readonly string[], anyAddress = false): HostRule {
  const known = new Set([host, 'localhost', ...names].map((name) => name.toLowerCase()))
  return (header = '') => {
    const [, address, name = address] = hostPattern.exec(header.toLowerCase()) ?? []
    return name !== undefined && (known.has(name) || (anyAddress && isIP(name) !== 0))
  }
}

const forwarding = ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip'] as const

type Refusal = { readonly status: number; readonly reason: string }

const wrongHost: Refusal = { status: 403, reason: 'the Host header is not one of this listener' }
const withBody: Refusal = { status: 413, reason: 'the request has a body' }

/** Rules of every listener that gives credentials, on all routes; a socket has no Host rule. undefined: the request may pass. */
export function guardCredentials({ headers, hasBody, method }: Request, rule?: HostRule): Refusal | undefined {
  if (rule?.(headers.host) === false) return wrongHost
  if (headers.origin !== undefined || (headers['sec-fetch-site'] ?? 'none') !== 'none') return { status: 403, reason: 'a browser page asks' }
  if (forwarding.some((name) => headers[name] !== undefined)) return { status: 403, reason: 'the request came through a proxy' }
  if (hasBody) return withBody
  return method === 'OPTIONS' ? { status: 405, reason: 'OPTIONS' } : undefined
}

/** Refuses whoever is none of these users, on top of everything else that must be right. */
export async function guardUser({ user }: Request, uids: readonly number[]): Promise<Refusal | undefined> {
  const uid = await user?.()
  if (uid !== undefined && uids.includes(uid)) return undefined
  return { status: 403, reason: uid === undefined ? 'the kernel does not say whose connection it is' : `user ${uid} asks, who is none of uids` }
}

/** Rules of listeners that give no secret: Host, and pages of other sites, which may lead here but not read. */
export function guardPublic({ headers, hasBody }: Request, rule: HostRule): Refusal | undefined {
  if (!rule(headers.host)) return wrongHost
  const own = `http://${headers.host}`
  const { origin = own, 'sec-fetch-site': site = 'none', 'sec-fetch-dest': dest } = headers
  if (origin !== own || (site !== 'none' && site !== 'same-origin' && dest !== 'document')) return { status: 403, reason: 'a page of another site asks' }
  return hasBody ? withBody : undefined
}

/**
 * The path to match routes with: runs of slashes and one slash at the end are forgiven, because SDKs join
 * endpoint and path so; everything else that a second reader might read differently is no path at all.
 */
export function cleanPath(path: string): string | undefined {
  if (!/^\/[\w.~/+=,@-]*$/.test(path)) return undefined
  const clean = path.replaceAll(/\/{2,}/g, '/')
  if (clean.split('/').some((segment) => segment === '.' || segment === '..')) return undefined
  return clean.length > 1 && clean.endsWith('/') ? clean.slice(0, -1) : clean
}

/** The header of whatever is not there yet. */
export const retryAfter = { 'retry-after': '1' }

/** An empty answer, as IMDS gives it: some SDKs take any text of an error for a role's name. */
export const empty = (status: number, headers: Record<string, string> = {}): Answer => ({ status, headers })

const typed =
  (type: string) =>
  (status: number, body: Buffer | string, headers: Record<string, string> = {}): Answer => ({ status, headers: { 'content-type': type, ...headers }, body })

/** Text as it is, without a newline of ours. */
export const text = typed('text/plain')

/** JSON that is rendered already. */
export const jsonText = typed('application/json')

/** An error in the shape that both families of container clients read. */
export const jsonError = (status: number, code: string, message: string, headers?: Record<string, string>): Answer =>
  jsonText(status, JSON.stringify({ code, message, Code: code, Message: message }), headers)

/** A JSON document. */
export const json = (status: number, document: unknown): Answer => jsonText(status, `${JSON.stringify(document)}\n`)
