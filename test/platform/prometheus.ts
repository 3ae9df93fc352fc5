// Prometheus, its Alertmanager and its blackbox exporter as processes of a test, with the shipped rules and scrape jobs and nothing of them changed but times and addresses.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '../support/eventually.ts'
import { checkout, freePorts, launch } from './machine.ts'

export const assets = join(checkout, 'deploy/monitoring')

/** Where a program of Debian's prometheus packages is; `share`: what Alertmanager's package has in /usr/share. */
export function program(name: 'prometheus' | 'promtool' | 'prometheus-alertmanager' | 'prometheus-blackbox-exporter' | 'share'): string {
  const path = join(process.env['SVIDECAR_PROMETHEUS'] ?? '', name)
  assert.ok(existsSync(path), `this test needs ${path}: SVIDECAR_PROMETHEUS names a folder with programs of Debian's packages, as .ci/run makes it`)
  return path
}

/** The same rules sixty times as fast: minutes are seconds, an hour is a minute. */
export const hastened = (rules: string): string => rules.replaceAll(/(for: |\[|offset )(\d+)m\b/g, '$1$2s').replaceAll(/\[(\d+)h\]/g, '[$1m]')

export interface Alert {
  readonly state: 'pending' | 'firing'
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface Prometheus {
  /** Alerts that fire now, by name. */
  firing(name: string): Promise<readonly Alert[]>
  /** What Alertmanager tells nobody, because another alert says more: names, of all instances or of one with the profile behind it. */
  silenced(instance?: string): Promise<readonly string[]>
  /** Has Alertmanager told of alerts with these labels. */
  tell(alerts: readonly Readonly<Record<string, string>>[]): Promise<void>
  /** How many series an expression gives. */
  count(expression: string): Promise<number>
  stop(): Promise<void>
}

/** Starts both; `scrapeConfig` is the text of a configuration, and lies in a folder of its own beside the rules and what else is in `files`. */
export async function startPrometheus(directory: string, files: Readonly<Record<string, string>>, scrapeConfig: string): Promise<Prometheus> {
  await mkdir(directory)
  const [web = 0, alerts = 0, blackbox = 0] = await freePorts(3)
  const rules = await readFile(join(assets, 'rules.yaml'), 'utf8')
  const config = scrapeConfig
    .replaceAll(/(scrape|evaluation)_interval: \S+/g, '$1_interval: 1s')
    .replaceAll('127.0.0.1:9115', `127.0.0.1:${blackbox}`)
    .replaceAll('127.0.0.1:9093', `127.0.0.1:${alerts}`)
  for (const [name, text] of Object.entries({ 'rules.yaml': hastened(rules), 'prometheus.yaml': config, ...files }))
    await writeFile(join(directory, name), text)
  const exporter = launch([
    program('prometheus-blackbox-exporter'),
    `--config.file=${join(assets, 'blackbox.yaml')}`,
    `--web.listen-address=127.0.0.1:${blackbox}`,
    '--log.level=warn',
  ])
  const manager = launch([
    // Where its templates are looked for is built in.
    'unshare',
    '--mount',
    'sh',
    '-c',
    'mount -t overlay -o lowerdir="$0":/usr/share none /usr/share && exec "$@"',
    program('share'),
    program('prometheus-alertmanager'),
    `--config.file=${join(assets, 'alertmanager.yaml')}`,
    `--storage.path=${join(directory, 'alerts')}`,
    `--web.listen-address=127.0.0.1:${alerts}`,
    // It has nobody to gossip with.
    '--cluster.listen-address=',
    '--log.level=warn',
  ])
  const server = launch([
    program('prometheus'),
    `--config.file=${join(directory, 'prometheus.yaml')}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=127.0.0.1:${web}`,
    '--log.level=warn',
  ])
  const stop = async () => {
    const all = [server, manager, exporter]
    for (const one of all) one.kill('SIGTERM')
    await Promise.all(all.map(({ ended }) => ended))
  }
  const ask = async <T>(path: string): Promise<T> => {
    server.check()
    const reply = await fetch(`http://127.0.0.1:${web}${path}`, { headers: { connection: 'close' } })
    const { status, data, error } = (await reply.json()) as { status: string; data: T; error?: string }
    assert.equal(status, 'success', error)
    return data
  }
  try {
    await eventually('Prometheus answers', async () => {
      for (const one of [server, manager, exporter]) one.check()
      return (await fetch(`http://127.0.0.1:${web}/-/ready`)).status === 200
    })
  } catch (error) {
    await stop()
    throw error
  }
  return {
    firing: async (name) =>
      (await ask<{ alerts: Alert[] }>('/api/v1/alerts')).alerts.filter(({ labels, state }) => labels['alertname'] === name && state === 'firing'),
    silenced: async (instance) => {
      manager.check()
      const reply = await fetch(`http://127.0.0.1:${alerts}/api/v2/alerts?active=false&inhibited=true`, { headers: { connection: 'close' } })
      const all = ((await reply.json()) as { labels: Record<string, string> }[]).map(({ labels }) => labels)
      if (instance === undefined) return all.map(({ alertname = '' }) => alertname)
      return all.filter((labels) => labels['instance'] === instance).map(({ alertname = '', profile = '' }) => `${alertname} ${profile}`.trim())
    },
    tell: async (labels) => {
      const reply = await fetch(`http://127.0.0.1:${alerts}/api/v2/alerts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', connection: 'close' },
        body: JSON.stringify(labels.map((one) => ({ labels: one }))),
      })
      assert.equal(reply.status, 200, await reply.text())
    },
    count: async (expression) => (await ask<{ result: unknown[] }>(`/api/v1/query?query=${encodeURIComponent(expression)}`)).result.length,
    stop,
  }
}
