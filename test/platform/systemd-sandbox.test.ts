// What the sandbox of the unit keeps from the daemon and its hooks: tried from inside of it, and from outside as the same user.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { checkout, configuration } from './machine.ts'
import { type Booted, boot, configFile, ports } from './systemd/booted.ts'

let machine: Booted

const probe = '/usr/local/lib/probe'
const hooks = [{ on: ['credentials'], run: [probe, '/run/svidecar/probe'] }]

before(async () => {
  machine = await boot('systemd-sandbox', {
    files: {
      '/etc/sysusers.d/app.conf': 'u app - "application"\n',
      '/home/app/notes': 'of app',
      '/etc/tmpfiles.d/probe.conf': 'd /opt/open 0777\nf /tmp/notes 0644 - - - of others\n',
      '/opt/setup': 'cp /usr/bin/id /usr/local/bin/setuid-id && chmod 4755 /usr/local/bin/setuid-id && touch /dev/probe && mount --bind /dev/null /dev/probe\n',
      [probe]: await readFile(join(checkout, 'test/platform/systemd/probe'), 'utf8'),
    },
  })
  await machine.done('sh', '/opt/setup')
  await machine.done('chmod', '0755', probe, '/home/app')
  await machine.write(configFile, configuration(machine.world, ports, { hooks }))
  await machine.done('systemctl', 'start', 'svidecar.socket', 'svidecar.service')
  await machine.ready()
})

after(() => machine?.end())

const said = (text: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => line.split(': ', 2)),
  )

const denied = {
  'write outside of its directory': 'Read-only file system',
  'read a home': 'Permission denied',
  'read what others have in /tmp': 'No such file or directory',
  'use a device of the host': 'No such file or directory',
  'see a process of another user': 'No such file or directory',
  'see the state of the kernel': 'No such file or directory',
  'make a namespace': 'Operation not permitted',
  'change its personality': 'Operation not permitted',
  'change its priority': 'Operation not permitted',
  'be traced': 'Operation not permitted',
  'open a netlink socket': 'Address family not supported by protocol',
  'make a file setuid': 'Operation not permitted',
  'become root by a setuid program': 'Operation not permitted',
}
const allowed = ['open an Internet socket', 'open a unix socket', 'give a file to its own group']

test('a hook in the sandbox can do nothing of what its user could do outside, and what it needs', async () => {
  await eventually('the hook has run', async () => (await machine.inside(['test', '-s', '/run/svidecar/probe'])).status === 0)
  const inside = said(await machine.done('cat', '/run/svidecar/probe'))
  const outside = await machine.as('svidecar', [probe, '/opt/open/probe'])
  assert.equal(outside.status, 0, outside.stderr)
  const free = said(await machine.done('cat', '/opt/open/probe'))
  for (const [what, why] of Object.entries(denied)) assert.deepEqual([what, inside[what], free[what]], [what, why, 'allowed'])
  for (const what of allowed) assert.deepEqual([what, inside[what]], [what, 'allowed'])
  const { CapEff, CapBnd, NoNewPrivs, Seccomp } = inside
  assert.deepEqual([CapEff, CapBnd, NoNewPrivs, Seccomp], ['0000000000000000', '0000000000000000', '1', '2'])
})

test('a hook is not left the sockets that systemd has handed over', async () => {
  assert.equal(said(await machine.done('cat', '/run/svidecar/probe'))['sockets that it was left'], '0')
})

test('the daemon can all the same: doctor finds nothing, and a group that it is in gets its token', async () => {
  await machine.done('usermod', '--append', '--groups', 'app', 'svidecar')
  await machine.write(
    configFile,
    configuration(machine.world, ports, { consumers: { app: { profiles: ['app'], group: 'app', uids: [Number(await machine.done('id', '--user', 'app'))] } } }),
  )
  await machine.done('systemctl', 'restart', 'svidecar')
  await machine.ready()
  assert.equal(await machine.done('stat', '--format=%U:%G %a', '/run/svidecar/app.token', '/run/svidecar/app.sock'), 'svidecar:app 440\nsvidecar:app 660\n')
  assert.equal((await machine.as('app', ['svidecar', 'env'])).status, 0)
  const doctor = await machine.inside(['svidecar', 'doctor'])
  assert.equal(doctor.status, 0, doctor.stdout)
})

test('V8 cannot bear MemoryDenyWriteExecute=, which is why it is missing', async () => {
  await machine.write('/run/systemd/system/svidecar.service.d/mdwe.conf', '[Service]\nMemoryDenyWriteExecute=yes\n')
  await machine.done('systemctl', 'daemon-reload')
  await machine.inside(['timeout', '5', 'systemctl', 'restart', 'svidecar'])
  assert.match(await machine.journal(), /code=killed, status=5\/TRAP|code=dumped/)
  await machine.remove('/run/systemd/system/svidecar.service.d')
  await machine.done('systemctl', 'restart', 'svidecar')
  await machine.ready()
})
