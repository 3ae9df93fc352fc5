// SPIRE as deploy/spire has it for a machine, on a machine that the real systemd has booted: nothing of its files is replaced but a digest.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { checkout, executable, folder, launch, need, node, type Outcome, type Running, removeCgroups, run } from './machine.ts'

const bin = execFileSync(join(checkout, 'test/spire/testbed/build'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
const [server, agent] = [join(bin, 'spire-server'), join(bin, 'spire-agent')]
const cgroups = `svidecar-spire-${process.pid}`
const space = await folder('systemd-spire')
let machine: Running
/** The machine's first process, as this machine numbers it. */
let init = 0

/** Runs a command on that machine, as root. */
const inside = (command: readonly string[]): Promise<Outcome> =>
  run(['nsenter', `--target=${init}`, '--mount', '--pid', '--ipc', '--uts', '--net', '--cgroup', '--root', ...command], {
    env: { ...process.env, SPIRE_SERVER_PRIVATE_SOCKET: '/run/spire/server/api.sock' },
  })
async function done(...command: string[]): Promise<string> {
  const { status, stdout, stderr } = await inside(command)
  assert.equal(status, 0, `${command.join(' ')}: ${stdout}${stderr}`)
  return stdout
}
const healthy = (what: string, ...command: string[]) => eventually(what, async () => (await inside(command)).status === 0, 30_000)

before(async () => {
  need({ unshare: 'util-linux', nsenter: 'util-linux', ip: 'iproute2', 'dbus-daemon': 'dbus' })
  const program = await executable()
  const files = {
    '/usr/bin/svidecar': program,
    '/usr/lib/sysusers.d/svidecar.conf': 'deploy/systemd/sysusers.conf',
    '/etc/spire/server/server.conf': 'deploy/spire/server-oidc.conf',
    '/etc/spire/agent/agent.conf': 'deploy/spire/agent.conf',
  }
  const laid = join(space.path, 'files')
  for (const [to, from] of Object.entries(files)) {
    await mkdir(dirname(join(laid, to)), { recursive: true })
    await copyFile(join(from.startsWith('/') ? '/' : checkout, from), join(laid, to))
  }
  await writeFile(join(laid, 'usr/lib/sysusers.d/svidecar-batch.conf'), 'u svidecar-batch -\n')
  for (const own of ['server', 'agent']) await mkdir(join(laid, 'var/lib/spire', own), { recursive: true })
  await writeFile(join(laid, 'etc/hosts'), '127.0.0.1 localhost spire-server.example.org\n')
  const entries = await readFile(join(checkout, 'deploy/spire/entries.json'), 'utf8')
  await writeFile(join(laid, 'etc/spire/entries.json'), entries.replace(/0{64}/, hash('sha256', await readFile(program))))
  for (const name of ['machine', 'sockets']) await mkdir(join(space.path, name))

  const boot = [join(checkout, 'test/platform/systemd/boot'), cgroups, join(space.path, 'machine'), laid, node, join(space.path, 'sockets')]
  // A network of its own, in which the ports are free.
  machine = launch(['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', ...boot])
  await eventually(
    'the machine is up',
    async () => {
      machine.check()
      init = Number((await readFile(`/proc/${machine.pid}/task/${machine.pid}/children`, 'utf8')).trim())
      return (await inside(['systemctl', 'is-system-running'])).stdout === 'running\n'
    },
    60_000,
  )
  await done('systemd-sysusers')
  await done('systemd-run', '--unit=spire-server', server, 'run', '-config', '/etc/spire/server/server.conf')
  await healthy('the server is up', server, 'healthcheck')
  await done('sh', '-c', `${server} bundle show > /etc/spire/agent/bootstrap.pem`)
  const [, token = ''] = /^Token: (\S+)$/m.exec(await done(server, 'token', 'generate', '-spiffeID', 'spiffe://example.org/node/web1')) ?? []
  await done('systemd-run', '--unit=spire-agent', agent, 'run', '-config', '/etc/spire/agent/agent.conf', '-joinToken', token)
  await healthy('the agent is up', agent, 'healthcheck', '-socketPath', '/run/spire/sockets/agent.sock')
  await done(server, 'entry', 'create', '-data', '/etc/spire/entries.json')
})

after(async () => {
  machine?.kill('SIGKILL')
  await machine?.ended
  await removeCgroups(cgroups)
  await space.remove()
})

/** What svidecar gets as a unit of that name, run by that user: SPIFFE IDs, or why there are none. */
async function identities(unit: string, user: string): Promise<readonly string[] | string> {
  const service = ['systemd-run', '--quiet', '--wait', '--pipe', '--collect', `--unit=${unit}`, `--uid=${user}`]
  const command = ['/usr/bin/svidecar', 'svid', '--socket', 'unix:///run/spire/sockets/agent.sock', '--output', 'json']
  const { status, stdout, stderr } = await inside([...service, ...command])
  return status === 0 ? (JSON.parse(stdout) as { svids: { spiffeId: string }[] }).svids.map(({ spiffeId }) => spiffeId) : stderr
}

const gets = (unit: string, user: string, ids: readonly string[]) =>
  eventually(
    `${unit} has its identity`,
    async () => {
      assert.deepEqual(await identities(unit, user), ids)
      return true
    },
    30_000,
  )

test('svidecar run by its own user has the identity of its user, path and digest', async () => {
  await gets('svidecar.service', 'svidecar', ['spiffe://example.org/service/web'])
})

test('the unit of a job, run by its user, has the identity of the job', async () => {
  await gets('svidecar@batch.service', 'svidecar-batch', ['spiffe://example.org/service/batch'])
})

test('neighbours do not get each other: the unit needs its user, and the user its unit', async () => {
  await gets('svidecar@batch.service', 'svidecar', ['spiffe://example.org/service/web'])
  assert.match(String(await identities('svidecar.service', 'svidecar-batch')), /no identity issued/)
  assert.match(String(await identities('svidecar@batch.service', 'nobody')), /no identity issued/)
})

test('another unit, run by another user, has none', async () => {
  assert.match(String(await identities('svidecar@other.service', 'nobody')), /no identity issued/)
})
