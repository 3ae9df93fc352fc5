// svidecar exec: a command with credentials, its signals and its status passed through, and nothing left behind.
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { childEnvironment } from '../../src/cli/exec.ts'
import type { World } from '../support/dev/world.ts'
import { eventually } from '../support/eventually.ts'
import { call, folder, identityAt, profileIn, run, start, webProfile, worldIn, writeConfig } from './support.ts'

const poison = {
  AWS_ACCESS_KEY_ID: 'AKIAPOISON',
  AWS_SECRET_ACCESS_KEY: 'poison',
  AWS_SESSION_TOKEN: 'poison',
  AWS_SECURITY_TOKEN: 'poison',
  AWS_CREDENTIAL_EXPIRATION: 'poison',
  AWS_PROFILE: 'poison',
  AWS_DEFAULT_PROFILE: 'poison',
  AWS_ROLE_ARN: 'poison',
  AWS_ROLE_SESSION_NAME: 'poison',
  AWS_WEB_IDENTITY_TOKEN_FILE: 'poison',
  AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: 'poison',
  AWS_CONTAINER_CREDENTIALS_FULL_URI: 'poison',
  AWS_CONTAINER_AUTHORIZATION_TOKEN: 'poison',
  AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: 'poison',
  AWS_CONFIG_FILE: 'poison',
  AWS_SHARED_CREDENTIALS_FILE: 'poison',
  AWS_EC2_METADATA_SERVICE_ENDPOINT: 'poison',
  AWS_EC2_METADATA_DISABLED: 'true',
}
const container = {
  AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:1/v1/credentials',
  AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/t',
  AWS_REGION: 'eu-west-1',
}
const imds = { AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:2', AWS_REGION: 'eu-west-1' }

test('the environment keeps what is the user’s and loses everything that would win over the endpoint', () => {
  const made = childEnvironment({ ...poison, HOME: '/home/u', AWS_RETRY_MODE: 'standard' }, container)
  for (const [name, value] of Object.entries(container)) assert.equal(made[name], value)
  assert.deepEqual([made['HOME'], made['AWS_RETRY_MODE']], ['/home/u', 'standard'])
  const poisoned = Object.entries(made).filter(([name, value]) => value?.toLowerCase().includes('poison') && !name.includes('EC2'))
  assert.deepEqual(poisoned, [])
})

test('pointed at IMDS, nothing is left that SDKs ask before IMDS, or that turns it off', () => {
  const made = childEnvironment({ ...poison, AWS_EC2_METADATA_V1_DISABLED: 'true' }, imds)
  assert.equal(made['AWS_EC2_METADATA_SERVICE_ENDPOINT'], 'http://127.0.0.1:2')
  assert.deepEqual(
    Object.entries(made).filter(([, value]) => value === 'poison'),
    [],
  )
  assert.notEqual(made['AWS_EC2_METADATA_DISABLED'], 'true')
})

test('a region of the user’s own stays; a proxy is kept away from loopback, beside what it was kept away from before', () => {
  assert.equal(childEnvironment({ AWS_REGION: 'us-west-2' }, container)['AWS_REGION'], 'us-west-2')
  assert.equal(childEnvironment({ AWS_REGION: '' }, container)['AWS_REGION'], 'eu-west-1')
  for (const name of ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'])
    for (const own of [{ NO_PROXY: 'a.internal' }, { no_proxy: 'a.internal' }]) {
      const made = childEnvironment({ [name]: 'http://proxy:3128', ...own }, container)
      for (const one of [made['NO_PROXY'], made['no_proxy']]) assert.deepEqual(one?.split(',').toSorted(), ['127.0.0.1', 'a.internal'])
    }
  assert.equal(childEnvironment({}, container)['NO_PROXY'], undefined)
})

/** Lines on stderr, but for warnings in the log. */
const said = (err: string): string[] =>
  err.split('\n').filter((line) => line !== '' && !(line.startsWith('{') && (JSON.parse(line) as { level: string }).level === 'warn'))

describe('with a daemon of its own', { concurrency: true }, () => {
  let world: World
  let directory: string
  let config: string
  const undo: (() => unknown)[] = []
  const context = { after: (work: () => unknown) => undo.push(work) } as unknown as TestContext
  before(async () => {
    directory = await folder(context)
    world = await worldIn(context, directory)
    config = await writeConfig(directory, `${identityAt(world.socket)}profiles:\n${profileIn(world, 'app')}runtime_dir: ${directory}/run\n`)
  })
  after(async () => {
    for (const work of undo.toReversed()) await work()
  })

  /** A folder for the temporary files of one exec, where nothing may be left. */
  async function place(t: TestContext) {
    const temporary = await folder(t)
    return { temporary, env: { ...poison, TMPDIR: temporary }, left: () => readdirSync(temporary) }
  }

  test('the command reads credentials by what its environment says, and ends with its own status', async (t) => {
    const { env, left } = await place(t)
    const program = `
      const { readFileSync } = require('node:fs')
      const token = readFileSync(process.env.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, 'utf8')
      require('node:http').get(process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI, { headers: { authorization: token } }, async (reply) => {
        const body = JSON.parse(Buffer.concat(await reply.toArray()).toString())
        console.log(JSON.stringify({ status: reply.statusCode, body, env: process.env }))
        process.exitCode = 7
      })`
    const { code, out, err } = await run(t, ['exec', '--config', config, '--', process.execPath, '-e', program, '--', '--flag'], env)
    assert.equal(code, 7, err)
    const seen = JSON.parse(out) as { status: number; body: Record<string, string>; env: Record<string, string> }
    assert.equal(seen.status, 200)
    const { SecretAccessKey = '', Token = '', AccessKeyId = '' } = seen.body
    for (const [name, value] of Object.entries(seen.env)) {
      assert.ok(![SecretAccessKey, Token, AccessKeyId].includes(value), `${name} is a key`)
      assert.ok(value !== 'poison' || name.startsWith('AWS_EC2_'), `${name} wins over the endpoint`)
    }
    assert.equal(seen.env['AWS_REGION'], 'us-east-1')
    assert.deepEqual(left(), [])
    assert.deepEqual(said(err), [], 'the output is the command’s')
  })

  test('a signal goes to the command, and the status says which one it died of', async (t) => {
    const { env, left } = await place(t)
    const exec = start(t, ['exec', '--config', config, '--', 'sh', '-c', 'trap "echo told; exit 5" TERM; echo ready; while :; do sleep 0.05; done'], env)
    await eventually('the command runs', () => exec.out.includes('ready'))
    exec.child.kill('SIGTERM')
    const { code, out } = await exec.ended
    assert.deepEqual([code, out], [5, 'ready\ntold\n'])
    assert.deepEqual(left(), [])
  })

  test('a command that is killed is a status of 128 and the signal’s number, and leaves nothing', async (t) => {
    const { env, left } = await place(t)
    const { code } = await run(t, ['exec', '--config', config, '--', 'sh', '-c', 'kill -KILL $$'], env)
    assert.equal(code, 137)
    assert.deepEqual(left(), [])
  })

  test('a signal that comes between the credentials and the command is not lost', async () => {
    // It comes at the moment at which AWS has issued: before, while or just after the command is started.
    const issued = eventually('credentials', () => world.aws.requests.some(({ status }) => status >= 200 && status < 300))
    let listeners = 0
    const nextSignal = () => (++listeners === 1 ? issued.then((): NodeJS.Signals => 'SIGTERM') : new Promise<NodeJS.Signals>(() => {}))
    const quiet = await writeConfig(await folder(context), `${readFileSync(config, 'utf8')}log: { level: error }\n`)
    const { status } = await call(['exec', '--config', quiet, '--', 'sh', '-c', 'exec sleep 1'], { PATH: '/usr/bin:/bin' }, nextSignal)
    assert.equal(status, 143)
  })
})

describe('without an agent', { concurrency: true }, () => {
  async function lonely(t: TestContext) {
    const directory = await folder(t)
    const temporary = join(directory, 'tmp')
    mkdirSync(temporary)
    const config = await writeConfig(directory, `${identityAt(`unix://${directory}/agent.sock`)}profiles:\n${webProfile('app')}${webProfile('default')}`)
    return { config, env: { TMPDIR: temporary }, left: () => readdirSync(temporary) }
  }

  test('gives up after its time with the reason, without having run the command', async (t) => {
    const { config, env, left } = await lonely(t)
    const { code, out, err } = await run(t, ['exec', '--config', config, '--timeout', '300ms', '--', 'echo', 'ran'], env)
    assert.deepEqual([code, out], [1, ''])
    assert.match(err, /svidecar: no credentials within 0\.3 s: cannot connect to the Workload API at unix:.*: no such file\. /)
    assert.deepEqual(left(), [])
  })

  for (const signal of ['SIGINT', 'SIGHUP'] as const)
    test(`${signal} while it waits ends it and leaves nothing`, async (t) => {
      const { config, env, left } = await lonely(t)
      const exec = start(t, ['exec', '--config', config, '--', 'echo', 'ran'], env)
      await eventually('it waits for credentials', () => /no such file/.test(exec.err))
      exec.child.kill(signal)
      const { code, out } = await exec.ended
      assert.deepEqual(left(), [])
      assert.equal(code, { SIGINT: 130, SIGHUP: 129 }[signal])
      assert.equal(out, '')
    })

  test('SIGTERM while it still starts leaves nothing either', async (t) => {
    const { config, env, left } = await lonely(t)
    const exec = start(t, ['exec', '--config', config, '--', 'echo', 'ran'], env)
    await eventually('its folder is there', () => left().length > 0)
    exec.child.kill('SIGTERM')
    await exec.ended
    assert.deepEqual(left(), [])
  })

  test('what is asked for wrongly is said before anything is started', async (t) => {
    const { config, env, left } = await lonely(t)
    for (const [args, words] of [
      [['exec', '--config', config], /needs a command after --/],
      [['exec', '--config', config, '--profile', 'nope', '--', 'true'], /there is no profile "nope".*app, default/],
      [['exec', '--config', config, '--timeout', 'x', '--', 'true'], /is not a duration/],
    ] as const) {
      const { failure, err } = await call(args, env)
      assert.equal(failure?.code, 'usage')
      assert.match(err, words)
    }
    assert.deepEqual(left(), [])
  })
})
