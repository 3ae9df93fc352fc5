// The health answers of spiffe-helper, told by what really lies on disk.
import type { OutputReport, StatusReport } from '../core/health.ts'
import type { HelperConfig } from './keys.ts'
import { origin } from './log-format.ts'

type WriteStatus = 'unwritten' | 'written' | 'failed'

/** In the original's words. Of what has been written and then expired the original would say that it is written. */
const writeStatus: Readonly<Record<OutputReport['status'], WriteStatus>> = {
  missing: 'unwritten',
  failed: 'failed',
  outdated: 'failed',
  written: 'written',
  expired: 'written',
}

/** By the output's name: what the original calls it, undefined for the X.509 files. */
export type Outputs = ReadonlyMap<string, string | undefined>

/** Go escapes what HTML knows. */
const json = (value: unknown): string =>
  JSON.stringify(value).replaceAll(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)

/**
 * Live: no write has failed. Ready: everything is written, and (which the original does not look at) has not expired; then `reasons` says
 * what. The body is the original's, with its keys in its order.
 */
export function createHealthHandler({ livenessPath, readinessPath }: NonNullable<HelperConfig['health']>, outputs: Outputs, status: () => StatusReport) {
  return ({ path: asked }: { readonly path: string }) => {
    // As Go's multiplexer: a path that ends with a slash stands for all below it, and the longer one counts.
    const matching = [livenessPath, readinessPath].filter((one) => asked === one || (one.endsWith('/') && asked.startsWith(one)))
    const path = matching.toSorted((a, b) => b.length - a.length)[0]
    if (path === undefined)
      return { status: 404, headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }, body: '404 page not found\n' }
    const { outputs: all, problems } = status()
    const reports = all.filter(({ name }) => outputs.has(name))
    // The hint that nothing carries is a failed write to the original.
    const unhinted = problems.some(({ code, subject }) => code === 'identity_missing' && subject === `identity ${origin}`)
    const told = reports.map(({ name, kind, status }) => [outputs.get(name), kind === 'x509' && unhinted ? 'failed' : writeStatus[status]] as const)
    const expired = reports.filter(({ status }) => status === 'expired')
    const good = path === livenessPath ? told.every(([, one]) => one !== 'failed') : told.every(([, one]) => one === 'written') && expired.length === 0
    const x509 = told.find(([name]) => name === undefined)?.[1]
    const jwt = told.filter(([name]) => name !== undefined).toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))
    // JavaScript puts keys that are numbers first: a null, which no path has, stands before each until it is text.
    const statuses = Object.fromEntries(jwt.map(([name, one]) => [`\0${name}`, one]))
    const reasons = expired.map(({ name, notAfter }) => `${outputs.get(name) ?? 'the X.509-SVID'} expired at ${notAfter}, and the agent has given no other`)
    const body = {
      status: good ? 'OK' : 'Service Unavailable',
      health: { file_write_statuses: { ...(x509 === undefined ? {} : { x509_write_status: x509 }), jwt_write_status: statuses } },
      ...(reasons.length === 0 ? {} : { reasons }),
    }
    return { status: good ? 200 : 503, headers: { 'content-type': 'application/json' }, body: Buffer.from(json(body).replaceAll('"\\u0000', '"')) }
  }
}
