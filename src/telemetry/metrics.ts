// The metrics: a fold over the events. Label values come from the configuration or from fixed lists, never from callers.
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Event, EventOf, Stream } from '../core/events.ts'

const attemptBuckets = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const answerBuckets = [0.001, 0.005, 0.025, 0.1, 0.3, 1]

/** Creates the registry with all metrics of the daemon. */
export function createMetrics() {
  const registry = new Registry()
  const declared: { name: string; type: string; labels: readonly string[]; help: string }[] = []
  const declare = (type: string, name: string, help: string, labelNames: readonly string[]) => {
    declared.push({ name: `svidecar_${name}`, type, labels: labelNames, help })
    return { name: `svidecar_${name}`, help, labelNames, registers: [registry] }
  }
  const gauge = (name: string, help: string, ...labels: string[]) => new Gauge(declare('gauge', name, help, labels))
  const counter = (name: string, help: string, ...labels: string[]) => new Counter(declare('counter', name, help, labels))
  const histogram = (name: string, help: string, buckets: number[], ...labels: string[]) =>
    new Histogram({ ...declare('histogram', name, help, labels), buckets })

  const build = gauge('build_info', 'Always 1; says what runs.', 'version', 'commit', 'node_version')
  const loaded = gauge('config_last_reload_timestamp_seconds', 'When the running configuration was loaded.')
  const loadable = gauge('config_last_reload_successful', '0 while what was to be loaded last has mistakes and an older configuration runs.')
  const reloadFailures = counter('config_reload_failures_total', 'Configurations that were not loaded because of mistakes.')
  const connected = gauge(
    'workload_api_connected',
    '1 while the agent sends X.509-SVIDs on an open stream, or gave the last JWT-SVID that was asked for.',
    'identity',
  )
  const restarts = counter('workload_api_stream_restarts_total', 'Streams of the agent that had delivered and ended.', 'identity')
  const apiErrors = counter('workload_api_errors_total', 'Failed calls, ended streams and rejected messages of the agent.', 'identity', 'code')
  const notBefore = gauge('x509_svid_not_before_timestamp_seconds', 'Start of the X.509-SVID in use.', 'identity', 'spiffe_id')
  const notAfter = gauge('x509_svid_not_after_timestamp_seconds', 'End of the X.509-SVID in use.', 'identity', 'spiffe_id')
  const updates = counter('x509_svid_updates_total', 'X.509-SVIDs that came into use.', 'identity')
  const jwtExpiry = gauge('jwt_svid_expiry_timestamp_seconds', 'End of the newest JWT-SVID.', 'identity', 'audience')
  const jwtFetches = counter('jwt_svid_fetches_total', 'JWT-SVIDs that the agent gave.', 'identity', 'audience')
  const expiry = gauge('credential_expiry_timestamp_seconds', 'Expiration of the credentials in use.', 'profile')
  const renewal = gauge('credential_next_renewal_timestamp_seconds', 'When the credentials in use will be renewed.', 'profile')
  const usable = gauge('credential_usable', '1 while the profile has credentials to serve.', 'profile')
  const successes = counter('exchange_success_total', 'Exchanges that gave credentials.', 'profile', 'method')
  const failures = counter('exchange_failures_total', 'Exchanges that failed, by the code of docs/errors.md.', 'profile', 'method', 'reason')
  const duration = histogram('exchange_duration_seconds', 'Time of an exchange, the wait for its identity included.', attemptBuckets, 'profile', 'method')
  const skew = gauge('clock_skew_seconds', "AWS's clock less this machine's, as the last reply said.", 'profile')
  const writes = counter('file_writes_total', 'Outputs that were written.', 'output')
  const writeFailures = counter('file_write_failures_total', 'Outputs that could not be written.', 'output')
  const fileExpiry = gauge('file_expiry_timestamp_seconds', 'End of what lies in the files of an output.', 'output')
  const hooks = counter('hook_runs_total', 'What hooks did, by outcome: done or failed.', 'hook', 'outcome')
  const served = counter('served_requests_total', 'Answers to requests for credentials.', 'endpoint', 'code')
  const servedDuration = histogram('served_request_duration_seconds', 'Time of an answer.', answerBuckets, 'endpoint')
  new Gauge({
    ...declare('gauge', 'process_resident_memory_bytes', 'Resident memory of the daemon.', []),
    collect() {
      this.set(process.memoryUsage.rss())
    },
  })

  // What the running configuration names; series of anything else are taken away before the next scrape.
  const known: Record<string, ReadonlySet<string>> = {}
  async function prune(): Promise<void> {
    for (const metric of registry.getMetricsAsArray() as unknown as (Gauge | Counter | Histogram)[]) {
      for (const { labels } of (await metric.get()).values) {
        const { le: _, ...own } = labels as Record<string, string | number>
        if (Object.entries(own).some(([label, value]) => known[label]?.has(String(value)) === false)) metric.remove(own)
      }
    }
  }

  // By identity: its X.509 stream where there is one, else the last JWT-SVID that was asked for.
  const streams = new Map<string, Map<Stream, boolean>>()
  function tell(identity: string, stream: Stream, up: boolean): void {
    const known = streams.get(identity) ?? new Map<Stream, boolean>()
    streams.set(identity, known.set(stream, up))
    connected.set({ identity }, (known.get('x509') ?? known.get('jwt')) ? 1 : 0)
  }

  const inUse = new Map<string, string>()
  const folds: { [T in Event['type']]?: (event: EventOf<T>) => void } = {
    'daemon.starting': (event) => build.set({ version: event.version, commit: event.commit, node_version: process.version }, 1),
    'config.loaded': (event) => {
      loaded.set(event.at / 1000)
      loadable.set(1)
      known['profile'] = new Set(event.profiles.map(({ name }) => name))
      known['identity'] = new Set(event.identities)
      known['hook'] = new Set(event.hooks)
      known['output'] = new Set(event.outputs.map(({ output }) => output))
      for (const { output } of event.outputs) for (const one of [writes, writeFailures]) one.inc({ output }, 0)
      for (const hook of event.hooks) for (const outcome of ['done', 'failed']) hooks.inc({ hook, outcome }, 0)
      reloadFailures.inc(0)
      for (const { name, method, identity } of event.profiles) {
        // Series exist before their first event: an alert on increase() needs the zero.
        successes.inc({ profile: name, method }, 0)
        usable.inc({ profile: name }, 0)
        connected.inc({ identity }, 0)
        restarts.inc({ identity }, 0)
      }
    },
    'config.reload_failed': () => {
      loadable.set(0)
      reloadFailures.inc()
    },
    'identity.connected': (event) => tell(event.identity, event.stream, true),
    'identity.disconnected': (event) => {
      tell(event.identity, event.stream, false)
      if (event.wasConnected) restarts.inc({ identity: event.identity })
      apiErrors.inc({ identity: event.identity, code: event.failure.code })
    },
    'identity.rejected': (event) => apiErrors.inc({ identity: event.identity, code: event.failure.code }),
    'x509.updated': (event) => {
      const { identity, spiffeId } = event
      const before = inUse.get(identity)
      if (before !== undefined && before !== spiffeId) for (const one of [notBefore, notAfter]) one.remove({ identity, spiffe_id: before })
      inUse.set(identity, spiffeId)
      notBefore.set({ identity, spiffe_id: spiffeId }, event.notBefore / 1000)
      notAfter.set({ identity, spiffe_id: spiffeId }, event.notAfter / 1000)
      updates.inc({ identity })
    },
    'jwt.fetched': (event) => {
      tell(event.identity, 'jwt', true)
      jwtExpiry.set({ identity: event.identity, audience: event.audience }, event.expiresAt / 1000)
      jwtFetches.inc({ identity: event.identity, audience: event.audience })
    },
    'exchange.succeeded': ({ profile, method, seconds }) => {
      successes.inc({ profile, method })
      duration.observe({ profile, method }, seconds)
    },
    'exchange.failed': ({ profile, method, seconds, failure }) => {
      failures.inc({ profile, method, reason: failure.code })
      duration.observe({ profile, method }, seconds)
    },
    'exchange.clock_skew': ({ profile, seconds }) => skew.set({ profile }, seconds),
    'credentials.fresh': ({ profile, expiresAt, deadline, refreshAt }) => {
      expiry.set({ profile }, expiresAt / 1000)
      // refreshAt and deadline are of the boot clock; their distance is the same on every clock.
      renewal.set({ profile }, (expiresAt - (deadline - refreshAt)) / 1000)
      usable.set({ profile }, 1)
    },
    'credentials.expired': ({ profile }) => usable.set({ profile }, 0),
    'credentials.forgotten': ({ profile }) => usable.set({ profile }, 0),
    'credentials.dropped': ({ profile }) => usable.set({ profile }, 0),
    'output.written': ({ output, expiresAt }) => {
      writes.inc({ output })
      if (expiresAt !== undefined) fileExpiry.set({ output }, expiresAt / 1000)
    },
    'output.failed': ({ output }) => writeFailures.inc({ output }),
    'output.removed': ({ output }) => fileExpiry.remove({ output }),
    'hook.done': ({ hook }) => hooks.inc({ hook, outcome: 'done' }),
    'hook.failed': ({ hook }) => hooks.inc({ hook, outcome: 'failed' }),
    served: ({ endpoint, status, seconds }) => {
      served.inc({ endpoint, code: String(status) })
      servedDuration.observe({ endpoint }, seconds)
    },
  }
  return {
    listener: (event: Event) => (folds[event.type] as ((event: Event) => void) | undefined)?.(event),
    render: async () => {
      await prune()
      return { contentType: registry.contentType, body: await registry.metrics() }
    },
    /** Name, type, labels and help of each metric, for the documentation. */
    describe: (): typeof declared => declared,
  }
}
