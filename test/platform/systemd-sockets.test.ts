// The ports of svidecar.socket belong to init: no neighbour can take them, and no connection is refused, while the daemon is away.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { configuration } from './machine.ts'
import { type Booted, boot, configFile, ports } from './systemd/booted.ts'

let machine: Booted

before(async () => {
  machine = await boot('systemd-sockets')
  await machine.done('systemctl', 'start', 'svidecar.socket', 'svidecar.service')
  await machine.ready()
})

after(() => machine?.end())

const mainPid = () => machine.property('MainPID')
const another = (pid: string) =>
  eventually('another process', async () => (await mainPid()) !== pid && (await machine.property('ActiveState')) === 'active', 60_000)

/** How often which status or error came, for clients that open a connection for each request until the file /run/enough is there. */
const hammer = `
const { request } = require('node:http')
const { existsSync, readFileSync, writeFileSync } = require('node:fs')
const authorization = readFileSync('/run/svidecar/app.token', 'utf8')
const seen = {}
const ask = () => new Promise((resolve) => {
  const tell = (what) => resolve(void (seen[what] = (seen[what] ?? 0) + 1))
  request({ host: '127.0.0.1', port: ${ports.credentials}, path: '/v1/credentials', headers: { authorization }, agent: false, timeout: 60_000 }, (reply) =>
    reply.resume().on('end', () => tell(reply.statusCode)).on('error', (error) => tell(error.code)),
  ).on('error', (error) => tell(error.code)).end()
})
const client = async () => {
  while (!existsSync('/run/enough')) await ask().then(() => new Promise((next) => setTimeout(next, 2)))
}
writeFileSync('/run/hammering', '')
Promise.all([client(), client(), client(), client()]).then(() => console.log(JSON.stringify(seen)))`

/** What clients see that go on asking while something happens. */
async function seenDuring(what: () => Promise<void>): Promise<Readonly<Record<string, number>>> {
  await machine.done('rm', '--force', '/run/enough', '/run/hammering')
  const clients = machine.done('node', '--eval', hammer)
  await eventually('clients', async () => (await machine.inside(['test', '-e', '/run/hammering'])).status === 0)
  await what()
  await machine.ready()
  await machine.done('touch', '/run/enough')
  return JSON.parse(await clients)
}

test('the daemon answers on the sockets that systemd has opened, and opens none', async () => {
  const rows = (await machine.done('ss', '--no-header', '--listening', '--tcp', '--processes', '--numeric')).split('\n')
  for (const port of [ports.credentials, ports.metrics]) assert.match(rows.find((row) => row.includes(`:${port} `)) ?? '', /"svidecar",pid=.*"systemd",pid=1,/)
  assert.doesNotMatch(await machine.journal(), /nobody answers on/)
})

test('through restarts each request is answered', async () => {
  const seen = await seenDuring(async () => {
    for (const _ of [1, 2]) {
      await machine.done('systemctl', 'restart', 'svidecar')
      await machine.ready()
    }
  })
  assert.ok((seen['200'] ?? 0) > 0, JSON.stringify(seen))
  assert.deepEqual(
    Object.keys(seen).filter((what) => !['200', '503'].includes(what)),
    [],
  )
})

test('when it is killed no connection is refused, the next process answers, and the token stays', async () => {
  const token = await machine.done('cat', '/run/svidecar/app.token')
  const kills = 2
  const seen = await seenDuring(async () => {
    for (let count = 0; count < kills; count++) {
      const pid = await mainPid()
      await machine.done('kill', '-KILL', pid)
      await another(pid)
      await machine.ready()
    }
  })
  const { ECONNRESET: lost = 0, ...others } = seen
  // What the process had accepted dies with it: at most one of each of the four clients.
  assert.ok(lost <= kills * 4, JSON.stringify(seen))
  assert.deepEqual(Object.keys(others).sort(), ['200', '503'].slice(0, Object.keys(others).length))
  assert.equal(await machine.done('cat', '/run/svidecar/app.token'), token)
})

/** Whether that user can listen there; 0 when he can, else the reason. */
const takes = (host: string, port: number): Promise<string> =>
  machine
    .as('nobody', [
      'perl',
      '-MSocket',
      '-e',
      `socket(S, PF_INET, SOCK_STREAM, 0);
       setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1); setsockopt(S, SOL_SOCKET, SO_REUSEPORT, 1);
       print bind(S, sockaddr_in(${port}, inet_aton('${host}'))) && listen(S, 5) ? 'taken' : $!`,
    ])
    .then(({ stdout }) => stdout)

test('a neighbour cannot take the port while the daemon is away, and could without svidecar.socket', async () => {
  await machine.dropIn('agent-in-tmp.conf', () => '[Service]\nRestartSec=1min\n', '/run/systemd/system/svidecar.service.d/slow.conf')
  await machine.done('kill', '-KILL', await mainPid())
  await eventually('it is away', async () => (await machine.property('SubState')) === 'auto-restart')
  for (const host of ['127.0.0.1', '0.0.0.0']) assert.equal(await takes(host, ports.credentials), 'Address already in use')
  await machine.done('systemctl', 'stop', 'svidecar.socket', 'svidecar.service')
  assert.equal(await takes('127.0.0.1', ports.credentials), 'taken')
  await machine.remove('/run/systemd/system/svidecar.service.d')
})

test('a connection starts the daemon, and waits for its answer', async () => {
  await machine.done('systemctl', 'start', 'svidecar.socket')
  assert.equal(await machine.property('ActiveState'), 'inactive')
  // 503 until its parts are there, which is an answer.
  assert.notEqual(await machine.get('/livez'), 0)
  await machine.ready()
})

test('a wrong configuration is tried every two seconds while somebody waits, and who waits is answered when it is right', async () => {
  const starts = async () => (await machine.journal()).match(/Failed to start svidecar/g)?.length ?? 0
  await machine.done('systemctl', 'stop', 'svidecar')
  await machine.write(configFile, 'profils: {}')
  const begun = performance.now()
  const patient = machine.inside(['curl', '--silent', '--max-time', '60', '--write-out', '%{http_code}', `http://127.0.0.1:${ports.metrics}/livez`])
  await eventually('three starts', async () => (await starts()) >= 3, 60_000)
  // Without a pause it would be ten a second.
  assert.ok((await starts()) <= 1 + (performance.now() - begun) / 2_000)
  assert.equal(await machine.property('ActiveState', 'svidecar.socket'), 'active')
  await machine.write(configFile, configuration(machine.world, ports))
  assert.match((await patient).stdout, /^(200|503)$/)
  await machine.ready()
})

test('a port of svidecar.socket that the configuration does not have is told of', async () => {
  await machine.dropIn('imds.socket.conf')
  await machine.done('systemctl', 'stop', 'svidecar.socket', 'svidecar.service')
  await machine.done('systemctl', 'start', 'svidecar.socket', 'svidecar.service')
  assert.match(await machine.journal(), /nobody answers on 1 of the sockets that systemd has handed over/)
  await machine.write(configFile, configuration(machine.world, ports, { imds_endpoints: [{ profile: 'app' }] }))
  // A reload takes it as a start does.
  await machine.done('systemctl', 'reload', 'svidecar')
  await machine.ready()
  assert.equal(await machine.get('/latest/meta-data/', 9911), 401)
})

test('stopped with its socket, it leaves nothing that listens', async () => {
  await machine.done('systemctl', 'stop', 'svidecar.socket', 'svidecar.service')
  assert.deepEqual([await machine.get('/livez'), await machine.get('/v1/credentials', ports.credentials), await machine.get('/', 9911)], [0, 0, 0])
})
