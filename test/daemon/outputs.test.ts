// Outputs and hooks of a whole daemon: what is written, what status, probes, metrics and log say of it, and what stays.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Event } from '../../src/core/events.ts'
import { call } from '../cli/support.ts'
import type { World } from '../support/dev/world.ts'
import { eventually } from '../support/eventually.ts'
import { fastClock } from '../support/fast-clock.ts'
import { anywhere, onStage, type Stage } from './support.ts'

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'outputs-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

const metrics = 'metrics_endpoint: { listen: "127.0.0.1:0" }\n'
const three = (directory: string, more = '') => `${metrics}files:
  - x509: { directory: "${directory}/svid", certificate: tls.crt, key: tls.key, bundle: ca.crt${more} }
  - jwt: { audience: [vault], path: "${directory}/token"${more} }
  - jwt_bundle: { path: "${directory}/jwks"${more} }
`
const names = (directory: string) => [`x509 ${directory}/svid`, `jwt ${directory}/token`, `jwt_bundle ${directory}/jwks`]
const of = <T extends Event['type']>({ events }: Stage, type: T) => events.filter((event): event is Extract<Event, { type: T }> => event.type === type)
const ready = (stage: Stage) => eventually('ready', () => stage.daemon.status().ready)
const statuses = (stage: Stage) => stage.daemon.status().outputs.map(({ status }) => status)

test('files alone are a configuration: all three kinds are written, and status, probes, metrics and log agree', (t) => {
  const directory = folder(t)
  return onStage({ yaml: () => three(directory) }, async (stage) => {
    await ready(stage)
    assert.equal((await stage.get('metrics', '/readyz')).status, 200)
    assert.equal((await stage.get('metrics', '/startupz')).status, 200)
    assert.match(readFileSync(join(directory, 'svid/tls.crt'), 'utf8'), /^-----BEGIN CERTIFICATE-----\n/)
    assert.match(readFileSync(join(directory, 'token'), 'utf8'), /^[\w-]+\.[\w-]+\.[\w-]+$/)
    assert.ok(Array.isArray((JSON.parse(readFileSync(join(directory, 'jwks'), 'utf8')) as { keys: unknown }).keys))
    const modes = ['svid/tls.crt', 'svid/tls.key', 'svid/ca.crt', 'token', 'jwks'].map((name) => (statSync(join(directory, name)).mode & 0o777).toString(8))
    assert.deepEqual(modes, ['644', '600', '644', '600', '644'])
    const { outputs } = stage.daemon.status()
    assert.deepEqual(
      outputs.map(({ name, kind, status, notAfter }) => [name, kind, status, notAfter !== undefined]),
      [
        [names(directory)[0], 'x509', 'written', true],
        [names(directory)[1], 'jwt', 'written', true],
        [names(directory)[2], 'jwt_bundle', 'written', false],
      ],
    )
    const { body } = await stage.get('metrics', '/metrics')
    for (const name of names(directory)) {
      assert.ok(body.includes(`svidecar_file_writes_total{output="${name}"} 1\n`), name)
      assert.ok(body.includes(`svidecar_file_write_failures_total{output="${name}"} 0\n`), name)
      const line = stage.log
        .map((text) => JSON.parse(text) as Record<string, unknown>)
        .find(({ event, output }) => event === 'output.written' && output === name)
      assert.equal(line?.['level'], 'info')
    }
    assert.equal(stage.log.join('').includes(readFileSync(join(directory, 'token'), 'utf8')), false, 'no secret in the log')
  })
})

test('a new SVID is in the files, as one generation, and hooks hear of it once', (t) => {
  const directory = folder(t)
  const yaml = `${three(directory)}hooks:\n  - { on: [x509], run: [/bin/sh, -c, "readlink ${directory}/svid/..data >> ${directory}/told"] }\n`
  return onStage({ yaml: () => yaml }, async (stage) => {
    await ready(stage)
    await eventually('told', () => of(stage, 'hook.done').length === 1)
    const before = readFileSync(join(directory, 'svid/tls.crt'), 'utf8')
    stage.world.agent.push()
    await stage.world.agent.rotateNow()
    await eventually('told again', () => of(stage, 'hook.done').length === 2)
    assert.notEqual(readFileSync(join(directory, 'svid/tls.crt'), 'utf8'), before)
    const told = readFileSync(join(directory, 'told'), 'utf8').trim().split('\n')
    assert.equal(new Set(told).size, 2, 'once for each')
    assert.equal(of(stage, 'output.written').filter(({ kind }) => kind === 'jwt').length, 1, 'the others are left alone')
  })
})

test('a file that cannot be written says why, keeps readiness away, and is written without any news once it can be', (t) => {
  const directory = folder(t)
  const yaml = `${metrics}files: [ { jwt: { audience: [a], path: "${directory}/missing/token" } }, { jwt_bundle: { path: "${directory}/jwks" } } ]\n`
  return onStage({ clock: fastClock(10), yaml: () => yaml }, async (stage) => {
    const name = `jwt ${directory}/missing/token`
    const problem = await eventually('the failure', () => stage.daemon.status().problems.find(({ subject }) => subject === name))
    assert.equal(problem.code, 'file_write')
    assert.equal(problem.message, `cannot write ${directory}/missing/token: no such file or directory`)
    assert.notEqual(problem.remedy, '')
    await eventually('the other one', () => statuses(stage).join() === 'failed,written')
    const probe = await stage.get('metrics', '/readyz')
    assert.equal(probe.status, 503)
    assert.ok(probe.body.includes(name), probe.body)
    assert.deepEqual(stage.daemon.status().missing, [name])
    assert.equal((await stage.get('metrics', '/startupz')).status, 503)
    assert.match((await stage.get('metrics', '/metrics')).body, /svidecar_file_write_failures_total\{output="jwt [^"]+missing\/token"\} [1-9]/)
    const fetched = of(stage, 'jwt.fetched').length
    mkdirSync(join(directory, 'missing'))
    await ready(stage)
    assert.equal(of(stage, 'jwt.fetched').length, fetched)
    assert.deepEqual(stage.daemon.status().problems, [])
  })
})

test('what was written and is only old by now is outdated: still ready, with the reason', (t) => {
  const directory = folder(t)
  return onStage({ clock: fastClock(10), yaml: () => three(directory) }, async (stage) => {
    await ready(stage)
    renameSync(join(directory, 'svid'), join(directory, 'away'))
    writeFileSync(join(directory, 'svid'), 'in the way')
    await stage.world.agent.rotateNow()
    await eventually('outdated', () => statuses(stage)[0] === 'outdated')
    assert.ok(stage.daemon.status().ready)
    assert.equal(stage.daemon.status().problems[0]?.subject, names(directory)[0])
    rmSync(join(directory, 'svid'))
    await eventually('written', () => statuses(stage)[0] === 'written')
    assert.deepEqual(stage.daemon.status().problems, [])
  })
})

test('an identity that is withdrawn, or whose agent is gone, leaves the files alone', (t) => {
  const directory = folder(t)
  return onStage({ clock: fastClock(30), yaml: () => three(directory, ', remove_at_stop: true') }, async (stage) => {
    await ready(stage)
    const before = readFileSync(join(directory, 'svid/tls.key'), 'utf8')
    const written = of(stage, 'output.written').length
    stage.world.agent.deleteEntry('web')
    await eventually('withdrawn', () => of(stage, 'identity.withdrawn').length > 0)
    await stage.world.agent.stop('abrupt')
    await eventually('unreachable', () => of(stage, 'identity.disconnected').some(({ failure }) => failure.code !== 'identity_not_issued'))
    assert.equal(readFileSync(join(directory, 'svid/tls.key'), 'utf8'), before)
    assert.deepEqual([of(stage, 'output.written').length, of(stage, 'output.removed').length], [written, 0])
    assert.ok(existsSync(join(directory, 'token')))
  })
})

test('remove_at_stop takes everything away when svidecar stops, and without it everything stays', async (t) => {
  for (const remove of [true, false]) {
    const directory = folder(t)
    await onStage({ yaml: () => three(directory, `, remove_at_stop: ${remove}`) }, async (stage) => {
      await ready(stage)
      await stage.daemon.stop('now')
      assert.deepEqual(readdirSync(directory).sort(), remove ? ['svid'] : ['jwks', 'svid', 'token'])
      assert.deepEqual(readdirSync(join(directory, 'svid')).filter((name) => !name.startsWith('.')).length, remove ? 0 : 3)
    })
  }
})

test('a child is ended before its files are taken away', (t) => {
  const directory = folder(t)
  const script = `trap 'cat ${directory}/token > ${directory}/seen; exit 0' TERM; : > ${directory}/up; while :; do sleep 0.01; done`
  const yaml = `${three(directory, ', remove_at_stop: true')}hooks:\n  - { on: [jwt], child: { command: [/bin/sh, -c, "${script}"] } }\n`
  return onStage({ yaml: () => yaml }, async (stage) => {
    await eventually('it is up', () => existsSync(join(directory, 'up')))
    await stage.daemon.stop('now')
    assert.ok(readFileSync(join(directory, 'seen'), 'utf8').length > 100)
    assert.equal(existsSync(join(directory, 'token')), false)
    assert.equal(of(stage, 'hook.child_ended')[0]?.expected, true)
  })
})

test('hooks hear of credentials, and failures of hooks are problems that a success ends', (t) => {
  const directory = folder(t)
  const hook = `test -e ${directory}/ok || { echo not yet; exit 7; }`
  const yaml = (app: string) => `${metrics}profiles: { app: ${app} }\nfiles: [ { jwt_bundle: { path: "${directory}/jwks" } } ]
hooks:
  - { on: [credentials, x509], run: [/bin/sh, -c, "${hook}"] }
  - { on: [jwt], run: ["/never"] }\n`
  return onStage({ yaml: (world) => yaml(anywhere(world)) }, async (stage) => {
    const problem = await eventually('the failure', () => stage.daemon.status().problems.find(({ code }) => code === 'hook_failed'))
    assert.deepEqual([problem.subject, problem.message], ['hook /bin/sh', '/bin/sh ended with exit status 7'])
    await eventually('what it said', () => of(stage, 'hook.said').some(({ line }) => line === 'not yet'))
    assert.match((await stage.get('metrics', '/metrics')).body, /svidecar_hook_runs_total\{hook="\/bin\/sh",outcome="failed"\} 1/)
    await ready(stage)
    writeFileSync(join(directory, 'ok'), '')
    stage.yaml = stage.yaml.replace('role_arn:', 'session_duration: 30m, role_arn:')
    await stage.daemon.reload()
    await eventually('no problem', () => stage.daemon.status().problems.length === 0)
    assert.deepEqual(
      of(stage, 'hook.failed').map(({ hook: name }) => name),
      ['/bin/sh'],
    )
  })
})

test('a section of the shared credentials file follows its profile, and is there again when somebody has removed it', (t) => {
  const path = join(folder(t), 'aws/credentials')
  const yaml = (world: World) => `${metrics}profiles:\n  app: ${anywhere(world)}\nfiles:\n  - credentials: { profile: app, path: ${path}, section: ci }\n`
  return onStage({ yaml }, async (stage) => {
    await ready(stage)
    const keyIn = () => /^\[ci\]\naws_access_key_id = (\w+)$/m.exec(readFileSync(path, 'utf8'))?.[1]
    const first = keyIn()
    assert.equal(first, stage.daemon.status().profiles[0]?.accessKeyId)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    await call(['refresh', '--runtime-dir', stage.runtimeDir])
    await eventually('the next one is written', () => keyIn() !== first)
    assert.equal(keyIn(), stage.daemon.status().profiles[0]?.accessKeyId)
    assert.deepEqual(statuses(stage), ['written'])
    assert.ok(!stage.log.join('').includes(/aws_secret_access_key = (.+)/.exec(readFileSync(path, 'utf8'))?.[1] ?? 'none'))
  })
})

test('what an earlier run left is known while the agent is away: an expired token goes, and with remove_at_stop all of it does', async (t) => {
  const directory = folder(t)
  const encode = (json: unknown) => Buffer.from(JSON.stringify(json)).toString('base64url')
  const token = (expires: number) => `${encode({ alg: 'ES256' })}.${encode({ sub: 'spiffe://dev.local/web', exp: expires })}.c2ln`
  await onStage({ yaml: () => three(directory) }, async (stage) => void (await ready(stage)))
  assert.ok(existsSync(join(directory, 'svid/tls.key')))
  for (const [name, text] of [
    ['token', token(1)],
    ['good', token(4_000_000_000)],
    ['opaque', 'of another program'],
  ] as const)
    writeFileSync(join(directory, name), text)
  const more = ['good', 'opaque'].map((name) => `  - jwt: { audience: [${name}], path: "${directory}/${name}", remove_at_stop: true }\n`).join('')
  const away = (socket: string) => `identities: { default: { workload_api: "${socket}.late" } }\n${three(directory, ', remove_at_stop: true')}${more}`
  await onStage({ yaml: ({ socket }) => away(socket) }, async (stage) => {
    await eventually('the expired one is gone', () => of(stage, 'output.removed').some(({ output }) => output === names(directory)[1]))
    assert.deepEqual(readdirSync(directory).sort(), ['good', 'jwks', 'opaque', 'svid'])
    assert.equal(readdirSync(join(directory, 'svid')).filter((name) => !name.startsWith('.')).length, 3)
  })
  // A JWT bundle does not tell whose it is.
  assert.deepEqual([readdirSync(directory).sort(), readdirSync(join(directory, 'svid'))], [['jwks', 'opaque', 'svid'], []])
})
