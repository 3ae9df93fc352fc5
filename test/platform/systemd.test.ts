// The unit, on a machine that the real systemd has booted: readiness, reload, watchdog, limits, restarts, stop.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { checkout, configuration } from './machine.ts'
import { type Booted, boot, configFile, ports } from './systemd/booted.ts'

const units = ['svidecar.service', 'svidecar@ci-a.service', 'svidecar-wait.service', 'svidecar-wait@ci-a.service']

let machine: Booted

before(async () => {
  machine = await boot('systemd')
  await machine.world.aws.closeIssuing()
})

after(() => machine?.end())

/** What a program of user nobody, in these groups too, gets from the container endpoint as an SDK would ask it. */
const asNobody = (groups: string) =>
  machine.inside([
    'setpriv',
    '--reuid=nobody',
    '--regid=nogroup',
    groups,
    'node',
    '--eval',
    `const authorization = require('node:fs').readFileSync('/run/svidecar/app.token', 'utf8')
     fetch('http://127.0.0.1:${ports.credentials}/v1/credentials', { headers: { authorization } }).then(async (reply) => console.log(reply.status, await reply.text()))`,
  ])

test('systemd understands every line of the units, and finds little in them that is exposed', async () => {
  const all = [...units, 'svidecar.socket'].map((unit) => `/usr/lib/systemd/system/${unit}`)
  for (const unit of all) assert.deepEqual(await machine.inside(['systemd-analyze', 'verify', unit]), { status: 0, stdout: '', stderr: '' }, unit)
  for (const unit of units) await machine.done('systemd-analyze', 'security', '--offline=yes', '--threshold=20', `/usr/lib/systemd/system/${unit}`)
})

test('all units have the same sandbox, and the template differs from the unit by its names alone', async () => {
  const linesOf = async (unit: string): Promise<string[]> =>
    (await readFile(join(checkout, 'deploy/systemd', unit), 'utf8')).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const [service, template, ...waits] = await Promise.all(
    ['svidecar.service', 'svidecar@.service', 'svidecar-wait.service', 'svidecar-wait@.service'].map(linesOf),
  )
  assert.ok(service && template)
  const renamed = template.filter((line) => line !== 'Environment=SVIDECAR_CONFIG=/etc/svidecar/%i.yaml').map((line) => line.replace(/-%i|, for %i/, ''))
  assert.deepEqual(renamed, service)
  const sandbox = service.slice(service.indexOf('CapabilityBoundingSet='), service.indexOf('[Install]'))
  assert.ok(sandbox.length > 25)
  for (const wait of waits) assert.deepEqual(wait.slice(-sandbox.length), sandbox)
})

test('a wrong configuration fails the start, says why, and is not tried again', async () => {
  await machine.write(configFile, 'profils: {}')
  assert.notEqual((await machine.inside(['systemctl', 'start', 'svidecar'])).status, 0)
  assert.equal(await machine.property('ActiveState'), 'failed')
  assert.equal(await machine.property('ExecMainStatus'), '2')
  assert.equal(await machine.property('NRestarts'), '0')
  assert.match(await machine.journal(), /config\.yaml:1:1: profils: .* did you mean profiles\?/)
  await machine.write(configFile, configuration(machine.world, ports))
})

test('it is ready when its listeners are, tells what is missing, and serves who is in its group', async () => {
  await machine.done('systemctl', 'start', 'svidecar')
  assert.equal(await machine.property('ActiveState'), 'active')
  assert.match(await machine.property('StatusText'), /^waiting for app/)
  assert.equal(await machine.get('/readyz'), 503)
  await machine.world.aws.openIssuing()
  await machine.ready()
  await eventually('the status', async () => (await machine.property('StatusText')) === 'ready')
  const member = await asNobody('--groups=svidecar')
  assert.match(member.stdout, /^200 .*"AccessKeyId":"ASIA/, member.stderr)
  const stranger = await asNobody('--clear-groups')
  assert.match(stranger.stderr, /EACCES/)
})

test('a reload takes a new configuration, and fails with one that is wrong and changes nothing', async () => {
  const pid = await machine.property('MainPID')
  const more = { consumers: { app: { profiles: ['app'] }, tools: { profiles: ['app'] } } }
  await machine.write(configFile, configuration(machine.world, ports, more))
  await machine.done('systemctl', 'reload', 'svidecar')
  assert.equal((await machine.done('cat', '/run/svidecar/tools.token')).length, 43)
  await machine.write(configFile, 'profils: {}')
  assert.notEqual((await machine.inside(['systemctl', 'reload', 'svidecar'])).status, 0)
  assert.match(await machine.journal(), /nothing has changed: .*profils/)
  assert.deepEqual([await machine.property('ActiveState'), await machine.property('MainPID')], ['active', pid])
  assert.equal(await machine.get('/readyz'), 200)
  await machine.write(configFile, configuration(machine.world, ports, more))
})

test('under load it stays far below its limit of memory, which is in force', async () => {
  const memory = async (what: string) => Number(await readFile(machine.outside(`/sys/fs/cgroup/memory/system.slice/svidecar.service/memory.${what}`), 'utf8'))
  assert.equal(await memory('limit_in_bytes'), 192 * 2 ** 20)
  const pid = await machine.property('MainPID')
  const answers = await machine.done(
    'node',
    '--eval',
    `const authorization = require('node:fs').readFileSync('/run/svidecar/app.token', 'utf8')
     const ask = async () => (await fetch('http://127.0.0.1:${ports.credentials}/v1/credentials', { headers: { authorization } })).text()
     const client = async () => { for (let count = 0; count < 40; count++) await ask() }
     Promise.all(Array.from({ length: 100 }, client)).then(() => console.log('answered'))`,
  )
  assert.equal(answers, 'answered\n')
  assert.equal(await machine.property('MainPID'), pid)
  const most = (await memory('max_usage_in_bytes')) / 2 ** 20
  assert.ok(most > 20 && most < 150, `${most} MB at the most`)
})

test('one that hangs is started again by the watchdog, and its tokens stay', async () => {
  await machine.write('/run/systemd/system/svidecar.service.d/soon.conf', '[Service]\nWatchdogSec=4s\nRestartSec=100ms\n')
  await machine.done('systemctl', 'daemon-reload')
  await machine.done('systemctl', 'restart', 'svidecar')
  const pid = await machine.property('MainPID')
  const token = await machine.done('cat', '/run/svidecar/app.token')
  // By then it would be another process, had it not pinged.
  const age = async () => Number(await machine.property('WatchdogTimestampMonotonic')) - Number(await machine.property('ExecMainStartTimestampMonotonic'))
  await eventually('a ping after more than the 4 s', async () => (await age()) > 4_500_000, 20_000)
  assert.equal(await machine.property('MainPID'), pid)
  assert.equal(await machine.property('NRestarts'), '0')
  await machine.done('kill', '-STOP', pid)
  await eventually('another process', async () => (await machine.property('NRestarts')) === '1' && (await machine.property('ActiveState')) === 'active', 60_000)
  await machine.ready()
  assert.equal(await machine.done('cat', '/run/svidecar/app.token'), token)
})

test('however often it dies it is started again, and it leaves no core', async () => {
  const restarts = async () => Number(await machine.property('NRestarts'))
  const before = await restarts()
  // By this alone, one start in ten seconds would be all.
  await machine.write('/run/systemd/system/svidecar.service.d/once.conf', '[Unit]\nStartLimitBurst=1\n')
  await machine.done('systemctl', 'daemon-reload')
  for (let count = 1; count <= 3; count++) {
    await machine.done('kill', '-SEGV', await machine.property('MainPID'))
    await eventually('another process', async () => (await restarts()) === before + count && (await machine.property('ActiveState')) === 'active', 60_000)
  }
  const journal = await machine.journal()
  assert.match(journal, /code=killed, status=11\/SEGV/)
  assert.doesNotMatch(journal, /code=dumped/)
  await machine.write('/run/systemd/system/svidecar.service.d/core.conf', '[Service]\nLimitCORE=infinity\nWorkingDirectory=/run/svidecar\n')
  await machine.done('systemctl', 'daemon-reload')
  await machine.done('systemctl', 'restart', 'svidecar')
  await machine.done('kill', '-SEGV', await machine.property('MainPID'))
  await eventually('a core, where that line of the unit is another', async () => /code=dumped/.test(await machine.journal()), 20_000)
  await machine.remove('/run/systemd/system/svidecar.service.d')
  await machine.done('systemctl', 'restart', 'svidecar')
  await machine.ready()
})

test('it stops within a second, with status 0, and leaves nothing in /run', async () => {
  // A unit that nobody wants is forgotten when it has stopped, and its result with it.
  await machine.done('systemctl', 'add-wants', 'basic.target', 'svidecar.service')
  await machine.done('systemctl', 'stop', 'svidecar')
  const [asked, ended] = await Promise.all(['ActiveExit', 'ExecMainExit'].map((event) => machine.property(`${event}TimestampMonotonic`)))
  const tookMs = (Number(ended) - Number(asked)) / 1000
  assert.ok(tookMs > 0 && tookMs < 1000, `it took ${tookMs} ms`)
  const result = await Promise.all(['ActiveState', 'Result', 'ExecMainCode', 'ExecMainStatus'].map((name) => machine.property(name)))
  assert.deepEqual(result, ['inactive', 'success', '1', '0'])
  assert.ok(!existsSync(machine.outside('/run/svidecar')))
})
