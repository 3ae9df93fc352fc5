// svidecar doctor: the daemon tries each step, who asks tries theirs, and environments are explained without a secret.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { anywhere, onStage, type Stage, web } from '../daemon/support.ts'
import { eventually } from '../support/eventually.ts'
import { call, folder, run } from './support.ts'

interface Check {
  readonly what: string
  readonly result: string
  readonly message: string
  readonly remedy: string
}
interface Report {
  readonly daemon: readonly Check[]
  readonly you: readonly Check[]
  readonly environment: readonly { readonly sdk: string; readonly provider: string; readonly isOurs: boolean }[]
}

const yaml = (world: Stage['world']): string =>
  `profiles:\n  app: ${anywhere(world)}\n  reports: ${web(world)}\nconsumers: { app: { profiles: [app] } }\ncontainer_endpoint: { listen: "127.0.0.1:0" }\n`

async function examine(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Report & { status: number | undefined }> {
  const { out, err, status } = await call(['doctor', '--json', ...args], env)
  assert.ok(out !== '', err)
  return { ...(JSON.parse(out) as Report), status }
}
const resultOf = ({ daemon }: Report, what: string) => daemon.find((one) => one.what === what)?.result

test('where all is well every step is ok, and the environment of svidecar env is its own', () =>
  onStage({ yaml }, async (stage) => {
    await eventually('all is ready', () => stage.daemon.status().ready)
    const at = ['--runtime-dir', stage.runtimeDir]
    const env = JSON.parse((await call(['env', '--format', 'json', ...at])).out) as Record<string, string>
    const report = await examine(at, env)
    assert.deepEqual(
      report.daemon.filter(({ result }) => result !== 'ok'),
      [],
    )
    const steps = ['identity default', 'identity default, lint', `identity default, token for ${stage.world.audience}`, 'profile app', 'profile reports']
    for (const what of [...steps, 'clock, profile app', 'listener container', 'listener consumer app', 'consumer app'])
      assert.equal(resultOf(report, what), 'ok', what)
    assert.deepEqual(report.you.map(({ what }) => what).sort(), ['app.sock', 'app.token'])
    assert.ok(report.environment.every(({ isOurs }) => isOurs))
    assert.equal(report.status, 0)
    assert.equal(stage.events.filter(({ type }) => type === 'exchange.succeeded').length, 4, 'each exchange was made once more')
  }))

test('a step that fails says why and what to do, the others go on, and the exit status is 1', () =>
  onStage({ yaml: (world) => `${yaml(world)}files: [ { jwt: { audience: [a], path: /nonexistent/token } } ]\n` }, async (stage) => {
    await eventually('credentials are there', () => stage.daemon.status().profiles.every(({ status }) => status === 'fresh'))
    stage.world.aws.setFault({ status: 500 })
    writeFileSync(join(stage.runtimeDir, 'app.token'), 'a token\n')
    const report = await examine(['--runtime-dir', stage.runtimeDir])
    assert.equal(report.status, 1)
    assert.equal(resultOf(report, 'identity default'), 'ok')
    const failed = report.daemon.filter(({ result }) => result === 'failed')
    assert.deepEqual(
      failed.map(({ what }) => what),
      ['profile app', 'profile reports', 'jwt /nonexistent/token', 'consumer app'],
    )
    for (const { message, remedy } of failed) assert.ok(message !== '' && remedy !== '')
    const { out } = await call(['doctor', '--runtime-dir', stage.runtimeDir])
    assert.match(out, /^as the daemon\n/)
    assert.match(out, /\n {2}FAILED +profile app +/)
    assert.match(out, /\nas you\n/)
  }))

test('without a daemon the steps are tried as you, and the daemon is what failed', async (t) => {
  const directory = await folder(t)
  const report = await examine(['--runtime-dir', directory], {
    SVIDECAR_ROLE_ARN: 'arn:aws:iam::111122223333:role/x',
    SVIDECAR_AUDIENCE: 'a',
    AWS_REGION: 'eu-central-1',
    SPIFFE_ENDPOINT_SOCKET: `unix://${directory}/none.sock`,
  })
  assert.deepEqual(report.daemon, [])
  assert.deepEqual(
    report.you.map(({ what, result }) => [what, result]),
    [
      ['daemon', 'failed'],
      ['identity default', 'failed'],
      ['identity default, token for a', 'failed'],
    ],
  )
  assert.equal(report.status, 1)
})

test('an environment comes from a file or a process; names of AWS alone are looked at, and nothing is run', async (t) => {
  const directory = await folder(t)
  const file = join(directory, 'env')
  writeFileSync(file, 'AWS_ACCESS_KEY_ID=AKIAX\nAWS_SECRET_ACCESS_KEY="$(touch nope) very-secret"\nPASSWORD=other-secret\n')
  const { out } = await call(['doctor', '--environment', file, '--runtime-dir', directory])
  assert.match(out, /which provider wins in .*env\n/)
  assert.match(out, /Java v2 +environment +AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set/)
  assert.doesNotMatch(out, /secret"|very-secret|other-secret/)
  const child = spawn('sleep', ['60'], { env: { PATH: process.env['PATH'], AWS_EC2_METADATA_DISABLED: 'true' } })
  t.after(() => child.kill())
  const report = await examine(['--pid', String(child.pid), '--runtime-dir', directory])
  assert.ok(report.environment.every(({ provider }) => provider === 'none'))
  // Pipes, devices and logs of the kernel are not read, and nothing that is named moves the cursor.
  for (const path of ['/dev/zero', '/proc/kmsg', 'relative', directory]) {
    const odd = spawn('sleep', ['60'], { env: { PATH: process.env['PATH'], AWS_CONFIG_FILE: path, AWS_PROFILE: 'x\u001b[2J\n  ok  forged' } })
    t.after(() => odd.kill())
    const told = await call(['doctor', '--pid', String(odd.pid), '--runtime-dir', directory])
    assert.ok(!told.out.includes(String.fromCharCode(27)) && !told.out.includes('\n  ok  forged'))
  }
  for (const pid of ['2147483647', 'x']) assert.equal((await call(['doctor', '--pid', pid])).failure?.code, 'usage')
})

test('a file with an environment is data to the whole program: Node.js takes no options from it', async (t) => {
  const directory = await folder(t)
  const marker = join(directory, 'marker')
  writeFileSync(join(directory, 'code.cjs'), `require('node:fs').writeFileSync(${JSON.stringify(marker)}, '')`)
  writeFileSync(join(directory, 'env'), `NODE_OPTIONS=--require=${join(directory, 'code.cjs')}\nAWS_PROFILE=work\n`)
  const { out } = await run(t, ['doctor', '--environment', join(directory, 'env'), '--runtime-dir', directory])
  assert.match(out, /AWS_PROFILE names work/)
  assert.ok(!existsSync(marker))
})
