// What operators ask: probes for machines, the status for people, and the control socket's commands.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../../src/core/errors.ts'
import type { HealthReport } from '../../src/core/health.ts'
import { type Commands, createControlHandler } from '../../src/endpoints/control.ts'
import { hostRule } from '../../src/endpoints/guard.ts'
import { createProbesHandler, createStatusHandler } from '../../src/endpoints/probes.ts'
import type { Answer } from '../../src/endpoints/server.ts'
import { emptyReport } from './reports.ts'
import { requestOf } from './support.ts'

const jsonOf = ({ body }: Answer): unknown => JSON.parse(String(body))

function probes(report: HealthReport, metrics = async () => ({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' })) {
  const handler = createProbesHandler({ hosts: hostRule('0.0.0.0', [], true), health: () => report, metrics })
  return async (path: string, method = 'GET') => handler(requestOf(path, { host: '10.0.0.7:9913' }, { method }))
}

test('/livez answers 200 whatever the state of agent and AWS; the others say what is missing, and no more', async () => {
  const cold = probes({ ready: false, started: false, missing: ['app'] })
  assert.equal((await cold('/livez')).status, 200)
  for (const path of ['/startupz', '/readyz']) {
    const answer = await cold(path)
    assert.equal(answer.status, 503)
    assert.deepEqual(jsonOf(answer), { ok: false, missing: ['app'] })
  }
  const lost = probes({ ready: false, started: true, missing: ['app'] })
  assert.deepEqual([(await lost('/startupz')).status, (await lost('/readyz')).status], [200, 503])
  const good = probes({ ready: true, started: true, missing: [] })
  assert.deepEqual([(await good('/startupz')).status, (await good('/readyz')).status], [200, 200])
})

test('/livez does not even look at the health', async () => {
  const handler = createProbesHandler({
    hosts: hostRule('0.0.0.0', [], true),
    health: () => {
      throw new Error('broken')
    },
    metrics: () => Promise.reject(new Error('broken')),
  })
  assert.equal((await handler(requestOf('/livez', { host: '10.0.0.7' }))).status, 200)
})

test('/metrics comes with its content type; HEAD is allowed, other methods and paths are not', async () => {
  const ask = probes({ ready: true, started: true, missing: [] })
  assert.deepEqual(await ask('/metrics'), { status: 200, headers: { 'content-type': 'text/plain; version=0.0.4' }, body: 'up 1\n' })
  for (const path of ['/livez', '/startupz', '/readyz', '/metrics', '//livez/']) assert.equal((await ask(path, 'HEAD')).status, 200)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) assert.equal((await ask('/livez', method)).status, 405)
  for (const path of ['/', '/status', '/healthz', '/livez/x', '/Livez', '/v1/credentials', '/latest/api/token'])
    assert.equal((await ask(path)).status, 404, path)
})

test('/status is the whole report, and there is nothing else beside it', async () => {
  const handler = createStatusHandler(hostRule('127.0.0.1', []), () => emptyReport)
  const ask = async (path: string, method = 'GET') => handler(requestOf(path, {}, { method }))
  assert.deepEqual(jsonOf(await ask('/status')), emptyReport)
  assert.equal((await ask('/refresh', 'POST')).status, 405)
  for (const path of ['/reload', '/metrics', '/status/x']) assert.equal((await ask(path)).status, 404, path)
})

function control(over: Partial<Commands> = {}) {
  const calls: string[] = []
  const commands: Commands = {
    refresh: async (profile) => {
      calls.push(`refresh ${profile}`)
      return profile === 'nope' ? [] : [{ profile: profile ?? 'app', ok: true }]
    },
    reload: async () => {
      calls.push('reload')
      return { changed: ['app'] }
    },
    doctor: async () => {
      calls.push('doctor')
      return [{ what: 'identity default', result: 'ok', message: '', remedy: '' }]
    },
    rotateToken: async (consumer) => {
      calls.push(`rotate ${consumer}`)
      return consumer === 'nope' ? undefined : { file: `/run/svidecar/${consumer}.token`, overlapSeconds: 300 }
    },
    ...over,
  }
  const handler = createControlHandler(() => emptyReport, commands)
  const ask = async (method: string, path: string, headers = {}, hasBody = false) => handler(requestOf(path, headers, { method, hasBody }))
  return { calls, ask }
}

test('the control socket gives the status, refreshes one or all, reloads, and gives out new tokens', async () => {
  const { ask, calls } = control()
  assert.deepEqual(jsonOf(await ask('GET', '/status')), emptyReport)
  assert.deepEqual(jsonOf(await ask('POST', '/refresh')), { profiles: [{ profile: 'app', ok: true }] })
  assert.deepEqual(jsonOf(await ask('POST', '/refresh/reports')), { profiles: [{ profile: 'reports', ok: true }] })
  assert.deepEqual(jsonOf(await ask('POST', '/reload')), { changed: ['app'] })
  assert.deepEqual(jsonOf(await ask('POST', '/rotate-token/app')), { file: '/run/svidecar/app.token', overlapSeconds: 300 })
  assert.deepEqual(jsonOf(await ask('POST', '/doctor')), [{ what: 'identity default', result: 'ok', message: '', remedy: '' }])
  assert.deepEqual(calls, ['refresh undefined', 'refresh reports', 'reload', 'rotate app', 'doctor'])
})

test('nothing but POST commands anything, and neither a page, a proxy nor a body gets that far', async () => {
  const { ask, calls } = control()
  for (const path of ['/refresh', '/reload', '/nothing'])
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']) assert.equal((await ask(method, path)).status, 405)
  for (const headers of [{ origin: 'null' }, { 'sec-fetch-site': 'cross-site' }, { via: 'x' }, { forwarded: '' }])
    assert.equal((await ask('POST', '/reload', headers)).status, 403)
  assert.equal((await ask('POST', '/reload', {}, true)).status, 413)
  assert.deepEqual(calls, [])
})

test('an unknown command or profile is a 404 that says so', async () => {
  const { ask, calls } = control()
  for (const path of ['/', '/status', '/rotate', '/rotate-token', '/rotate-token/nope', '/Reload', '/reload%20', '/../reload']) {
    const answer = await ask('POST', path)
    assert.equal(answer.status, 404, path)
    assert.equal((jsonOf(answer) as { code: string }).code, 'usage')
  }
  assert.deepEqual(calls, ['rotate nope'])
  assert.match(String((await ask('POST', '/refresh/nope')).body), /there is no profile nope/)
})

test('more path than a command takes is not that command', async () => {
  const { ask, calls } = control()
  for (const [method, path] of [
    ['GET', '/status/app'],
    ['POST', '/reload/app'],
    ['POST', '/refresh/app/reports'],
  ] as const)
    assert.equal((await ask(method, path)).status, 404, path)
  assert.deepEqual(calls, [])
})

test('a failed command answers with code, message and remedy, and never with the cause', async () => {
  const refused = failure('config_invalid', 'config.yaml:3:1: wrong', { cause: new Error('the whole file') })
  const { ask } = control({
    reload: () => Promise.reject(refused),
    refresh: async () => [
      { profile: 'a', ok: false, failure: failure('throttled', 'slow down') },
      { profile: 'b', ok: true },
    ],
  })
  const answer = await ask('POST', '/reload')
  assert.equal(answer.status, 409)
  const { code, message, remedy } = refused
  assert.deepEqual(jsonOf(answer), { code, message, remedy })
  const { profiles } = jsonOf(await ask('POST', '/refresh')) as { profiles: Record<string, unknown>[] }
  assert.deepEqual(
    profiles.map((one) => [one['profile'], one['ok'], one['code']]),
    [
      ['a', false, 'throttled'],
      ['b', true, undefined],
    ],
  )
})
