// The commands that ask a daemon, where there is none, or one that answers strangely.
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { ask } from '../../src/cli/client.ts'
import type { Problem, ProfileReport, StatusReport } from '../../src/core/health.ts'
import { createControlHandler } from '../../src/endpoints/control.ts'
import { listen } from '../../src/endpoints/server.ts'
import { emptyReport } from '../endpoints/reports.ts'
import { call, folder, run } from './support.ts'

test('when no daemon is running, each of them says so in one sentence and ends with 1', async (t) => {
  const directory = await folder(t)
  const at = ['--runtime-dir', join(directory, 'run')]
  const asking = [
    ['status'],
    ['refresh'],
    ['reload'],
    ['healthcheck'],
    ['wait', '--timeout', '0'],
    ['env'],
    ['env', '--consumer', 'app'],
    ['credential-process'],
    ['credential-process', '--consumer', 'app'],
    ['jwt', '--consumer', 'app', '--audience', 'x'],
    ['exec', '--consumer', 'app', '--timeout', '0', '--', 'true'],
  ]
  for (const args of asking) {
    const { failure, out, err } = await call([args[0] ?? '', ...at, ...args.slice(1)])
    assert.equal(failure?.code, 'daemon_unreachable', args.join(' '))
    assert.equal(out, '')
    assert.match(err, /Is it running, and is --runtime-dir \(or runtime_dir\) the same as its own\?/)
    assert.ok(err.includes(directory), err)
  }
  const { code, err } = await run(t, ['credential-process', ...at])
  assert.equal(code, 1)
  assert.match(err, /^svidecar: [^\n]+\n$/)
})

test('a daemon that accepts and does not answer is given up on, with its socket and the time', async (t) => {
  const directory = await folder(t)
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(join(directory, 'control.sock'), resolve))
  t.after(() => silent.close())
  await assert.rejects(ask(join(directory, 'control.sock'), 'GET', '/status', 200), {
    code: 'daemon_unreachable',
    message: `no daemon answers at ${directory}/control.sock: no answer within 0.2 s`,
  })
})

test('a daemon that is only starting is waited for, and said not to be there yet by the others', async (t) => {
  const directory = await folder(t)
  const at = { kind: 'unix', path: join(directory, 'control.sock'), mode: 0o600 } as const
  const starting = await listen('control', at, () => ({ status: 503, headers: { 'retry-after': '1' } }))
  t.after(() => starting.stop())
  for (const args of [['wait', '--timeout', '0'], ['status'], ['refresh'], ['reload']]) {
    const { failure } = await call([...args, '--runtime-dir', directory])
    assert.equal(failure?.code, 'daemon_unreachable', args.join(' '))
    assert.match(failure.message, /the daemon answered 503$/)
  }
  const waited = call(['wait', '--timeout', '10s', '--runtime-dir', directory])
  const commands = { refresh: async () => [], reload: async () => ({ changed: [] }), rotateToken: async () => undefined, doctor: async () => [] }
  await starting.change(
    createControlHandler(() => ({ ...emptyReport, ready: true }), commands),
    at,
  )
  assert.equal((await waited).status, 0)
})

test('several consumers: which one has to be said, and the choices are named', async (t) => {
  const directory = await folder(t)
  for (const name of ['app', 'web', 'control']) {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(join(directory, `${name}.sock`), resolve))
    t.after(() => server.close())
  }
  const { failure } = await call(['credential-process', '--runtime-dir', directory])
  assert.equal(failure?.code, 'usage')
  assert.match(failure.message, /there are several consumers in .*: app, web$/)
  assert.match(failure.remedy, /--consumer NAME/)
})

test('what is told of a profile that is waited for is about that profile, whatever else is wrong', async (t) => {
  const directory = await folder(t)
  const problem = (subject: string): Problem => ({ subject, code: 'network', message: `${subject} is away`, remedy: '', since: emptyReport.now, runbook: '' })
  const profile = (name: string): ProfileReport => ({
    name,
    required: true,
    identity: 'default',
    method: 'webidentity',
    roleArn: '',
    status: 'empty',
    exchanges: { succeeded: 0, failed: 1 },
  })
  const report: StatusReport = { ...emptyReport, profiles: [profile('legacy'), profile('app')], problems: [problem('profile legacy'), problem('profile app')] }
  const commands = { refresh: async () => [], reload: async () => ({ changed: [] }), rotateToken: async () => undefined, doctor: async () => [] }
  const control = await listen(
    'control',
    { kind: 'unix', path: join(directory, 'control.sock'), mode: 0o600 },
    createControlHandler(() => report, commands),
  )
  t.after(() => control.stop())
  const { failure } = await call(['wait', '--runtime-dir', directory, '--profile', 'app', '--timeout', '0'])
  assert.match(failure?.message ?? '', /profile app is away/)
})
