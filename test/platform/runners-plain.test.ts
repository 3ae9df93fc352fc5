// A persistent runner with one user a job: real users, real sudo, and two jobs that try to get at each other's credentials.
import assert from 'node:assert/strict'
import { chmod, copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { checkout, folder, freePorts, launch, must, need, type Outcome, probe, type Running, run } from './machine.ts'
import { askAws, type Host, openHost } from './runners/host.ts'

const jobs = ['ci-a', 'ci-b'] as const
type JobUser = (typeof jobs)[number]

const space = await folder('plain')
const files = (path: string) => join(space.path, 'files', path)
const daemons: Running[] = []
const uids = new Map<string, number>()
const ports = new Map<JobUser, number>()
let host: Host

before(async () => {
  need({ unshare: 'util-linux', setpriv: 'util-linux', sudo: 'sudo', visudo: 'sudo', 'systemd-sysusers': 'systemd', shellcheck: 'shellcheck' })
  host = await openHost(space.path, { 'runners/plain/run-job': '/usr/lib/svidecar/run-job' })
  await mkdir(files('etc/sudoers.d'), { recursive: true })
  for (const file of ['passwd', 'group', 'shadow', 'gshadow']) await copyFile(join('/etc', file), files(`etc/${file}`))
  await copyFile(join(checkout, 'deploy/runners/plain/sudoers'), files('etc/sudoers.d/svidecar-jobs'))
  await chmod(files('etc/sudoers.d/svidecar-jobs'), 0o440)
  await writeFile(join(space.path, 'agent.conf'), 'u ci-agent - "the CI system\'s agent"\n')
  await must(['systemd-sysusers', `--root=${join(space.path, 'files')}`, join(checkout, 'deploy/runners/plain/sysusers.conf'), join(space.path, 'agent.conf')])
  for (const line of (await readFile(files('etc/passwd'), 'utf8')).split('\n')) {
    const [name = '', , uid] = line.split(':')
    if (/^(svidecar-)?ci-/.test(name)) uids.set(name, Number(uid))
  }
  const shipped = await host.text('runners/plain/ci-a.yaml')
  const free = await freePorts(4)
  for (const [at, job] of jobs.entries()) {
    const [credentials, metrics] = free.slice(2 * at)
    ports.set(job, credentials ?? 0)
    const text = shipped
      .replace('9922', String(credentials))
      .replace('9923', String(metrics))
      .replace('6611', String(uids.get(job)))
    daemons.push(await host.daemon(text, `/run/svidecar-${job}`, uids.get(`svidecar-${job}`)))
    await eventually('credentials', async () => (await probe(metrics ?? 0, '/readyz')) === 200)
  }
})

after(async () => {
  for (const daemon of daemons) daemon.kill('SIGTERM')
  await Promise.all(daemons.map(({ ended }) => ended))
  await host?.world.stop()
  await space.remove()
})

const asAgent = (command: readonly string[]) => host.on(['setpriv', '--reuid=ci-agent', '--regid=ci-agent', '--clear-groups', ...command])
const runJob = (user: string, command: readonly string[]) => asAgent(['sudo', '--non-interactive', '/usr/lib/svidecar/run-job', user, ...command])
const job = (user: string, ...command: string[]): Promise<Outcome> => run(runJob(user, command))
const script = (user: JobUser, text: string): Promise<Outcome> => run(runJob(user, ['bash', '-e']), { input: text })

/** What is left of a job: processes of its user, and its files. */
async function remains(user: JobUser): Promise<{ processes: string; files: string[] }> {
  const { stdout } = await run(['ps', '--no-headers', '--format', 'stat,args', '--user', String(uids.get(user))])
  // One that has ended, and whose parent has not looked yet, is none.
  return { processes: stdout.replaceAll(/^Z.*\n/gm, ''), files: (await readdir(join(space.path, 'state/svidecar-jobs'))).filter((name) => name === user) }
}

test('the files are what shells, sudo and sysusers take, and a job user is not the user of its daemon', async () => {
  const shipped = join(checkout, 'deploy/runners/plain')
  await must(['shellcheck', join(shipped, 'run-job')])
  await must(['visudo', '--check', `--file=${join(shipped, 'sudoers')}`])
  assert.equal(new Set(uids.values()).size, 5)
  const groups = await must(host.on(['id', '--name', '--groups', 'ci-a']))
  assert.equal(groups, 'ci-a svidecar-ci-a\n')
})

test('a job gets the credentials of its own daemon by a real SDK, its input and its exit status, and nothing of the agent’s environment', async () => {
  const [a, b] = await Promise.all(jobs.map((user) => job(user, 'sh', '-c', askAws(host.world.aws.checkingUrl))))
  for (const one of [a, b]) assert.match(one?.stdout ?? '', /"arn":"arn:aws:sts::\d+:assumed-role\//, one?.stderr)
  const read = (user: JobUser) =>
    script(user, `curl --silent --fail --header "authorization: $(cat $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)" $AWS_CONTAINER_CREDENTIALS_FULL_URI`)
  const keys = (await Promise.all(jobs.map(read))).map(({ stdout }) => (JSON.parse(stdout) as { AccessKeyId: string }).AccessKeyId)
  assert.equal(new Set(keys).size, 2)
  const env = { ...process.env, AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE', CI_TOKEN: 'secret-of-the-agent' }
  const seen = await run(runJob('ci-a', ['env']), { env })
  assert.equal(seen.status, 0, seen.stderr)
  assert.doesNotMatch(seen.stdout, /AKIA|secret-of-the-agent|SUDO_/)
  assert.match(seen.stdout, /^HOME=\/home\/ci-a$/m)
  assert.equal((await job('ci-a', 'sh', '-c', 'exit 7')).status, 7)
})

test("a job cannot read another's token, ask at its socket, use its token, see its processes or its files", async () => {
  const marker = 'the-other-job'
  const other = launch(runJob('ci-a', ['sh', '-c', `echo ${marker} >/tmp/mine; echo started; exec sleep 1000`]))
  try {
    await eventually('the other job runs', () => other.said().includes('started'))
    const token = await readFile(join(host.run, 'svidecar-ci-a/ci.token'), 'utf8')
    const uri = `http://127.0.0.1:${ports.get('ci-a')}/v1/credentials`
    const spied = await script(
      'ci-b',
      `set +e
       cat /run/svidecar-ci-a/ci.token; curl --silent --show-error --unix-socket /run/svidecar-ci-a/ci.sock http://localhost/v1/credential-process
       curl --silent --output /dev/null --write-out 'stolen token: %{http_code}\\n' --header 'authorization: ${token}' ${uri}
       ps -e --format args --no-headers | grep -v -e ps -e grep
       ls /tmp /home/ci-a; cat /var/lib/svidecar-jobs/ci-a/tmp/mine; kill -9 -1; echo done`,
    )
    assert.match(spied.stderr, /ci\.token: Permission denied/)
    assert.match(spied.stderr, /curl: .*(connect|Permission)/i)
    assert.match(spied.stdout, /^stolen token: 40[13]$/m)
    assert.match(spied.stderr, /tmp\/mine'?: Permission denied/)
    assert.doesNotMatch(spied.stdout, /sleep 1000|the-other-job|AccessKeyId/)
    other.check()
    // The token is right: its owner's job is given credentials for it.
    const owner = await run([
      ...host.on(['setpriv', '--reuid=ci-a', '--regid=ci-a', '--init-groups', 'curl', '--silent', '--header', `authorization: ${token}`, uri]),
    ])
    assert.match(owner.stdout, /AccessKeyId/)
    assert.equal((await job('ci-a', 'true')).status, 75)
  } finally {
    other.kill('SIGTERM')
    await other.ended
  }
})

test('nothing of a job is left when it has ended: no process that it put into the background, no file', async () => {
  const left = await script(
    'ci-a',
    'setsid --fork sleep 2000; (trap "" TERM HUP; sleep 2001) & for folder in /tmp /var/tmp /dev/shm ~; do echo left >$folder/left-by-ci-a; done',
  )
  assert.equal(left.status, 0, left.stderr)
  assert.deepEqual(await remains('ci-a'), { processes: '', files: [] })
  const next = await script('ci-a', 'find ~ /tmp /var/tmp /dev/shm -mindepth 1 2>/dev/null; touch /usr/x /var/lib/x 2>&1 | grep -c "denied\\|Read-only"')
  assert.equal(next.stdout, '2\n')
  for (const folder of ['/tmp', '/dev/shm', '/var/tmp']) await assert.rejects(stat(join(folder, 'left-by-ci-a')))
})

test('a job that is cancelled hears of it, and one that does not listen is ended', { timeout: 60_000 }, async () => {
  const polite = launch(runJob('ci-a', ['bash', '-c', 'trap "echo told; exit 3" TERM; echo started; while :; do sleep 0.1; done']))
  await eventually('it runs', () => polite.said().includes('started'))
  polite.kill('SIGTERM')
  assert.equal(await polite.ended, 3, polite.said())
  assert.match(polite.said(), /told/)
  const deaf = launch(runJob('ci-a', ['bash', '-c', 'trap "" TERM; echo started; while :; do sleep 0.1; done']))
  await eventually('it runs', () => deaf.said().includes('started'))
  const begun = performance.now()
  deaf.kill('SIGTERM')
  assert.notEqual(await deaf.ended, 0)
  assert.ok(performance.now() - begun < 20_000)
  assert.deepEqual(await remains('ci-a'), { processes: '', files: [] })
})

test('the agent may be nobody else by it', async () => {
  for (const [user, command] of [
    ['root', 'id'],
    ['svidecar-ci-a', 'id'],
    ['ci-agent', 'id'],
    ['ci-', 'id'],
    ['ci-z', 'id'],
  ] as const)
    assert.match((await job(user, command)).stderr, /password is required|not allowed/, user)
  assert.match((await run(asAgent(['sudo', '--non-interactive', 'id']))).stderr, /password is required|not allowed/)
  for (const user of ['root', 'svidecar-ci-a', 'ci-z', '']) {
    const { status, stderr } = await run(host.on(['/usr/lib/svidecar/run-job', user, 'id']))
    assert.deepEqual([status, stderr], [64, `run-job: ${user} is no job user\n`])
  }
})
