// GitHub's runners: the hooks, the action and the workflow run as the runner runs them, on a host that has svidecar, with a real SDK.
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse } from 'yaml'
import { eventually } from '../support/eventually.ts'
import { checkout, folder, must, need, node, type Outcome, probe, type Running, run } from './machine.ts'
import { type Action, Job, readAction } from './runners/github-runner.ts'
import { askAws, daemonUser, type Host, openHost, runnerUser } from './runners/host.ts'

const shipped = join(checkout, 'deploy/runners/github')
const started = '/usr/lib/svidecar/github/job-started.sh'
const completed = '/usr/lib/svidecar/github/job-completed.sh'

const space = await folder('github')
let host: Host
let runnerEnv = ''
let action: Action
let daemon: Running | undefined
let jobs = 0

before(async () => {
  need({ unshare: 'util-linux', setpriv: 'util-linux', shellcheck: 'shellcheck', curl: 'curl' })
  const names = ['job-started.sh', 'job-completed.sh', 'runner.env', 'container.aws-config']
  host = await openHost(space.path, Object.fromEntries(names.map((name) => [`runners/github/${name}`, `/usr/lib/svidecar/github/${name}`])))
  runnerEnv = await host.text('runners/github/runner.env')
  action = readAction(await host.text('runners/github/action.yml'))
})

after(async () => {
  await stopDaemon()
  await host?.world.stop()
  await space.remove()
})

async function startDaemon(): Promise<void> {
  daemon = await host.daemon(await host.text('runners/github/config.yaml'))
}

async function stopDaemon(): Promise<void> {
  daemon?.kill('SIGTERM')
  await daemon?.ended
  daemon = undefined
}

const ready = () => eventually('credentials', async () => (await probe(host.ports.metrics, '/readyz')) === 200)

/** A job whose workflow sets these variables. */
const job = (env: Record<string, string> = {}) => Job.start(host, join(space.path, `job-${jobs++}`), runnerEnv, env)

// What workflows really set, and what one could set to deceive a hook.
const hostile = {
  AWS_PROFILE: 'production',
  AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'left-by-a-workflow',
  AWS_CONFIG_FILE: '/nowhere/config',
  SVIDECAR_CONFIG: '/nowhere/config.yaml',
  SVIDECAR_RUNTIME_DIR: '/nowhere',
  NODE_OPTIONS: '--require=/nowhere/preload.cjs',
}

/** A step whose program uses AWS by the SDK for JavaScript. */
const callAws = () => askAws(host.world.aws.checkingUrl)

const assertCalled = ({ status, stdout, stderr }: Outcome) => {
  assert.equal(status, 0, stderr)
  assert.match(stdout, /"arn":"arn:aws:sts::\d+:assumed-role\//, stderr)
}

test('the files are what GitHub and their shells take', async () => {
  const linters = (await must([join(checkout, 'test/platform/runners/linters/build')], { timeoutMs: 300_000 })).trim()
  const config = join(space.path, 'actionlint.yaml')
  await writeFile(config, 'self-hosted-runner: { labels: [svidecar] }')
  await must(['shellcheck', join(shipped, 'job-started.sh'), join(shipped, 'job-completed.sh')])
  await must([join(linters, 'check-jsonschema'), '--builtin-schema=vendor.github-actions', join(shipped, 'action.yml')])
  await must([join(linters, 'check-jsonschema'), '--builtin-schema=vendor.github-workflows', join(shipped, 'workflow.yml')])
  await must([join(linters, 'actionlint'), `-config-file=${config}`, join(shipped, 'workflow.yml')])
  for (const [at, { run: script }] of action.runs.steps.entries()) {
    // An input inside a script would be run by it.
    assert.doesNotMatch(script, /\$\{\{/)
    const file = join(space.path, `step-${at}.bash`)
    await writeFile(file, script)
    await must(['shellcheck', '--shell=bash', file])
  }
  // Their neighbours are refused.
  await writeFile(config, 'runs: { using: composite, steps: [{ run: "true" }] }')
  assert.notEqual((await run([join(linters, 'check-jsonschema'), '--builtin-schema=vendor.github-actions', config])).status, 0)
})

test("the workflow's and the hooks' names, paths and inputs are those of the other files", async () => {
  const workflow = parse(await host.text('runners/github/workflow.yml')) as {
    jobs: Record<string, { container?: { env: Record<string, string>; volumes: string[] }; steps: { uses?: string; with?: Record<string, string> }[] }>
  }
  const given = Object.values(workflow.jobs).flatMap(({ steps }) => steps.flatMap((step) => Object.keys(step.with ?? {})))
  assert.deepEqual(new Set(given), new Set(['profile', 'run']))
  for (const name of given) assert.ok(name in action.inputs, name)
  const hooks = (await job()).environment
  assert.equal(hooks['ACTIONS_RUNNER_HOOK_JOB_STARTED'], started)
  assert.equal(hooks['ACTIONS_RUNNER_HOOK_JOB_COMPLETED'], completed)
  // The runner's .env knows no comments and no quotes.
  for (const line of runnerEnv.trimEnd().split('\n')) assert.match(line, /^[A-Z_]+=[\w:/.-]+$/)
})

test('without a daemon the first hook waits, fails the job, and shows what doctor finds, whatever the workflow has set', { timeout: 120_000 }, async () => {
  // Both at once: each waits half a minute.
  const outcomes = await Promise.all((['bash', 'sh'] as const).map(async (shell) => (await job(hostile)).script(started, shell)))
  for (const { status, stdout, stderr } of outcomes) {
    assert.equal(status, 1)
    assert.match(stderr, /not ready after 30 s: no daemon answers at \/run\/svidecar\/ci\.sock/)
    assert.match(
      stdout,
      /^::group::svidecar doctor$[^]*no daemon answers at \/run\/svidecar\/control\.sock[^]*^::endgroup::$[^]*^::error title=No AWS credentials::/m,
    )
    // The environment of the runner, and not that of the workflow.
    assert.match(stdout, /boto3, AWS CLI +container/)
    assert.doesNotMatch(stdout + stderr, /production|AKIA|nowhere/)
  }
  const { status, stdout } = await (await job(hostile)).script(completed, 'bash')
  assert.equal(status, 0)
  assert.match(stdout, /^::warning title=No AWS credentials::svidecar: not ready after 0 s: no daemon answers/)
})

test('a daemon without credentials holds the job back until they come', { timeout: 60_000 }, async () => {
  await host.world.aws.closeIssuing()
  await startDaemon()
  const held = (await job(hostile)).script(started, 'bash')
  let over = false
  void held.finally(() => {
    over = true
  })
  await eventually('a refused exchange', () => daemon?.said().includes('"exchange.failed"'))
  assert.equal(over, false)
  await host.world.aws.openIssuing()
  const { status, stdout, stderr } = await held
  assert.deepEqual([status, stdout], [0, ''], stderr)
  assert.deepEqual(await (await job(hostile)).script(completed, 'bash'), { status: 0, stdout: '', stderr: '' })
})

test('with the runner’s environment alone a job’s SDK gets credentials, and a program of another group does not', async () => {
  await ready()
  assertCalled(await (await job()).run(callAws()))
  const stranger = await host.as(runnerUser, [], ['bash', '-c', callAws()], { HOME: space.path, ...(await job()).environment })
  assert.doesNotMatch(stranger.stdout, /"arn"/)
  assert.match(stranger.stdout, /EACCES|permission/i)
})

test('the action points the steps after it at the daemon, and nothing secret is in what it sets or prints', async () => {
  const bare = await Job.start(host, join(space.path, 'bare'), '')
  const before = await bare.run(callAws())
  assert.doesNotMatch(before.stdout, /"arn"/)
  const [outcome, ...more] = await bare.uses(action, { profile: 'ci' })
  assert.deepEqual([outcome?.status, more.length], [0, 0], outcome?.stderr)
  assertCalled(await bare.run(callAws()))
  const { AWS_CONTAINER_CREDENTIALS_FULL_URI: uri, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file, AWS_CONFIG_FILE: config } = bare.environment
  assert.deepEqual([uri, file, config], [`http://127.0.0.1:${host.ports.credentials}/v1/credentials`, '/run/svidecar/ci.token', '/dev/null'])
  const token = await must(['cat', join(host.run, 'svidecar/ci.token')])
  const said = JSON.stringify([outcome, bare.environment])
  assert.ok(!said.includes(token))
  assert.doesNotMatch(said, /ASIA|SecretAccessKey/)
})

test('the action refuses a job whose environment would win over it, and names the variable', async () => {
  const one = await job({ AWS_PROFILE: 'production' })
  const [outcome] = await one.uses(action)
  assert.notEqual(outcome?.status, 0)
  assert.match(outcome?.stdout ?? '', /^::error title=AWS_PROFILE is set in this job::/m)
  assert.doesNotMatch(outcome?.stdout ?? '', /production/)
})

test('the action runs one command with credentials, and passes on its status, and the steps after it have none', async () => {
  const bare = await Job.start(host, join(space.path, 'one-command'), '', { AWS_PROFILE: 'production' })
  const [called] = await bare.uses(action, { run: callAws() })
  assertCalled(called ?? assert.fail('nothing ran'))
  const [failed] = await bare.uses(action, { run: 'false\necho not reached' })
  assert.deepEqual([failed?.status, failed?.stdout], [1, ''])
  // Quotes and expressions of the shell are the command's own.
  const [quoted] = await bare.uses(action, { run: `printf '%s\\n' "$(echo "it's")" | tee` })
  assert.equal(quoted?.stdout, "it's\n")
  assert.equal(bare.environment['AWS_CONTAINER_CREDENTIALS_FULL_URI'], undefined)
  const [unknown] = await bare.uses(action, { consumer: 'nobody', timeout: '1s' })
  assert.notEqual(unknown?.status, 0)
})

test("in a container's network the host's loopback is not there, and the mounted socket is", async () => {
  const { container } = (parse(await host.text('runners/github/workflow.yml')) as { jobs: { container: { container: { env: Record<string, string> } } } }).jobs
    .container
  const inside = (env: Record<string, string>) =>
    // Its AWS is on the host's loopback, too, so only the credentials are looked at.
    run(
      [
        'unshare',
        '--mount',
        '--net',
        join(checkout, 'test/platform/runners/host'),
        join(space.path, 'files'),
        host.run,
        join(space.path, 'state'),
        node,
        '--eval',
        `
        const { fromNodeProviderChain } = require('@aws-sdk/credential-providers')
        fromNodeProviderChain({ timeout: 500, maxRetries: 0 })().then(({ accessKeyId, expiration }) => console.log(accessKeyId, expiration), (error) => console.log(error.name, error.message))`,
      ],
      { cwd: checkout, env: { PATH: process.env['PATH'], HOME: space.path, AWS_EC2_METADATA_DISABLED: 'true', ...env } },
    )
  const byAddress = await inside(Object.fromEntries(Object.entries((await job()).environment).filter(([name]) => name.startsWith('AWS_'))))
  assert.match(byAddress.stdout, /ProviderError|ENETUNREACH|EADDRNOTAVAIL|ECONNREFUSED/, byAddress.stderr)
  const bySocket = await inside(container.env)
  assert.match(bySocket.stdout, /^ASIA\w+ 20\d\d/, bySocket.stderr)
  // The shipped file is what the command writes.
  const written = await host.as(runnerUser, [daemonUser], ['svidecar', 'env', '--format', 'aws-config', '--consumer', 'ci'], {})
  assert.equal(written.stdout, await host.text('runners/github/container.aws-config'))
})
