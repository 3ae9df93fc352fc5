// Prometheus and its blackbox exporter as processes of a test, with the shipped rules and scrape jobs and nothing of them changed but times and addresses.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '../support/eventually.ts'
import { checkout, freePorts, launch } from './machine.ts'

export const assets = join(checkout, 'deploy/monitoring')

/** Where a program of Debian's prometheus packages is. */
export function program(name: 'prometheus' | 'promtool' | 'prometheus-blackbox-exporter'): string {
  const path = join(process.env['SVIDECAR_PROMETHEUS'] ?? '/usr/bin', name)
  assert.ok(existsSync(path), `this test needs ${path}: set SVIDECAR_PROMETHEUS to a folder that has it, or install Debian's package`)
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
  /** How many series an expression gives. */
  count(expression: string): Promise<number>
  stop(): Promise<void>
}

/** Starts both; `scrapeConfig` is the text of a configuration, and lies in a folder of its own beside the rules and what else is in `files`. */
export async function startPrometheus(directory: string, files: Readonly<Record<string, string>>, scrapeConfig: string): Promise<Prometheus> {
  await mkdir(directory)
  const [web = 0, blackbox = 0] = await freePorts(2)
  const rules = await readFile(join(assets, 'rules.yaml'), 'utf8')
  const config = scrapeConfig.replaceAll(/(scrape|evaluation)_interval: \S+/g, '$1_interval: 1s').replaceAll('127.0.0.1:9115', `127.0.0.1:${blackbox}`)
  for (const [name, text] of Object.entries({ 'rules.yaml': hastened(rules), 'prometheus.yaml': config, ...files }))
    await writeFile(join(directory, name), text)
  const exporter = launch([
    program('prometheus-blackbox-exporter'),
    `--config.file=${join(assets, 'blackbox.yaml')}`,
    `--web.listen-address=127.0.0.1:${blackbox}`,
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
    for (const one of [server, exporter]) one.kill('SIGTERM')
    await Promise.all([server.ended, exporter.ended])
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
      server.check()
      exporter.check()
      return (await fetch(`http://127.0.0.1:${web}/-/ready`)).status === 200
    })
  } catch (error) {
    await stop()
    throw error
  }
  return {
    firing: async (name) =>
      (await ask<{ alerts: Alert[] }>('/api/v1/alerts')).alerts.filter(({ labels, state }) => labels['alertname'] === name && state === 'firing'),
    count: async (expression) => (await ask<{ result: unknown[] }>(`/api/v1/query?query=${encodeURIComponent(expression)}`)).result.length,
    stop,
  }
}
