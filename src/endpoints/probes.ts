// Probes and metrics, for kubelets and Prometheus: no secret, and no detail that a stranger could use.
import type { HealthReport } from '../core/health.ts'
import { cleanPath, empty, guardPublic, type HostRule, json, text } from './guard.ts'
import type { Answer, Handler } from './server.ts'

export interface ProbeOptions {
  readonly hosts: HostRule
  readonly health: () => HealthReport
  readonly metrics: () => Promise<{ contentType: string; body: string }>
}

/**
 * GET /livez: the process answers; it never depends on agent or AWS, because a restart cures neither and loses
 * good credentials. /startupz: every required profile has had credentials once. /readyz: they are valid now.
 */
export function createProbesHandler({ hosts, health, metrics }: ProbeOptions): Handler {
  const verdict = (good: boolean, report: HealthReport): Answer => json(good ? 200 : 503, { ok: good, missing: report.missing })
  return async (request) => {
    const refused = guardPublic(request, hosts)
    if (refused !== undefined) return empty(refused.status)
    if (request.method !== 'GET' && request.method !== 'HEAD') return empty(405, { allow: 'GET, HEAD' })
    switch (cleanPath(request.path)) {
      case '/livez':
        return text(200, 'ok\n')
      case '/startupz': {
        const report = health()
        return verdict(report.started, report)
      }
      case '/readyz': {
        const report = health()
        return verdict(report.ready, report)
      }
      case '/metrics': {
        const { contentType, body } = await metrics()
        return { status: 200, headers: { 'content-type': contentType }, body }
      }
      default:
        return text(404, 'there are /livez, /startupz, /readyz and /metrics\n')
    }
  }
}
