// The Grafana dashboard: what it shows. docs/generate.ts writes it as deploy/monitoring/dashboard.json.
import { type Dashboard, DashboardCursorSync, VariableRefresh } from '@grafana/schema'
import { graph, layOut, type Sketch, stat, steps, table, variable } from './grafana.ts'

const mine = 'namespace=~"$namespace",instance=~"$instance"'
const profiles = `${mine},profile=~"$profile"`

const left = (metric: string, selector: string): string => `${metric}{${selector}} - time()`
const rate = (metric: string, selector: string): string => `rate(${metric}{${selector}}[$__rate_interval])`
const quantile = (share: number, metric: string, selector: string, by: string): string =>
  `histogram_quantile(${share}, sum by (le, ${by}) (${rate(metric, selector)}))`

const bad = steps('green', [1, 'red'])

const rows: Readonly<Record<string, readonly Sketch[]>> = {
  'Is anybody without credentials?': [
    stat('Daemons', 'That Prometheus has scraped.', 'short', `count(svidecar_build_info{${mine}}) or vector(0)`, steps('blue')),
    stat(
      'Profiles with credentials',
      'Of those that are configured.',
      'percentunit',
      `avg(svidecar_credential_usable{${profiles}})`,
      steps('red', [0.9, 'orange'], [1, 'green']),
    ),
    stat('Profiles without', 'Every request for these is answered with 503.', 'short', `count(svidecar_credential_usable{${profiles}} == 0) or vector(0)`, bad),
    stat(
      'Next end',
      'What is left of the credentials that end first.',
      's',
      `min(${left('svidecar_credential_expiry_timestamp_seconds', profiles)} and svidecar_credential_usable{${profiles}} == 1)`,
      steps('red', [300, 'orange'], [900, 'green']),
    ),
    stat(
      'Renewals overdue',
      'Profiles whose renewal was due and has not come.',
      'short',
      `count(svidecar_credential_next_renewal_timestamp_seconds{${profiles}} < time()) or vector(0)`,
      bad,
    ),
    stat('Agents away', 'Identities that get nothing from their agent.', 'short', `count(svidecar_workload_api_connected{${mine}} == 0) or vector(0)`, bad),
    table(
      'Profiles, those that end first on top',
      'What is left of the credentials in use; negative: that long ago.',
      's',
      `sort(${left('svidecar_credential_expiry_timestamp_seconds', profiles)})`,
      'left',
      ['Time', 'job', 'container', 'endpoint'],
    ),
  ],
  Credentials: [
    graph('Left of credentials', 'A saw: renewed with half of the life left. A line that goes on down is an outage.', 's', {
      '{{instance}} {{profile}}': left('svidecar_credential_expiry_timestamp_seconds', profiles),
    }),
    graph('Exchanges', 'With AWS; failures by the code of docs/errors.md.', 'ops', {
      success: `sum(${rate('svidecar_exchange_success_total', profiles)})`,
      '{{reason}}': `sum by (reason) (${rate('svidecar_exchange_failures_total', profiles)})`,
    }),
    graph('Time of an exchange', 'The wait for the identity included.', 's', {
      'half of them, {{method}}': quantile(0.5, 'svidecar_exchange_duration_seconds_bucket', profiles, 'method'),
      '99 %, {{method}}': quantile(0.99, 'svidecar_exchange_duration_seconds_bucket', profiles, 'method'),
    }),
  ],
  Identity: [
    graph('Left of X.509-SVIDs', 'As a share of their life; the agent renews at about half.', 'percentunit', {
      '{{instance}} {{spiffe_id}}': `(${left('svidecar_x509_svid_not_after_timestamp_seconds', mine)}) / (svidecar_x509_svid_not_after_timestamp_seconds{${mine}} - svidecar_x509_svid_not_before_timestamp_seconds{${mine}})`,
    }),
    graph('Left of JWT-SVIDs', 'Of the newest of each audience. A token for an exchange is fetched when it is needed, and may have ended since.', 's', {
      '{{instance}} {{audience}}': left('svidecar_jwt_svid_expiry_timestamp_seconds', mine),
    }),
    graph('The agent', 'Errors by code, streams that had delivered and ended.', 'ops', {
      '{{code}}': `sum by (code) (${rate('svidecar_workload_api_errors_total', mine)})`,
      'stream ended': `sum(${rate('svidecar_workload_api_stream_restarts_total', mine)})`,
      'X.509-SVID': `sum(${rate('svidecar_x509_svid_updates_total', mine)})`,
      'JWT-SVID': `sum(${rate('svidecar_jwt_svid_fetches_total', mine)})`,
    }),
  ],
  'Who asks': [
    graph('Answers', '401 and 403: refused. 503: nothing to give.', 'reqps', {
      '{{endpoint}} {{code}}': `sum by (endpoint, code) (${rate('svidecar_served_requests_total', mine)})`,
    }),
    graph('Time of an answer', '99 % of them were faster.', 's', {
      '{{endpoint}}': quantile(0.99, 'svidecar_served_request_duration_seconds_bucket', mine, 'endpoint'),
    }),
    graph('Clock', "AWS's less the machine's.", 's', { '{{instance}} {{profile}}': `svidecar_clock_skew_seconds{${profiles}}` }),
  ],
  'Files and hooks': [
    graph('Left of what lies in files', 'Negative: it has expired.', 's', { '{{instance}} {{output}}': left('svidecar_file_expiry_timestamp_seconds', mine) }),
    graph('Writes', 'By output.', 'ops', {
      '{{output}}': `sum by (output) (${rate('svidecar_file_writes_total', mine)})`,
      '{{output}}: failed': `sum by (output) (${rate('svidecar_file_write_failures_total', mine)})`,
    }),
    graph('Hooks', 'By outcome.', 'ops', { '{{hook}} {{outcome}}': `sum by (hook, outcome) (${rate('svidecar_hook_runs_total', mine)})` }),
  ],
  'The daemon': [
    graph('Memory', 'Resident, shared pages included.', 'bytes', { '{{instance}}': `svidecar_process_resident_memory_bytes{${mine}}` }),
    graph('Age of the configuration', 'A saw with many teeth: it restarts or is reloaded again and again.', 's', {
      '{{instance}}': `time() - svidecar_config_last_reload_timestamp_seconds{${mine}}`,
    }),
    graph('Versions and reloads', 'Daemons of each version; those whose newest configuration has mistakes; reloads that failed.', 'short', {
      '{{version}} {{commit}}, Node.js {{node_version}}': `count by (version, commit, node_version) (svidecar_build_info{${mine}})`,
      'old configuration': `count(svidecar_config_last_reload_successful{${mine}} == 0) or vector(0)`,
      'failed reloads': `sum(increase(svidecar_config_reload_failures_total{${mine}}[$__rate_interval]))`,
    }),
  ],
}

const dashboard: Dashboard = {
  title: 'svidecar',
  description: 'SPIFFE identities in, AWS credentials out: who has credentials, until when, and what is wrong.',
  tags: ['svidecar', 'spiffe', 'aws'],
  schemaVersion: 39,
  editable: true,
  graphTooltip: DashboardCursorSync.Crosshair,
  refresh: '30s',
  time: { from: 'now-3h', to: 'now' },
  templating: {
    list: [
      { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus', refresh: VariableRefresh.onDashboardLoad },
      variable('namespace', 'Namespace', 'label_values(svidecar_build_info, namespace)'),
      variable('instance', 'Instance', 'label_values(svidecar_build_info{namespace=~"$namespace"}, instance)'),
      variable('profile', 'Profile', `label_values(svidecar_credential_usable{${mine}}, profile)`),
    ],
  },
  panels: layOut(rows),
}

export const dashboardJson = (): string => `${JSON.stringify(dashboard, null, 2)}\n`
