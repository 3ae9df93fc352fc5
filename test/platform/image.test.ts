// The image: the Dockerfile is really executed, and what comes of it runs as a container with nothing but what it needs.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { after, before, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { runtimeBase } from './base-images.ts'
import { containersIn, images, leaveContainers, provideImages, version } from './images.ts'
import { configuration, folder, freePorts, launch, must, need, node, openWorld, type Ports, probe, removeCgroups, run } from './machine.ts'

const image = images.svidecar
const executable = '/usr/bin/svidecar'
const cgroups = `svidecar-image-${process.pid}`

/** All that a cluster could take away from it. */
const confined = [
  '--network=host',
  '--read-only',
  '--read-only-tmpfs=false',
  '--cap-drop=all',
  '--security-opt=no-new-privileges',
  // Its timer would be systemd's.
  '--health-interval=disable',
  `--cgroup-parent=/${cgroups}`,
]

const space = await folder('image')
const env = await containersIn(space.path)

before(async () => {
  need({ buildah: 'buildah', podman: 'podman', runc: 'runc', npm: 'npm', ldd: 'libc-bin' })
  await provideImages(space.path, env)
})

after(async () => {
  await leaveContainers(space.path, env)
  await removeCgroups(cgroups)
  await space.remove()
})

/** What files an image has, and the folder that holds them. */
async function files(name: string): Promise<{ root: string; paths: string[] }> {
  const container = (await must(['buildah', 'from', '--pull-never', name], { env })).trim()
  const root = (await must(['buildah', 'mount', container], { env })).trim()
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => !entry.isDirectory()).map((entry) => join('/', relative(root, entry.parentPath), entry.name))
  return { root, paths }
}

test('the image says who it runs as, what it starts and how its health is asked', async () => {
  const [inspected] = JSON.parse(await must(['podman', 'image', 'inspect', image], { env })) as [
    { User: string; Config: Record<string, unknown>; Labels: Record<string, string>; Healthcheck: { Test: string[] } },
  ]
  const { Config: config, Labels: labels } = inspected
  assert.equal(inspected.User, '65532:65532')
  assert.deepEqual(config['Entrypoint'], [executable])
  assert.deepEqual(config['Cmd'], ['run'])
  assert.deepEqual(config['Volumes'], { '/run/svidecar': {} })
  assert.deepEqual(inspected.Healthcheck.Test, ['CMD', executable, 'healthcheck'])
  assert.equal(labels['org.opencontainers.image.version'], version)
  assert.equal(labels['org.opencontainers.image.licenses'], 'Apache-2.0')
})

test('the image has nothing that its base has not, but the executable, its licences and its bill of materials; no shell', async () => {
  await runtimeBase(space.path, 'localhost/bare', env)
  const [{ root, paths }, below] = await Promise.all([files(image), files('localhost/bare')])
  const added = paths.filter((path) => !below.paths.includes(path)).sort()
  const documents = ['LICENSE', 'LICENSE-of-node.txt', 'LICENSES-of-libraries.txt', 'svidecar.cdx.json'].map((name) => `/usr/share/doc/svidecar/${name}`)
  assert.deepEqual(added, [executable, ...documents])
  assert.deepEqual(
    paths.filter((path) => /\/(ba|da|a|z)?sh$|busybox|\/(node|npm)$/.test(path)),
    [],
  )
  const facts = async (path: string) => {
    const { uid, gid, mode } = await stat(join(root, path))
    return `${uid}:${gid} ${(mode & 0o7777).toString(8)}`
  }
  assert.equal(await facts(executable), '0:0 755')
  assert.equal(await facts('/run/svidecar'), '65532:65532 755')
  assert.equal(await facts('/run'), '0:0 755')
})

/** Starts a container in the foreground; resolves with its first process when there is one. */
async function start(name: string, options: readonly string[], command: readonly string[] = []) {
  const foreground = launch(['podman', 'run', '--rm', '--name', name, ...confined, ...options, image, ...command], env)
  const pid = await eventually(`container ${name} runs`, async () => {
    foreground.check()
    return Number((await run(['podman', 'inspect', '--format', '{{.State.Pid}}', name], { env })).stdout)
  })
  return { ...foreground, pid }
}

/** The listening TCP sockets of a process. */
function listening(pid: number): string[] {
  const sockets = readdirSync(`/proc/${pid}/fd`).map((fd) => /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1])
  return readFileSync(`/proc/${pid}/net/tcp`, 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((column) => column[3] === '0A' && sockets.includes(column[9]))
    .map((column) => column[1] ?? '')
    .sort()
}

test('confined to a read-only root it serves credentials, tells its health, opens no inspector, and ends in a second', async (t) => {
  const world = await openWorld(space.path)
  t.after(() => world.stop())
  const [credentials = 0, metrics = 0] = await freePorts(2)
  const ports: Ports = { credentials, metrics }
  await world.aws.closeIssuing()
  const container = await start('svidecar', [`--volume=${world.sockets}:/run/spire/sockets:ro`, `--env=SVIDECAR_CONFIG_YAML=${configuration(world, ports)}`])
  const healthy = async () => (await run(['podman', 'healthcheck', 'run', 'svidecar'], { env })).status === 0
  await eventually('the daemon lives', async () => (await probe(metrics, '/livez')) === 200)
  assert.equal(await probe(metrics, '/readyz'), 503)
  assert.equal(await healthy(), false)
  await world.aws.openIssuing()
  await eventually('the daemon is ready', async () => (await probe(metrics, '/readyz')) === 200)
  assert.equal(await healthy(), true)

  const status = await readFile(`/proc/${container.pid}/status`, 'utf8')
  assert.match(status, /^Uid:\t65532\t65532\t65532\t65532$/m)
  assert.match(status, /^CapEff:\t0+$/m)
  const token = await readFile(`/proc/${container.pid}/root/run/svidecar/app.token`, 'utf8')
  const reply = await fetch(`http://127.0.0.1:${credentials}/v1/credentials`, { headers: { authorization: token, connection: 'close' } })
  assert.equal(reply.status, 200)
  assert.match(((await reply.json()) as { AccessKeyId: string }).AccessKeyId, /^ASIA/)

  // A plain Node.js opens its inspector at that signal: by it the wait is long enough, and the look a look.
  const plain = launch([node, '--inspect-port=127.0.0.1:0', '-e', 'setInterval(() => {}, 1000); console.log("started")'])
  await eventually('a plain Node.js has started', () => plain.said() === 'started\n')
  const before = listening(container.pid)
  assert.equal(before.length, 2)
  process.kill(container.pid, 'SIGUSR1')
  await eventually('a plain Node.js opens its inspector', () => {
    process.kill(plain.pid, 'SIGUSR1')
    return listening(plain.pid).length === 1
  })
  assert.deepEqual(listening(container.pid), before)
  assert.equal(await probe(metrics, '/readyz'), 200)
  plain.kill('SIGKILL')
  await plain.ended

  const begun = performance.now()
  process.kill(container.pid, 'SIGTERM')
  await eventually('the process has ended', () => !alive(container.pid), 5_000)
  const tookMs = performance.now() - begun
  assert.equal(await container.ended, 0, container.said())
  assert.ok(tookMs < 1000, `it took ${tookMs} ms`)
})

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
