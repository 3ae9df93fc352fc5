// The monitoring assets as files: rules, runbooks and dashboard agree with each other and with the metrics that the daemon declares.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { type Group, groups } from '../../docs/alerts.ts'
import { commands } from '../../src/cli/cli.ts'
import { jsonSchema } from '../../src/config/schema.ts'
import { failures } from '../../src/core/failures.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { faults, metricsOf, type Series, substituted } from '../support/promql.ts'

const rules = groups.flatMap((group) => group.rules)
const alerts = rules.flatMap(({ alert, ...rest }) => (alert === undefined ? [] : [{ alert, ...rest }]))

interface Panel {
  readonly title: string
  readonly type: string
  readonly datasource?: { readonly uid: string }
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string; readonly datasource: { readonly uid: string } }[]
}
const text = readFileSync('deploy/monitoring/dashboard.json', 'utf8')
const dashboard = JSON.parse(text) as {
  uid?: string
  panels: readonly Panel[]
  templating: { list: readonly { name: string; type: string; query: unknown }[] }
}

/** What the daemon declares, as Prometheus stores it. */
const declared: Series = new Map(
  createMetrics()
    .describe()
    .flatMap(({ name, type, labels }) => (type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']).map((end) => [name + end, new Set(labels)])),
)
/** And what rules may read besides: what was recorded before, and Prometheus' own. */
const readable: Series = new Map([
  ...declared,
  ...rules.flatMap(({ record }) => (record === undefined ? [] : [[record, new Set(['profile', 'reason'])] as const])),
  ['up', new Set<string>()],
  ['probe_success', new Set<string>()],
])

test('every rule parses, and reads metrics and labels that exist', () => {
  assert.ok(rules.length > 20)
  for (const { alert, record, expr } of rules) assert.deepEqual(faults(expr, readable), [], alert ?? record)
  assert.deepEqual(faults('rate(svidecar_nothing[5m])', readable), ['there is no metric svidecar_nothing'])
  assert.deepEqual(faults('sum by (role) (svidecar_credential_usable)', readable), ['there is no label role'])
  assert.notDeepEqual(faults('sum(svidecar_credential_usable', readable), [])
})

test('every alert says how bad it is, what has happened and what to do, and its runbook is there', () => {
  const page = readFileSync('docs/runbooks.md', 'utf8')
  const sections = new Map(page.split(/^## /m).map((section) => [section.split('\n')[0] ?? '', section]))
  for (const { alert, labels, annotations } of alerts) {
    assert.match(alert, /^Svidecar[A-Z]/)
    assert.deepEqual(Object.keys(labels ?? {}), ['severity'], alert)
    assert.match(labels?.['severity'] ?? '', /^(critical|warning)$/, alert)
    assert.deepEqual(Object.keys(annotations ?? {}), ['summary', 'description', 'runbook_url'], alert)
    assert.equal(annotations?.['runbook_url'], `docs/runbooks.md#${alert.toLowerCase()}`)
    const section = sections.get(alert) ?? assert.fail(`docs/runbooks.md has no section ${alert}`)
    for (const part of ['Means: ', 'Affected: ', '```sh\n', 'Do: ', 'Escalate: ']) assert.ok(section.includes(`\n${part}`), `${alert}: ${part}`)
  }
  const known = new Set(['# Runbooks', 'First', ...alerts.map(({ alert }) => alert)])
  assert.deepEqual(
    [...sections.keys()].filter((title) => title !== '' && !known.has(title) && !title.startsWith('#')),
    [],
    'runbooks of alerts that do not exist',
  )
  for (const [, anchor = ''] of page.matchAll(/\]\(#([^)]+)\)/g))
    assert.ok(
      alerts.some(({ alert }) => alert.toLowerCase() === anchor),
      anchor,
    )
})

test('every alert is seen to fire and not to fire in a unit test', () => {
  interface Case {
    readonly alertname: string
    readonly exp_alerts: readonly object[]
  }
  const cases = globSync('deploy/monitoring/tests/*.yaml').flatMap((file) =>
    (parse(readFileSync(file, 'utf8')) as { tests: { alert_rule_test?: Case[] }[] }).tests.flatMap((one) => one.alert_rule_test ?? []),
  )
  for (const { alert } of alerts) {
    const own = cases.filter(({ alertname }) => alertname === alert)
    assert.ok(
      own.some((one) => one.exp_alerts.length > 0),
      `${alert} never fires`,
    )
    assert.ok(
      own.some((one) => one.exp_alerts.length === 0),
      `${alert} always fires`,
    )
  }
})

test('every panel of the dashboard asks the chosen Prometheus for metrics and labels that exist, and no metric is left out', () => {
  const seen = new Set<string>()
  for (const { title, type, datasource, targets = [] } of dashboard.panels) {
    if (type === 'row') continue
    assert.equal(datasource?.uid, '${datasource}', title)
    assert.ok(targets.length > 0, title)
    for (const target of targets) {
      assert.equal(target.datasource.uid, '${datasource}', title)
      const expr = substituted(target.expr)
      assert.deepEqual(faults(expr, declared, target.legendFormat), [], `${title}: ${target.expr}`)
      assert.doesNotMatch(expr, /\$/, `${title}: a variable that is not declared`)
      for (const name of metricsOf(expr)) seen.add(name.replace(/_bucket$/, ''))
    }
  }
  const missing = createMetrics()
    .describe()
    .filter(({ name }) => !seen.has(name))
  assert.deepEqual(
    missing.map(({ name }) => name),
    [],
  )
})

test('the dashboard can be imported anywhere: it names no data source, no id and no address of its own', () => {
  assert.equal(dashboard.uid, undefined)
  assert.doesNotMatch(text, /"id": null|https?:/)
  assert.equal(dashboard.templating.list[0]?.type, 'datasource')
  for (const { name, type, query } of dashboard.templating.list) {
    if (type === 'datasource') continue
    const { query: asked } = query as { query: string }
    const selector = /^label_values\((.+), (\w+)\)$/.exec(asked) ?? assert.fail(asked)
    assert.deepEqual(faults(substituted(selector[1] ?? ''), declared, `{{${name}}}`), [], asked)
    assert.equal(selector[2], name)
  }
})

test('commands, events, codes and keys that runbooks and guide name exist', () => {
  const events = new Set([...readFileSync('src/core/events.ts', 'utf8').matchAll(/'([a-z0-9]+(?:\.[a-z_]+)?)'/g)].map(([, name]) => name))
  const schema = JSON.stringify(jsonSchema())
  const labels = new Set([...declared.values()].flatMap((names) => [...names]))
  // Of the log and of an alert.
  for (const field of ['access_key_id', 'role_arn', 'runbook_url']) labels.add(field)
  for (const page of ['docs/runbooks.md', 'docs/monitoring.md']) {
    const guide = readFileSync(page, 'utf8')
    const code = [...guide.matchAll(/```sh\n.*?```|`[^`\n]+`/gs)].join('\n')
    for (const [, name = ''] of code.matchAll(/(?:^|`|\/usr\/bin\/)svidecar ([a-z-]+)/gm)) assert.ok(name in commands, `${page}: svidecar ${name}`)
    for (const [, pattern = ''] of guide.matchAll(/"event":"([^"]+)"/g))
      for (const name of pattern.replaceAll(/[()]/g, '').split('|')) assert.ok(events.has(name), `${page}: ${name}`)
    for (const [, name = ''] of guide.matchAll(/`([a-z0-9]+\.[a-z]+(?:_[a-z]+)*|served)`/g))
      if (!/\.(ya?ml|json|md)$/.test(name)) assert.ok(events.has(name), `${page}: ${name}`)
    for (const [, name = ''] of guide.matchAll(/`([a-z0-9]+(?:_[a-z0-9]+)+)`/g))
      assert.ok(name in failures || labels.has(name) || declared.has(name) || schema.includes(`"${name}"`), `${page}: ${name}`)
  }
})

test('the command of the guide makes every runbook a link that people can click', (t) => {
  const copy = mkdtempSync(join(tmpdir(), 'monitoring-'))
  t.after(() => rmSync(copy, { recursive: true }))
  cpSync('deploy/monitoring', join(copy, 'deploy/monitoring'), { recursive: true })
  const [command = ''] = /^sed -i .*$/m.exec(readFileSync('docs/monitoring.md', 'utf8')) ?? []
  const { status, stderr } = spawnSync('sh', ['-c', command], { cwd: copy, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  const read = (file: string) => parse(readFileSync(join(copy, 'deploy/monitoring', file), 'utf8')) as { groups: Group[]; spec: { groups: Group[] } }
  const { groups: plain } = read('rules.yaml')
  assert.deepEqual(read('kubernetes/prometheusrule.yaml').spec.groups, plain)
  for (const { alert, annotations } of plain.flatMap(({ rules }) => rules))
    if (alert !== undefined) assert.match(annotations?.['runbook_url'] ?? '', /^https:\/\/\S+\/docs\/runbooks\.md#svidecar[a-z]+$/)
})
