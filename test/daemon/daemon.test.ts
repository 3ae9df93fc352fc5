// The daemon as a whole: what it opens, what a reload keeps, what happens when the identity goes away.
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import { isFailure } from '../../src/core/errors.ts'
import type { World } from '../support/dev/world.ts'
import { eventually } from '../support/eventually.ts'
import { fastClock } from '../support/fast-clock.ts'
import { anywhere, onStage, type Stage, web } from './support.ts'

const base = (profiles: string) => `
profiles:
${profiles}
consumers: { app: { profiles: [app] } }
container_endpoint: { listen: "127.0.0.1:0" }
metrics_endpoint: { listen: "127.0.0.1:0" }
`

const keyOf = async (stage: Stage, consumer = 'app', path = '/v1/credentials'): Promise<string | undefined> => {
  const { status, body } = await stage.get('container', path, stage.token(consumer))
  return status === 200 ? (JSON.parse(body) as { AccessKeyId: string }).AccessKeyId : undefined
}

test('both ways lead from the agent to an answer, and readiness follows', () =>
  onStage(
    { yaml: (world) => `${base(`  app: ${anywhere(world)}\n  reports: ${web(world)}`).replace('profiles: [app]', 'profiles: [app, reports]')}` },
    async (stage) => {
      await eventually('ready', async () => (await stage.get('metrics', '/readyz')).status === 200)
      assert.match((await keyOf(stage, 'app', '/v1/credentials/app')) ?? '', /^ASIA/)
      assert.match((await keyOf(stage, 'app', '/v1/credentials/reports')) ?? '', /^ASIA/)
      assert.equal((await stage.get('metrics', '/startupz')).status, 200)
      const status = stage.daemon.status()
      assert.deepEqual(status.problems, [])
      assert.deepEqual(
        status.profiles.map(({ name, status: state }) => [name, state]),
        [
          ['app', 'fresh'],
          ['reports', 'fresh'],
        ],
      )
      assert.equal(status.identities[0]?.spiffeId, 'spiffe://dev.local/web')
    },
  ))

test('only the streams that some output needs are opened', () =>
  onStage({ yaml: (world) => base(`  app: ${web(world)}`) }, async (stage) => {
    await eventually('credentials', () => keyOf(stage))
    assert.deepEqual([...new Set(stage.world.agent.calls.map(({ method }) => method))], ['FetchJWTSVID'])
  }))

test('an SVID rotation throws no good credentials away', () =>
  onStage({ x509TtlSeconds: 2, yaml: (world) => base(`  app: ${anywhere(world)}`) }, async (stage) => {
    const key = await eventually('credentials', () => keyOf(stage))
    await eventually('three rotations', () => stage.events.filter((event) => event.type === 'x509.updated').length >= 4)
    assert.equal(await keyOf(stage), key)
    assert.equal(stage.world.aws.requests.length, 1)
  }))

test('a reload keeps what did not change, with its credentials, and adds what is new', () =>
  onStage({ yaml: (world) => base(`  app: ${anywhere(world)}`) }, async (stage) => {
    const key = await eventually('credentials', () => keyOf(stage))
    const address = stage.daemon.listeners.get('container')?.address
    const token = stage.token('app')
    stage.yaml = `${stage.yaml.replace('consumers: {', `consumers: { two: { profiles: [reports] },`)}`.replace(
      'profiles:\n',
      `profiles:\n  reports: ${web(stage.world)}\n`,
    )
    const { changed } = await stage.daemon.reload()
    assert.deepEqual(changed, ['reports'])
    assert.equal(stage.daemon.listeners.get('container')?.address, address)
    assert.equal(stage.token('app'), token)
    assert.equal(await keyOf(stage), key, 'not even for a moment without')
    assert.match(await eventually('the new one', () => keyOf(stage, 'two')), /^ASIA/)
    assert.equal((await stage.get('container', '/v1/credentials/app', stage.token('two'))).status, 403)
    stage.yaml = base(`  app: ${anywhere(stage.world)}`)
    assert.deepEqual((await stage.daemon.reload()).changed, ['reports'])
    assert.ok(!existsSync(join(stage.runtimeDir, 'two.sock')))
    assert.equal(await keyOf(stage), key)
    assert.deepEqual(
      stage.daemon.status().profiles.map(({ name }) => name),
      ['app'],
    )
  }))

test('a profile that changes is not ready until it has credentials of its own again', () =>
  onStage({ yaml: (world) => base(`  app: ${anywhere(world)}`) }, async (stage) => {
    const key = await eventually('credentials', () => keyOf(stage))
    stage.world.aws.setFault({ status: 500 })
    stage.yaml = stage.yaml.replace('endpoint:', 'session_name: other, endpoint:')
    assert.deepEqual((await stage.daemon.reload()).changed, ['app'])
    assert.equal(await keyOf(stage), undefined)
    assert.equal((await stage.get('metrics', '/readyz')).status, 503, 'as the endpoint says')
    assert.match((await stage.get('metrics', '/metrics')).body, /^svidecar_credential_usable\{profile="app"\} 0$/m)
    stage.yaml = stage.yaml.replace('session_name: other, ', '')
    stage.world.aws.setFault(undefined)
    await stage.daemon.reload()
    assert.notEqual(await eventually('new credentials', () => keyOf(stage)), key)
  }))

test('connected means the X.509 stream, or the last token where there is no such stream', () =>
  onStage({ yaml: (world) => base(`  app: ${web(world)}`) }, async (stage) => {
    await eventually('credentials', () => keyOf(stage))
    assert.match((await stage.get('metrics', '/metrics')).body, /^svidecar_workload_api_connected\{identity="default"\} 1$/m)
  }))

test('a configuration with mistakes, or a port in use, changes nothing and says why', () =>
  onStage({ yaml: (world) => base(`  app: ${anywhere(world)}`) }, async (stage) => {
    const key = await eventually('credentials', () => keyOf(stage))
    const good = stage.yaml
    stage.yaml = good.replace('container_endpoint', 'container_endpont')
    await assert.rejects(
      stage.daemon.reload(),
      (error) => isFailure(error) && error.code === 'config_invalid' && /did you mean container_endpoint/.test(error.message),
    )
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as { port: number }
    stage.yaml = `${good}status_endpoint: { listen: "127.0.0.1:${port}" }\n`.replace('app: {', 'app: { required: false,')
    await assert.rejects(stage.daemon.reload(), (error) => isFailure(error) && error.code === 'listen_failed')
    taken.close()
    assert.equal(await keyOf(stage), key)
    assert.equal(stage.daemon.status().problems[0]?.code, 'listen_failed')
    stage.yaml = good
    await stage.daemon.reload()
    assert.deepEqual(stage.daemon.status().problems, [])
    assert.equal(stage.world.aws.requests.length, 1)
  }))

test('a file whose owner this machine does not know changes nothing, and leaves no listener open', () =>
  onStage({ yaml: (world) => base(`  app: ${anywhere(world)}`) }, async (stage) => {
    const key = await eventually('credentials', () => keyOf(stage))
    const good = stage.yaml.replace('consumers: {', 'consumers: { two: { profiles: [app] },').replace('app: {', 'app: { session_name: other,')
    const path = join(stage.runtimeDir, 'token')
    const withFile = (owner: string) => `${good}files: [{ jwt: { audience: [a], path: "${path}", owner: "${owner}" } }]\n`
    stage.yaml = withFile('nobody-of-that-name')
    await assert.rejects(stage.daemon.reload(), { code: 'config_invalid', message: /^owner of jwt .*\/token: there is no "nobody-of-that-name"/ })
    assert.ok(!existsSync(join(stage.runtimeDir, 'two.sock')))
    assert.equal(await keyOf(stage), key)
    stage.yaml = withFile(String(process.getuid?.()))
    assert.deepEqual((await stage.daemon.reload()).changed, ['app', `jwt ${path}`])
    assert.ok(existsSync(join(stage.runtimeDir, 'two.sock')))
  }))

for (const policy of ['keep', 'drop'] as const) {
  test(`an identity that is withdrawn is used no more, and its credentials are ${policy === 'keep' ? 'kept to their end' : 'dropped'}`, () =>
    onStage({ clock: fastClock(30), yaml: (world) => `${base(`  app: ${anywhere(world)}`)}on_identity_withdrawn: ${policy}\n` }, async (stage) => {
      const key = await eventually('credentials', () => keyOf(stage))
      stage.world.agent.deleteEntry('web')
      await eventually('the denial is seen at once', () => stage.daemon.status().problems.some(({ code }) => code === 'identity_not_issued'))
      assert.match(stage.daemon.status().problems[0]?.remedy ?? '', /spire-server entry create .*-selector unix:uid:/)
      assert.equal(await keyOf(stage), key, 'within the grace nothing changes')
      await eventually('withdrawn', () => stage.daemon.status().identities[0]?.status === 'withdrawn')
      assert.equal(await keyOf(stage), policy === 'keep' ? key : undefined)
      assert.equal((await stage.get('metrics', '/readyz')).status, policy === 'keep' ? 200 : 503)
      const before = stage.world.aws.requests.length
      const refreshing = stage.daemon.reload()
      await refreshing
      assert.equal(stage.world.aws.requests.length, before, 'no exchange with an SVID that was taken away')
      stage.world.agent.addEntry({ id: 'web', spiffeId: stage.world.spiffeId, hint: 'web' })
      await eventually('back without a restart', async () => stage.daemon.status().identities[0]?.status === 'ready' && (await keyOf(stage)) !== undefined)
    }))
}

test('the agent away at the start is no end: everything answers, says why, and catches up', () =>
  onStage(
    { yaml: (world) => base(`  app: ${anywhere(world)}`).replace('profiles:', `identities: { default: { workload_api: "${world.socket}.late" } }\nprofiles:`) },
    async (stage) => {
      await eventually('the reason', () => /no such file/.test(stage.daemon.status().problems[0]?.message ?? ''))
      assert.equal((await stage.get('metrics', '/livez')).status, 200)
      assert.equal((await stage.get('metrics', '/readyz')).status, 503)
      const unavailable = await stage.get('container', '/v1/credentials', stage.token('app'))
      assert.deepEqual([unavailable.status, unavailable.headers['retry-after']], [503, '1'])
    },
  ))

test('stopping takes less than a second, whatever is going on, and leaves no socket', async () => {
  let directory = ''
  let begun = 0
  // Before the daemon begins, or its calls may be over by then.
  const yaml = (world: World) => {
    world.aws.setFault('hang')
    return base(`  app: ${anywhere(world)}\n  reports: ${web(world)}`)
  }
  await onStage({ yaml }, async (stage) => {
    await eventually('calls in flight', () => stage.world.aws.inFlight === 2)
    directory = stage.runtimeDir
    begun = systemClock.boot()
    await stage.daemon.stop('now')
    assert.ok(systemClock.boot() - begun < 1_000)
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.endsWith('.sock')),
      [],
    )
  })
})
