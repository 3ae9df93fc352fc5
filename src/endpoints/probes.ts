// The listeners that give no secret: probes and metrics, without a detail that a stranger could use, and the status page for operators.
import type { HealthReport, StatusReport } from '../core/health.ts'
import { cleanPath, empty, guardPublic, type HostRule, json, text } from './guard.ts'
import { statusPage } from './page.ts'
import type { Answer, Handler } from './server.ts'

type Routes = Readonly<Record<string, () => Answer | Promise<Answer>>>

/** Answers these methods on these paths; `hint` is for whoever asks for another path. */
const routed =
  (hosts: HostRule, methods: readonly string[], routes: Routes, hint: string): Handler =>
  (request) => {
    const refused = guardPublic(request, hosts)
    if (refused !== undefined) return empty(refused.status)
    if (!methods.includes(request.method)) return empty(405, { allow: methods.join(', ') })
    return routes[cleanPath(request.path) ?? '']?.() ?? text(404, `there ${hint}\n`)
  }

interface ProbeOptions {
  readonly hosts: HostRule
  readonly health: () => HealthReport
  readonly metrics: () => Promise<{ contentType: string; body: string }>
}

/**
 * GET /livez: the process answers; it never depends on agent or AWS, because a restart cures neither and loses
 * good credentials. /startupz: every required profile has had credentials once. /readyz: they are valid now.
 */
export function createProbesHandler({ hosts, health, metrics }: ProbeOptions): Handler {
  const verdict = (what: 'started' | 'ready') => (): Answer => {
    const { [what]: ok, missing } = health()
    return json(ok ? 200 : 503, { ok, missing })
  }
  const routes: Routes = {
    '/livez': () => text(200, 'ok\n'),
    '/startupz': verdict('started'),
    '/readyz': verdict('ready'),
    async '/metrics'() {
      const { contentType, body } = await metrics()
      return { status: 200, headers: { 'content-type': contentType }, body }
    },
  }
  return routed(hosts, ['GET', 'HEAD'], routes, 'are /livez, /startupz, /readyz and /metrics')
}

/** GET /: the page for people. GET /status: what is wrong, since when, what to do, as JSON. Never on the metrics listener. */
export const createStatusHandler = (hosts: HostRule, status: () => StatusReport): Handler =>
  routed(hosts, ['GET'], { '/': () => statusPage(status()), '/status': () => json(200, status()) }, 'are / and /status')
