// The systemd unit, on a machine that the real systemd has booted: readiness, reload, watchdog, sandbox, stop.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import {
  checkout,
  configuration,
  folder,
  freePorts,
  install,
  launch,
  need,
  node,
  type Outcome,
  openWorld,
  type Ports,
  probe,
  type Running,
  removeCgroups,
  run,
} from './machine.ts'

const unit = '/usr/lib/systemd/system/svidecar.service'
const configFile = '/etc/svidecar/config.yaml'
const cgroups = `svidecar-systemd-${process.pid}`

const space = await folder('systemd')
let world: Awaited<ReturnType<typeof openWorld>>
let ports: Ports
let machine: Running
/** The machine's first process, as this machine numbers it. */
let init = 0

before(async () => {
  need({ unshare: 'util-linux', nsenter: 'util-linux', setpriv: 'util-linux', 'systemd-analyze': 'systemd' })
  const [credentials = 0, metrics = 0] = await freePorts(2)
  ports = { credentials, metrics }
  world = await openWorld(space.path)
  await world.aws.closeIssuing()
  const [, bundle = ''] = await install(space.path)
  // As a package would install it.
  const files = {
    [unit]: 'deploy/systemd/svidecar.service',
    '/usr/lib/sysusers.d/svidecar.conf': 'deploy/systemd/sysusers.conf',
    '/usr/lib/svidecar/svidecar.cjs': bundle,
  }
  const laid = join(space.path, 'files')
  for (const [to, from] of Object.entries(files)) {
    await mkdir(dirname(join(laid, to)), { recursive: true })
    await copyFile(resolve(checkout, from), join(laid, to))
  }
  await mkdir(dirname(join(laid, configFile)), { recursive: true })
  await writeFile(join(laid, configFile), configuration(world, ports))
  await mkdir(join(space.path, 'machine'))
  const boot = join(checkout, 'test/platform/systemd/boot')
  machine = launch([boot, cgroups, join(space.path, 'machine'), laid, node, world.sockets])
  await eventually(
    'the machine is up',
    async () => {
      machine.check()
      init = Number((await readFile(`/proc/${machine.pid}/task/${machine.pid}/children`, 'utf8')).trim())
      return (await inside(['systemctl', 'is-system-running'])).stdout === 'running\n'
    },
    60_000,
  )
})

after(async () => {
  machine?.kill('SIGKILL')
  await machine?.ended
  await world?.stop()
  await removeCgroups(cgroups)
  await space.remove()
})

/** Runs a command on that machine, as root. */
const inside = (command: readonly string[], input = ''): Promise<Outcome> =>
  run(['nsenter', `--target=${init}`, '--mount', '--pid', '--ipc', '--uts', '--cgroup', '--root', ...command], { input })

/** Runs a command there that has to succeed. */
async function done(...command: string[]): Promise<string> {
  const { status, stdout, stderr } = await inside(command)
  assert.equal(status, 0, `${command.join(' ')}: ${stdout}${stderr}${status === 0 ? '' : (await inside(['journalctl', '--unit=svidecar'])).stdout}`)
  return stdout
}

const property = async (name: string): Promise<string> => (await done('systemctl', 'show', 'svidecar', '--value', `--property=${name}`)).trim()

const writeInside = async (path: string, text: string): Promise<void> => {
  await done('mkdir', '--parents', dirname(path))
  assert.equal((await inside(['tee', path], text)).status, 0)
}

/** What a program of user nobody, in these groups too, gets from the container endpoint as an SDK would ask it. */
const asNobody = (groups: string): Promise<Outcome> =>
  inside([
    'setpriv',
    '--reuid=nobody',
    '--regid=nogroup',
    groups,
    'node',
    '--eval',
    `const authorization = require('node:fs').readFileSync('/run/svidecar/app.token', 'utf8')
     fetch('http://127.0.0.1:${ports.credentials}/v1/credentials', { headers: { authorization } }).then(async (reply) => console.log(reply.status, await reply.text()))`,
  ])

test('systemd understands every line of the unit, and finds little in it that is exposed', async () => {
  assert.deepEqual(await inside(['systemd-analyze', 'verify', unit]), { status: 0, stdout: '', stderr: '' })
  await done('systemd-analyze', 'security', '--offline=yes', '--threshold=20', unit)
})

test('a wrong configuration fails the start, says why, and is not tried again', async () => {
  await writeInside(configFile, 'profils: {}')
  assert.notEqual((await inside(['systemctl', 'start', 'svidecar'])).status, 0)
  assert.equal(await property('ActiveState'), 'failed')
  assert.equal(await property('ExecMainStatus'), '2')
  assert.match(await done('journalctl', '--unit=svidecar'), /config\.yaml:1:1: profils: .* did you mean profiles\?/)
  await writeInside(configFile, configuration(world, ports))
})

test('it is ready when its listeners are, tells what is missing, and serves who is in its group', async () => {
  await done('systemctl', 'start', 'svidecar')
  assert.equal(await property('ActiveState'), 'active')
  assert.match(await property('StatusText'), /^waiting for app/)
  assert.equal(await probe(ports.metrics, '/readyz'), 503)
  await world.aws.openIssuing()
  await eventually('credentials', async () => (await probe(ports.metrics, '/readyz')) === 200)
  await eventually('the status', async () => (await property('StatusText')) === 'ready')
  const member = await asNobody('--groups=svidecar')
  assert.match(member.stdout, /^200 .*"AccessKeyId":"ASIA/, member.stderr)
  const stranger = await asNobody('--clear-groups')
  assert.match(stranger.stderr, /EACCES/)
})

test('a reload takes a new configuration, and fails with one that is wrong and changes nothing', async () => {
  const pid = await property('MainPID')
  const more = { consumers: { app: { profiles: ['app'] }, tools: { profiles: ['app'] } } }
  await writeInside(configFile, configuration(world, ports, more))
  await done('systemctl', 'reload', 'svidecar')
  assert.equal((await done('cat', '/run/svidecar/tools.token')).length, 43)
  await writeInside(configFile, 'profils: {}')
  assert.notEqual((await inside(['systemctl', 'reload', 'svidecar'])).status, 0)
  assert.deepEqual([await property('ActiveState'), await property('MainPID')], ['active', pid])
  assert.equal(await probe(ports.metrics, '/readyz'), 200)
  await writeInside(configFile, configuration(world, ports, more))
})

test('one that hangs is started again by the watchdog, and its tokens stay', async () => {
  await writeInside('/run/systemd/system/svidecar.service.d/soon.conf', '[Service]\nWatchdogSec=2s\nRestartSec=100ms\n')
  await done('systemctl', 'daemon-reload')
  await done('systemctl', 'restart', 'svidecar')
  const pid = await property('MainPID')
  const token = await done('cat', '/run/svidecar/app.token')
  // By then it would be another process, had it not pinged.
  const age = async () => Number(await property('WatchdogTimestampMonotonic')) - Number(await property('ExecMainStartTimestampMonotonic'))
  await eventually('a ping after more than the 2 s', async () => (await age()) > 2_500_000)
  assert.equal(await property('MainPID'), pid)
  assert.equal(await property('NRestarts'), '0')
  await done('kill', '-STOP', pid)
  await eventually('another process', async () => (await property('NRestarts')) === '1' && (await property('ActiveState')) === 'active', 20_000)
  await eventually('credentials', async () => (await probe(ports.metrics, '/readyz')) === 200)
  assert.equal(await done('cat', '/run/svidecar/app.token'), token)
})

test('it stops within a second, with status 0, and leaves nothing in /run', async () => {
  // A unit that nobody wants is forgotten when it has stopped, and its result with it.
  await done('systemctl', 'add-wants', 'basic.target', 'svidecar.service')
  await done('systemctl', 'stop', 'svidecar')
  const [asked, ended] = await Promise.all(['ActiveExit', 'ExecMainExit'].map((event) => property(`${event}TimestampMonotonic`)))
  const tookMs = (Number(ended) - Number(asked)) / 1000
  assert.ok(tookMs > 0 && tookMs < 1000, `it took ${tookMs} ms`)
  const result = await Promise.all(['ActiveState', 'Result', 'ExecMainCode', 'ExecMainStatus'].map(property))
  assert.deepEqual(result, ['inactive', 'success', '1', '0'])
  assert.ok(!existsSync(`/proc/${init}/root/run/svidecar`))
})
