// The commands that ask a running daemon, beside an agent and an AWS: what they print, and how they end.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { StatusReport } from '../../src/core/health.ts'
import type { World } from '../support/dev/world.ts'
import { eventually } from '../support/eventually.ts'
import { call, type DaemonProcess, folder, identityAt, profileIn, run, startDaemon, webProfile, worldIn, writeConfig } from './support.ts'

describe('beside a daemon', () => {
  let world: World
  let daemon: DaemonProcess
  let at: readonly string[]
  let path: string
  // node:test gives a suite no context of its own: this one collects what has to be undone.
  const undo: (() => unknown)[] = []
  const context = { after: (work: () => unknown) => undo.push(work) } as unknown as TestContext

  before(async () => {
    const directory = await folder(context)
    world = await worldIn(context, directory)
    path = await writeConfig(
      directory,
      `${identityAt(world.socket)}profiles:
${profileIn(world, 'app')}${webProfile('away')}consumers:
  app: { profiles: [app], audiences: [${world.audience}] }
container_endpoint: { listen: 127.0.0.1:0 }
runtime_dir: ${directory}/run
log: { format: json }
`.replace('away: {', 'away: { required: false,'),
    )
    daemon = await startDaemon(context, ['--config', path])
    at = ['--runtime-dir', join(directory, 'run')]
    const waited = await call(['wait', ...at, '--timeout', '10s'])
    assert.equal(waited.status, 0, waited.err)
  })
  after(async () => {
    for (const work of undo.toReversed()) await work()
  })

  test('wait and healthcheck end with 0 when it is ready, and say nothing then', async () => {
    for (const args of [['wait', '--timeout', '0'], ['wait', '--consumer', 'app'], ['wait', '--profile', 'app'], ['healthcheck']])
      assert.deepEqual(await call([...args, ...at]), { status: 0, out: '', err: '', failure: undefined })
  })

  test('wait gives up with the reason of the very profile that it waits for', async () => {
    const { failure, err } = await call(['wait', ...at, '--profile', 'away', '--timeout', '0s'])
    assert.ok(failure !== undefined)
    assert.match(err, /not ready after 0 s: .*(profile away|credentials yet for away)/)
  })

  test('a profile that does not exist is said to be none, and not waited for', async () => {
    const begun = performance.now()
    const { failure } = await call(['wait', ...at, '--profile', 'nope', '--timeout', '3s'])
    assert.ok(performance.now() - begun < 1_000)
    assert.match(failure?.message ?? '', /no profile "?nope/)
  })

  test('they find the daemon by the configuration file, too', async () => {
    assert.equal((await call(['healthcheck', '--config', path])).status, 0)
    assert.equal((await call(['healthcheck'], { SVIDECAR_RUNTIME_DIR: at[1] ?? '' })).status, 0)
  })

  test('status tells identities, profiles, times and listeners, to people and to programs', async () => {
    const { status, out } = await call(['status', ...at])
    assert.equal(status, 0)
    assert.match(out, /^svidecar \S+, pid \d+: ready\n/)
    assert.match(out, new RegExp(`^default +ready +${world.spiffeId} +\\d+ min$`, 'm'))
    assert.match(out, new RegExp(`^app +fresh +ASIA\\w{16} +\\d+ min +\\d+ min +${world.arns.role}$`, 'm'))
    assert.match(out, /^away +empty +- +- +- /m)
    assert.match(out, /^container +127\.0\.0\.1:\d+$/m)
    assert.match(out, /PROBLEMS\n {2}profile away, for \d+ s: .* \[\w+\]\n/)
    assert.doesNotMatch(out, /\p{Cc}\[/u, 'no colours where there is no terminal')
    const report = JSON.parse((await call(['status', '--json', ...at])).out) as StatusReport
    assert.deepEqual([report.ready, report.pid], [true, daemon.pid])
    assert.equal(report.profiles[0]?.accessKeyId?.length, 20)
  })

  test('credential-process prints the document, and nothing on stderr, since C++ reads that too', async (t) => {
    const { code, out, err } = await run(t, ['credential-process', ...at])
    assert.deepEqual([code, err], [0, ''])
    const document = JSON.parse(out) as Record<string, unknown>
    assert.deepEqual(Object.keys(document), ['Version', 'AccessKeyId', 'SecretAccessKey', 'SessionToken', 'Expiration', 'AccountId'])
    assert.equal(document['Version'], 1)
    assert.ok(Date.parse(String(document['Expiration'])) > Date.now() + 1_000_000)
    for (const more of [
      ['--profile', 'app'],
      ['--consumer', 'app'],
    ])
      assert.equal((await call(['credential-process', ...at, ...more])).out, out, 'the same credentials are the same bytes')
  })

  test('credential-process ends with one sentence on stderr when it has nothing', async (t) => {
    const { code, out, err } = await run(t, ['credential-process', ...at, '--profile', 'away'])
    assert.deepEqual([code === 0, out], [false, ''])
    assert.match(err, /^svidecar: consumer app may read app, not away\n$/)
  })

  test('a name that nobody can have is a sentence, not a defect', async () => {
    for (const name of ['a b', 'é', 'a/b', '../jwt', 'app?x=y', 'app#', '%'])
      for (const args of [
        ['credential-process', '--profile', name],
        ['env', '--profile', name],
        ['wait', '--consumer', 'app', '--profile', name, '--timeout', '0'],
        ['credential-process', '--consumer', name],
        ['refresh', name],
      ]) {
        const { failure, out } = await call([...args, ...at])
        assert.ok(failure !== undefined && failure.code !== 'internal', args.join(' '))
        assert.equal(out, '')
        assert.doesNotMatch(failure.message, /no such (command|path)/, `${args.join(' ')} is not about paths`)
      }
  })

  test('refresh renews one profile or all, and ends with 1 when one could not be', async () => {
    const keyNow = async () => (JSON.parse((await call(['credential-process', ...at])).out) as { AccessKeyId: string }).AccessKeyId
    const before = await keyNow()
    assert.deepEqual(await call(['refresh', 'app', ...at]), { status: 0, out: 'app: renewed\n', err: '', failure: undefined })
    const then = await keyNow()
    assert.notEqual(then, before)
    const all = await call(['refresh', ...at])
    assert.deepEqual([all.status, all.out], [1, 'app: renewed\n'])
    assert.match(all.err, /^away: cannot reach 127\.0\.0\.1:9: .+\n$/)
    assert.match((await call(['refresh', 'nope', ...at])).err, /there is no profile nope/)
  })

  test('jwt asks the daemon as a consumer, for that consumer’s audiences only', async () => {
    const { out } = await call(['jwt', '--consumer', 'app', '--audience', world.audience, ...at])
    assert.match(out, /^[\w-]+\.[\w-]+\.[\w-]+\n$/)
    const refused = await call(['jwt', '--consumer', 'app', '--audience', 'https://other', ...at])
    assert.match(refused.err, /consumer app may have tokens for sts\.amazonaws\.com/)
    assert.equal((await call(['jwt', '--consumer', 'app', '--audience', world.audience, '--output', 'json', ...at])).failure?.code, 'usage')
  })

  test('env points at the container endpoint and the token file, without a secret in it', async () => {
    const environment = JSON.parse((await call(['env', '--format', 'json', ...at])).out) as Record<string, string>
    const token = join(at[1] ?? '', 'app.token')
    assert.deepEqual(environment, {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://${daemon.addressOf('container')}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: token,
      AWS_REGION: 'us-east-1',
      AWS_DEFAULT_REGION: 'us-east-1',
    })
    assert.ok(!JSON.stringify(environment).includes(readFileSync(token, 'utf8')))
  })

  test('exec beside a running daemon starts none: it points at that one, and passes on how the command ended', async (t) => {
    const seen = join(await folder(t), 'seen')
    const exec = (...words: string[]) => call(['exec', '--consumer', 'app', ...at, '--', ...words], { AWS_ACCESS_KEY_ID: 'AKIAPOISON', PATH: '/usr/bin:/bin' })
    const { status } = await exec('sh', '-c', `echo "$AWS_CONTAINER_CREDENTIALS_FULL_URI $AWS_ACCESS_KEY_ID." > ${seen}; exit 3`)
    assert.equal(status, 3)
    assert.equal(readFileSync(seen, 'utf8'), `http://${daemon.addressOf('container')}/v1/credentials .\n`)
    assert.equal((await exec('sh', '-c', 'kill -KILL $$')).status, 137)
    assert.equal((await exec('no-such-command')).err, 'cannot run no-such-command: no such command')
  })

  test('SIGTERM ends it within a second also while AWS hangs and somebody waits for a refresh', async () => {
    world.aws.setFault('hang')
    const waiting = call(['refresh', 'app', ...at])
    await eventually('the attempt is under way', () => world.aws.inFlight > 0)
    const begun = performance.now()
    daemon.child.kill('SIGTERM')
    const { code } = await daemon.ended
    const ms = performance.now() - begun
    assert.equal(code, 0)
    assert.ok(ms < 1_000, `${ms} ms`)
    assert.notEqual((await waiting).status, 0)
  })
})
