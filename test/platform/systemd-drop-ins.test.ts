// Each drop-in makes an example of the documentation work, and without it the sandbox is in the way.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { checkout, configuration } from './machine.ts'
import { type Booted, boot, configFile, ports } from './systemd/booted.ts'

let machine: Booted

before(async () => {
  machine = await boot('systemd-drop-ins', {
    files: {
      '/etc/sysusers.d/app.conf': 'u app - "application" /home/app /bin/sh\n',
      '/usr/local/lib/child': await readFile(join(checkout, 'test/platform/systemd/child'), 'utf8'),
    },
  })
  await machine.done('chmod', '0755', '/usr/local/lib/child')
})

after(() => machine?.end())

afterEach(() => machine.remove('/etc/systemd/system/svidecar.service.d', '/etc/systemd/system/svidecar@app.service.d'))

const unit = 'svidecar.service'
let since = 0

/** Starts it anew with more of a configuration; what the journal says from then on. */
async function start(more: object, name = unit, file = configFile): Promise<void> {
  await machine.write(file, configuration(machine.world, ports, more))
  await machine.done('systemctl', 'stop', 'svidecar', 'svidecar@app')
  since = (await machine.journal(name)).length
  await machine.done('systemctl', 'start', '--no-block', name)
}
const says = (what: RegExp, name = unit) =>
  eventually(
    `the journal says ${what}`,
    async () => what.test((await machine.journal(name)).slice(since)) || assert.fail((await machine.journal(name)).slice(since)),
    60_000,
  )
const exists = async (path: string): Promise<boolean> => (await machine.inside(['test', '-e', path])).status === 0
const appears = (path: string) => eventually(path, () => exists(path), 60_000)

test('agent-in-tmp.conf: an agent in /tmp, also one that comes later', async () => {
  const tmp = { identities: { default: { workload_api: 'unix:///tmp/spire-agent/public/agent.sock' } } }
  const agentComes = async () => {
    // There at once, with its socket.
    await machine.done('mkdir', '--parents', '/tmp/coming/public')
    await machine.done('mount', '--bind', '/run/spire/sockets', '/tmp/coming/public')
    await machine.done('mv', '/tmp/coming', '/tmp/spire-agent')
  }
  await agentComes()
  await start(tmp)
  await says(/agent\.sock: no such file/)
  await machine.done('umount', '/tmp/spire-agent/public')
  await machine.done('rm', '--recursive', '/tmp/spire-agent')
  await machine.dropIn('agent-in-tmp.conf')
  await start(tmp)
  await eventually('it is tried again', async () => Number(await machine.property('NRestarts')) > 0, 60_000)
  await agentComes()
  await machine.ready()
})

test('files-in-run.conf: the files of docs/files.md', async () => {
  const files = [
    { x509: { directory: '/run/svid', certificate: 'svid.pem', key: 'svid_key.pem', bundle: 'bundle.pem', combined: 'all.pem' } },
    { jwt: { audience: ['sts.amazonaws.com'], path: '/run/svid-jwt/aws.jwt' } },
    { jwt_bundle: { path: '/run/svid-jwt/jwks.json' } },
  ]
  await start({ files })
  await says(/output\.failed.*cannot write \/run\/svid.*permission denied/)
  await machine.dropIn('files-in-run.conf')
  await start({ files })
  for (const path of ['/run/svid/svid.pem', '/run/svid/svid_key.pem', '/run/svid-jwt/aws.jwt', '/run/svid-jwt/jwks.json']) await appears(path)
  // Its own directory is still the one that applications know.
  await machine.ready()
  assert.ok(await exists('/run/svidecar/app.token'))
})

test('files-elsewhere.conf: files in another place', async () => {
  const files = [{ x509: { directory: '/var/lib/app/tls', combined: 'all.pem' } }]
  await machine.done('install', '--directory', '--owner=svidecar', '--group=app', '--mode=0750', '/var/lib/app/tls')
  await start({ files })
  await says(/output\.failed.*\/var\/lib\/app\/tls.*read-only file system/i)
  await machine.dropIn('files-elsewhere.conf')
  await start({ files })
  await appears('/var/lib/app/tls/all.pem')
})

test('shared-credentials-file.conf: a section in the credentials file of a user', async () => {
  const files = [{ credentials: { profile: 'app', path: '~/.aws/credentials', section: 'app' } }]
  await machine.done('install', '--directory', '--owner=app', '--group=app', '/home/app', '/home/app/.aws')
  const file = '/etc/svidecar/app.yaml'
  await machine.dropIn('shared-credentials-file.conf', (text) => text.replaceAll(/^(ProtectHome|BindPaths)=.*$/gm, ''))
  await start({ files }, 'svidecar@app', file)
  await says(/output\.failed.*\/home\/app\/\.aws/, 'svidecar@app')
  await machine.dropIn('shared-credentials-file.conf')
  await start({ files }, 'svidecar@app', file)
  await eventually(
    'the section',
    async () => /^\[app\]\naws_access_key_id *= *ASIA/m.test((await machine.inside(['cat', '/home/app/.aws/credentials'])).stdout),
    60_000,
  )
  assert.equal(await machine.done('stat', '--format=%U %a', '/home/app/.aws/credentials'), 'app 600\n')
  await machine.done('systemctl', 'stop', 'svidecar@app')
})

test('give-away.conf: tokens and files that belong to another user', async () => {
  const more = {
    consumers: { app: { profiles: ['app'], owner: 'app', group: 'app', mode: '0400' } },
    files: [{ x509: { directory: '/run/svidecar/tls', combined: 'all.pem', owner: 'app' } }],
  }
  await start(more)
  await says(/needs CAP_CHOWN|EPERM|not permitted/)
  await machine.dropIn('give-away.conf')
  await start(more)
  await machine.ready()
  await machine.done('systemctl', 'reload', 'svidecar')
  assert.equal(await machine.done('stat', '--format=%U:%G %a', '/run/svidecar/app.token', '/run/svidecar/app.sock'), 'app:app 400\napp:app 600\n')
  assert.equal(await machine.done('stat', '--dereference', '--format=%U', '/run/svidecar/tls/all.pem'), 'app\n')
  assert.doesNotMatch((await machine.journal()).slice(since), /cannot set the rights/)
})

test('signal-others.conf: a hook that signals a process of another user', async () => {
  await machine.write(
    '/etc/systemd/system/victim.service',
    `[Service]\nUser=app\nRuntimeDirectory=victim\nExecStart=/bin/sh -c 'trap "touch /run/victim/told" HUP; echo $$$$ >/run/victim/pid; while :; do sleep 0.1; done'\n`,
  )
  await machine.done('systemctl', 'daemon-reload')
  await machine.done('systemctl', 'start', 'victim')
  await appears('/run/victim/pid')
  const hooks = [{ on: ['credentials'], signal: { pid_file: '/run/victim/pid', name: 'SIGHUP' } }]
  // A signal is tried for a minute before a failure is told of, a command once.
  await start({ hooks: [{ on: ['credentials'], run: ['/bin/sh', '-c', 'kill -HUP $(cat /run/victim/pid)'] }] })
  await says(/Operation not permitted/)
  assert.ok(!(await exists('/run/victim/told')))
  await machine.dropIn('signal-others.conf')
  await start({ hooks })
  await appears('/run/victim/told')
})

test('child.conf: a child that needs memory, netlink and a priority of its own', async () => {
  const hooks = [{ on: ['credentials'], child: { command: ['/usr/local/lib/child', '/run/svidecar/child'] } }]
  await start({ hooks })
  await says(/child: cannot open a netlink socket/)
  await machine.dropIn('child.conf', (text) => text.replaceAll(/^Memory.*$/gm, ''))
  await start({ hooks })
  await says(/its process ended with killed by SIGKILL/)
  await machine.dropIn('child.conf')
  await start({ hooks })
  await appears('/run/svidecar/child')
})

test('root-only-config.conf: a configuration that only root may read', async () => {
  await machine.write(configFile, configuration(machine.world, ports), '0600')
  since = (await machine.journal()).length
  assert.notEqual((await machine.inside(['systemctl', 'restart', 'svidecar'])).status, 0)
  await says(/cannot read the configuration \/etc\/svidecar\/config\.yaml/)
  await machine.dropIn('root-only-config.conf')
  await machine.done('systemctl', 'restart', 'svidecar')
  await machine.ready()
  const { status, stderr } = await machine.inside(['systemctl', 'reload', 'svidecar'])
  assert.deepEqual([status, /not applicable/.test(stderr)], [3, true], stderr)
})

test('keep-directory.conf: who mounts /run/svidecar sees it after a stop and a start', async () => {
  await start({})
  await machine.ready()
  const inode = () => machine.done('stat', '--format=%i', '/run/svidecar')
  const place = await machine.dropIn('keep-directory.conf')
  const [before, token] = [await inode(), await machine.done('cat', '/run/svidecar/app.token')]
  await start({})
  await machine.ready()
  assert.deepEqual([await inode(), await machine.done('cat', '/run/svidecar/app.token')], [before, token])
  await machine.remove(place)
  await start({})
  await machine.ready()
  await machine.done('systemctl', 'stop', 'svidecar')
  assert.ok(!(await exists('/run/svidecar')))
})

test('svidecar-reload.path: another service is reloaded when its certificate was replaced', async () => {
  await machine.write('/etc/systemd/system/nginx.service', '[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/sh -c "date +%%N >>/run/reloaded"\n')
  for (const name of ['svidecar-reload.path', 'svidecar-reload.service'])
    await machine.write(`/etc/systemd/system/${name}`, await readFile(join(checkout, 'deploy/systemd/examples', name), 'utf8'))
  await machine.dropIn('files-in-run.conf')
  await start({ files: [{ x509: { directory: '/run/svid', combined: 'all.pem' } }] })
  await appears('/run/svid/all.pem')
  await machine.done('systemctl', 'start', 'nginx', 'svidecar-reload.path')
  const reloads = async () => (await machine.inside(['cat', '/run/reloaded'])).stdout.split('\n').length
  const before = await reloads()
  await machine.world.agent.rotateNow()
  await eventually('a reload', async () => (await reloads()) > before, 60_000)
})

test('dynamic-user.conf: no user in /etc/passwd, and readers of a group all the same', async () => {
  await machine.done('systemctl', 'stop', 'svidecar')
  await machine.done('userdel', 'svidecar')
  const consumers = { app: { profiles: ['app'], group: 'app' } }
  await start({ consumers })
  await says(/status=217\/USER/)
  const readable = async () => (await machine.as('app', ['cat', '/run/svidecar/app.token'])).status
  await machine.dropIn('dynamic-user.conf', (text) => text.replace('Preserve=no', 'Preserve=restart'))
  await start({ consumers })
  await machine.ready()
  assert.equal(await readable(), 1)
  await machine.dropIn('dynamic-user.conf')
  await start({ consumers })
  await machine.ready()
  assert.equal(await readable(), 0)
})
