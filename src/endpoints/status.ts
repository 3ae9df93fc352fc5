// The details for operators: what is wrong, since when, what to do. On loopback or the control socket, never on the metrics listener.
import type { StatusReport } from '../core/health.ts'
import { cleanPath, empty, guardPublic, type HostRule, json, text } from './guard.ts'
import type { Handler } from './server.ts'

/** GET /status: the whole report as JSON. */
export function createStatusHandler(hosts: HostRule, status: () => StatusReport): Handler {
  return (request) => {
    const refused = guardPublic(request, hosts)
    if (refused !== undefined) return empty(refused.status)
    if (request.method !== 'GET') return empty(405, { allow: 'GET' })
    return cleanPath(request.path) === '/status' ? json(200, status()) : text(404, 'there is /status\n')
  }
}
