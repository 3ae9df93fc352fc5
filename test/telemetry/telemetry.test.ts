// Log, metrics, health and systemd: four folds over the same events.
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { failure } from '../../src/core/errors.ts'
import type { Event, EventOf } from '../../src/core/events.ts'
import { describe } from '../../src/telemetry/describe.ts'
import { createHealth } from '../../src/telemetry/health.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { createSystemd } from '../../src/telemetry/systemd.ts'
import { eventually } from '../support/eventually.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'

const role = 'arn:aws:iam::111122223333:role/app'
const loaded = (...names: string[]): Event => ({
  type: 'config.loaded',
  at: 0,
  origin: 'test',
  identities: names.length === 0 ? [] : ['default'],
  profiles: names.map((name) => ({ name, required: !name.startsWith('optional'), roleArn: role, method: 'rolesanywhere', identity: 'default' })),
  outputs: [],
  hooks: [],
})
const fresh = (clock: FakeClock, profile: string, lifeMs = 3_600_000): Event => ({
  type: 'credentials.fresh',
  profile,
  accessKeyId: 'ASIAEXAMPLE',
  roleArn: role,
  expiresAt: clock.now() + lifeMs,
  deadline: clock.boot() + lifeMs,
  refreshAt: clock.boot() + lifeMs / 2,
})
const refused = failure('access_denied', 'Roles Anywhere refused with 403', { facts: { spiffe_id: 'spiffe://a/b', certificate_serial: '7' } })

function watchHealth() {
  const clock = createFakeClock()
  const health = createHealth(clock)
  return { clock, ...health, tell: (...events: Event[]) => events.forEach(health.listener) }
}

test('ready means that every required profile has credentials now; started, that each has had them once', async () => {
  const { clock, health, tell } = watchHealth()
  assert.deepEqual(health(), { ready: false, started: false, missing: [] })
  tell(loaded('a', 'b', 'optional'), fresh(clock, 'a'))
  assert.deepEqual(health(), { ready: false, started: false, missing: ['b'] })
  tell(fresh(clock, 'b', 60_000))
  assert.deepEqual(health(), { ready: true, started: true, missing: [] })
  await clock.advance(60_000)
  assert.deepEqual(health(), { ready: false, started: true, missing: ['b'] }, 'without any event: by the clock')
  tell({ type: 'credentials.dropped', profile: 'a', failure: refused })
  assert.deepEqual(health().missing, ['a', 'b'])
})

test('what a profile says between being started and being announced counts: a reload does both, one after the other', () => {
  const { clock, health, status, tell } = watchHealth()
  tell(loaded('a'), fresh(clock, 'a'), fresh(clock, 'b'), loaded('a', 'b'))
  assert.deepEqual(health(), { ready: true, started: true, missing: [] })
  assert.equal(status().profiles[1]?.status, 'fresh')
})

test('a problem says since when and goes away with what ended it', async () => {
  const { clock, status, tell } = watchHealth()
  tell(loaded('a'))
  const failed: Event = { type: 'exchange.failed', profile: 'a', method: 'rolesanywhere', failure: refused, seconds: 1, retryInSeconds: 30, attempt: 1 }
  const since = new Date(clock.now()).toISOString()
  tell(failed)
  await clock.advance(5_000)
  tell(failed)
  assert.deepEqual(status().problems, [
    { subject: 'profile a', code: 'access_denied', message: refused.message, remedy: refused.remedy, since, runbook: 'docs/errors.md#access_denied' },
  ])
  tell({ type: 'exchange.succeeded', profile: 'a', method: 'rolesanywhere', seconds: 1 }, fresh(clock, 'a'))
  assert.deepEqual(status().problems, [])
  assert.deepEqual(status().profiles[0]?.exchanges, { succeeded: 1, failed: 2 })
})

test('identities are shown with what they are, and forgotten with the configuration', () => {
  const { clock, status, tell } = watchHealth()
  const away = failure('workload_api_unreachable', 'no such file')
  tell(loaded('a'), { type: 'identity.failing', identity: 'default', stream: 'x509', failure: away })
  assert.equal(status().identities[0]?.status, 'waiting')
  tell(
    {
      type: 'x509.updated',
      identity: 'default',
      hint: '',
      svids: 1,
      bundles: [],
      spiffeId: 'spiffe://a/b',
      serial: '7',
      fingerprint: 'f',
      notBefore: 0,
      notAfter: clock.now(),
    },
    { type: 'identity.connected', identity: 'default', stream: 'x509' },
    { type: 'identity.recovered', identity: 'default', stream: 'x509' },
  )
  assert.deepEqual(status().identities[0], {
    name: 'default',
    status: 'ready',
    connected: true,
    spiffeId: 'spiffe://a/b',
    serial: '7',
    notAfter: new Date(clock.now()).toISOString(),
  })
  assert.deepEqual(status().problems, [])
  tell({ type: 'identity.withdrawn', identity: 'default', stream: 'x509', failure: failure('identity_not_issued', 'gone') })
  assert.equal(status().identities[0]?.status, 'withdrawn')
  tell({ type: 'config.loaded', at: 0, origin: 'x', identities: [], profiles: [], outputs: [], hooks: [] })
  assert.deepEqual([status().identities, status().profiles, status().problems], [[], [], []])
})

test('a refusal is one line that carries what an operator compares', () => {
  const { level, message, fields } = describe({
    type: 'exchange.failed',
    profile: 'a',
    method: 'rolesanywhere',
    failure: refused,
    seconds: 0.2,
    retryInSeconds: 31,
    attempt: 2,
    expiresAt: Date.UTC(2026, 0, 1),
  })
  assert.equal(level, 'warn')
  assert.match(
    message,
    /^profile a: Roles Anywhere refused with 403\. Compare .* The last good credentials are served until 2026-01-01T00:00:00\.000Z\. Next attempt: 31 s$/,
  )
  assert.deepEqual(
    [fields['event'], fields['code'], fields['spiffe_id'], fields['certificate_serial'], fields['attempt']],
    ['exchange.failed', 'access_denied', 'spiffe://a/b', '7', 2],
  )
  assert.equal(
    describe({
      type: 'exchange.failed',
      profile: 'a',
      method: 'rolesanywhere',
      failure: refused,
      seconds: 0,
      retryInSeconds: Number.POSITIVE_INFINITY,
      attempt: 1,
    }).level,
    'error',
  )
})

test('the log is JSON with a level, a time and an event, or text for people; a knocking neighbour does not fill it', async () => {
  const clock = createFakeClock()
  const lines: string[] = []
  const log = createLog({ level: 'info', format: 'json', clock, write: (line) => lines.push(line) })
  log({ type: 'listener.opened', listener: 'container', address: '127.0.0.1:9912' })
  log({ type: 'served', endpoint: 'container', consumer: 'a', profile: 'a', status: 200, seconds: 0 })
  const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>
  assert.deepEqual(line, {
    level: 'info',
    time: '2026-01-01T00:00:00.000Z',
    event: 'listener.opened',
    listener: 'container',
    address: '127.0.0.1:9912',
    msg: 'container listens on 127.0.0.1:9912',
  })
  assert.equal(lines.length, 1, 'debug lines stay out')
  const knock: Event = { type: 'listener.refused', listener: 'container', status: 401, reason: 'the token is not one of the consumers' }
  for (let count = 0; count < 1_000; count++) log(knock)
  assert.equal(lines.length, 2)
  await clock.advance(10_000)
  log(knock)
  assert.equal(lines.length, 3)
  const text: string[] = []
  createLog({ level: 'warn', format: 'text', clock, write: (line) => text.push(line) })({
    type: 'identity.failing',
    identity: 'default',
    stream: 'x509',
    failure: failure('workload_api_unreachable', 'cannot connect: no such file'),
  })
  assert.match(text[0] ?? '', /^00:00:10 WARN {2}identity default: cannot connect: no such file\. Is the agent .* \[workload_api_unreachable\]\n$/)
})

test('metrics count what happened, in base units, with zeros before the first event', async () => {
  const { listener, render, describe: declared } = createMetrics()
  const clock = createFakeClock()
  for (const event of [
    { type: 'daemon.starting', version: '1', commit: 'c', pid: 1 },
    loaded('a'),
    fresh(clock, 'a'),
    { type: 'exchange.failed', profile: 'a', method: 'rolesanywhere', failure: refused, seconds: 0.2, retryInSeconds: 30, attempt: 1 },
    { type: 'served', endpoint: 'container', consumer: 'c', profile: 'a', status: 200, seconds: 0.000_2 },
    { type: 'identity.disconnected', identity: 'default', stream: 'x509', failure: failure('workload_api_unavailable', 'x'), wasConnected: true },
  ] satisfies Event[])
    listener(event)
  const { body } = await render()
  for (const expected of [
    /^svidecar_build_info\{version="1",commit="c",node_version="v\d+/m,
    /^svidecar_exchange_success_total\{profile="a",method="rolesanywhere"\} 0$/m,
    /^svidecar_exchange_failures_total\{profile="a",method="rolesanywhere",reason="access_denied"\} 1$/m,
    new RegExp(`^svidecar_credential_expiry_timestamp_seconds\\{profile="a"\\} ${(clock.now() + 3_600_000) / 1000}$`, 'm'),
    new RegExp(`^svidecar_credential_next_renewal_timestamp_seconds\\{profile="a"\\} ${(clock.now() + 1_800_000) / 1000}$`, 'm'),
    /^svidecar_credential_usable\{profile="a"\} 1$/m,
    /^svidecar_served_requests_total\{endpoint="container",code="200"\} 1$/m,
    /^svidecar_workload_api_stream_restarts_total\{identity="default"\} 1$/m,
    /^svidecar_process_resident_memory_bytes \d{7,}$/m,
  ])
    assert.match(body, expected)
  for (const { name, help } of declared()) {
    assert.match(name, /^svidecar_[a-z0-9_]+$/)
    assert.match(help, /\.$/, name)
  }
  listener({ type: 'config.reload_failed', failure: failure('config_invalid', 'x') })
  assert.match((await render()).body, /^svidecar_config_last_reload_successful 0$/m)
  listener({ ...(loaded('b') as EventOf<'config.loaded'>), hooks: ['1 run'] })
  const { body: later } = await render()
  assert.doesNotMatch(later, /profile="a"/, 'series of a profile that is gone are gone')
  assert.match(later, /^svidecar_config_last_reload_successful 1$/m)
  assert.match(later, /^svidecar_hook_runs_total\{hook="1 run",outcome="failed"\} 0$/m)
})

test('systemd hears of readiness, of what is missing and of the end, in order', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'svidecar-test-'))
  const said = join(folder, 'said')
  writeFileSync(join(folder, 'systemd-notify'), `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> ${said}\n`)
  chmodSync(join(folder, 'systemd-notify'), 0o755)
  const clock = createFakeClock()
  const health = createHealth(clock)
  assert.equal(createSystemd({ env: {}, health: health.health, clock }), undefined)
  const systemd = createSystemd({
    env: { NOTIFY_SOCKET: '/run/n', PATH: `${folder}:${process.env['PATH']}`, WATCHDOG_USEC: '20000000' },
    health: health.health,
    clock,
  })
  assert.ok(systemd !== undefined)
  const stop = new AbortController()
  const running = systemd.run(stop.signal).catch(() => {})
  for (const event of [loaded('a'), { type: 'daemon.listening' }, fresh(clock, 'a'), { type: 'daemon.stopping', reason: 'SIGTERM' }] satisfies Event[])
    for (const listener of [health.listener, systemd.listener]) listener(event)
  await clock.advance(10_000)
  stop.abort()
  await running
  const lines = await eventually('five messages', () => {
    const all = readFileSync(said, 'utf8').trim().split('\n')
    return all.length === 4 && all
  })
  assert.deepEqual(lines, [
    '/run/n --ready --status=waiting for a',
    '/run/n --status=ready',
    '/run/n STOPPING=1 --status=stopping: SIGTERM',
    '/run/n WATCHDOG=1',
  ])
})
