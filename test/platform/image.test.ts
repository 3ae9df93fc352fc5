// The image: the Dockerfile is really executed, and what comes of it runs as a container with nothing but what it needs.
import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { after, before, test } from 'node:test'
import { build } from 'esbuild'
import { eventually } from '../support/eventually.ts'
import { buildBase, commit, install, runtimeBase } from './base-images.ts'
import { bringPort } from './image/loopback.ts'
import { containersIn, images, leaveContainers, provideImages, version } from './images.ts'
import { checkout, configuration, folder, freePorts, launch, must, need, node, openWorld, type Ports, probe, removeCgroups, run } from './machine.ts'

const image = images.svidecar
const executable = '/usr/bin/svidecar'
const cgroups = `svidecar-image-${process.pid}`

/** All that a cluster could take away from it. */
const confined = [
  '--read-only',
  '--read-only-tmpfs=false',
  '--cap-drop=all',
  '--security-opt=no-new-privileges',
  // Its timer would be systemd's.
  '--health-interval=disable',
  `--cgroup-parent=/${cgroups}`,
]

const space = await folder('image')
const own = (name: string) => join(space.path, name)
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

test('its bill of materials has Node.js and every library that it is made from, and nothing that only builds it', async () => {
  const { root } = await files(image)
  const bill = JSON.parse(await readFile(join(root, 'usr/share/doc/svidecar/svidecar.cdx.json'), 'utf8')) as {
    bomFormat: string
    metadata: { component: { name: string; version: string } }
    components: { name: string; version: string }[]
  }
  const { name, version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as { name: string; version: string }
  assert.equal(bill.bomFormat, 'CycloneDX')
  assert.deepEqual([bill.metadata.component.name, bill.metadata.component.version], [name, version])
  const listed = bill.components.map((one) => `${one.name} ${one.version}`)
  assert.ok(listed.includes(`node ${process.version.slice(1)}`))
  const lock = JSON.parse(await readFile(join(checkout, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; dev?: boolean; link?: boolean }>
  }
  const locked = Object.entries(lock.packages).filter(([path, { dev, link }]) => path.startsWith('node_modules/') && dev !== true && link !== true)
  assert.deepEqual(
    listed.filter((one) => !one.startsWith('node ')).sort(),
    [...new Set(locked.map(([path, { version }]) => `${path.split('node_modules/').at(-1)} ${version}`))].sort(),
  )
})

test('every base comes from an argument, and one that a digest does not pin is refused', async () => {
  const text = await readFile(join(checkout, 'Dockerfile'), 'utf8')
  const stages = [...text.matchAll(/^FROM .* AS (\S+)$/gm)].map(([, name]) => name)
  const bases = [...text.matchAll(/^FROM (?:--platform=\S+ )?(\S+)/gm)].map(([, base = '']) => base)
  assert.deepEqual(
    bases.filter((base) => !stages.includes(base)),
    ['${BUILD_IMAGE}', '${RUNTIME_IMAGE}'],
  )
  assert.doesNotMatch(text, /^ARG (BUILD|RUNTIME)_IMAGE=/m)
  await buildBase(space.path, 'localhost/tagged', env)
  const building = ['buildah', 'build', '--isolation=chroot', '--pull-never']
  const none = await run([...building, checkout], { env })
  assert.notEqual(none.status, 0)
  const arguments_ = ['--build-arg=BUILD_IMAGE=localhost/tagged', '--build-arg=RUNTIME_IMAGE=localhost/bare']
  const tagged = await run([...building, ...arguments_, checkout], { env })
  assert.notEqual(tagged.status, 0)
  assert.match(tagged.stderr, /localhost\/tagged is not pinned by a digest/)
})

/** Starts a container in the foreground; resolves with its first process when there is one. */
async function start(name: string, options: readonly string[], image: string, command: readonly string[] = []) {
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
  const world = await openWorld(own('confined'))
  t.after(() => world.stop())
  const [credentials = 0, metrics = 0] = await freePorts(2)
  const ports: Ports = { credentials, metrics }
  await world.aws.closeIssuing()
  const options = ['--network=host', `--volume=${world.sockets}:/run/spire/sockets:ro`, `--env=SVIDECAR_CONFIG_YAML=${configuration(world, ports)}`]
  const container = await start('svidecar', options, image)
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

  await ends(container)
})

/** Ends it by SIGTERM, as every platform does. */
async function ends(container: { pid: number; ended: Promise<number>; said(): string }): Promise<void> {
  const begun = performance.now()
  process.kill(container.pid, 'SIGTERM')
  await eventually('the process has ended', () => !alive(container.pid), 5_000)
  const tookMs = performance.now() - begun
  assert.equal(await container.ended, 0, container.said())
  assert.ok(tookMs < 1000, `it took ${tookMs} ms`)
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** An image of an application of another user, with a real SDK and no knowledge of svidecar. */
async function application(): Promise<string> {
  const entryPoints = [join(import.meta.dirname, 'image/application-child.ts')]
  const root = own('application')
  await install(root, node, '/node')
  // The SDK is in CommonJS and asks for Node's modules as such.
  const banner = { js: "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)" }
  await build({ entryPoints, outfile: join(root, 'application.mjs'), bundle: true, platform: 'node', format: 'esm', banner, logLevel: 'warning' })
  await commit(root, 'localhost/application', 'USER 1000:1000\nENTRYPOINT ["/node", "/application.mjs"]\n', env)
  return 'localhost/application'
}

test('an application in the same network has credentials that rotate, by its environment and a file, and no other network has them', async (t) => {
  const world = await openWorld(own('beside'), 8)
  t.after(() => world.stop())
  const ports = { credentials: 9912, metrics: 9913 }
  const config = `--env=SVIDECAR_CONFIG_YAML=${configuration(world, ports)}`
  const sidecar = await start('sidecar', ['--network=none', `--volume=${world.sockets}:/run/spire/sockets:ro`, config], image)
  for (const [name, url] of [
    ['issuing', world.aws.issuingUrl],
    ['checking', world.aws.checkingUrl],
  ] as const) {
    const brought = await bringPort(sidecar.pid, url, own(`${name}.sock`))
    t.after(() => brought.close())
  }
  await eventually('the sidecar is ready', async () => (await run(['podman', 'exec', 'sidecar', executable, 'healthcheck'], { env })).status === 0, 20_000)
  const variables = {
    AWS_REGION: 'us-east-1',
    AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:9912/v1/credentials',
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/run/svidecar/app.token',
    AWS_ENDPOINT_URL_STS: world.aws.checkingUrl,
  }
  const environment = Object.entries(variables).map(([name, value]) => `--env=${name}=${value}`)
  // The group is the token's. The volume is the one that the image declares.
  const app = await start('app', ['--network=container:sidecar', '--volumes-from=sidecar:ro', '--group-add=65532', ...environment], await application())
  const calls = () =>
    app
      .said()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as { arn?: string; key?: string; error?: string })
  await eventually('three keys were used', () => new Set(calls().map(({ key }) => key)).size >= 3, 40_000)
  for (const { arn, error } of calls()) assert.match(arn ?? '', /^arn:aws:sts::\d+:assumed-role\/web\//, error)
  assert.match(await readFile(`/proc/${app.pid}/status`, 'utf8'), /^Uid:\t1000\t/m)
  await assert.rejects(probe(9913, '/readyz'), 'there is nothing at this port of the machine')
  process.kill(app.pid, 'SIGKILL')
  await app.ended
  await ends(sidecar)
})

test('the drop-in takes the file and the arguments of spiffe-helper from where its image had them, writes, tells its health, and ends in a second', async (t) => {
  const [inspected] = JSON.parse(await must(['podman', 'image', 'inspect', images.helper], { env })) as [{ User: string; Config: Record<string, unknown> }]
  assert.equal(inspected.User, '65532:65532')
  assert.deepEqual(inspected.Config['Entrypoint'], ['/spiffe-helper'])
  assert.equal(inspected.Config['Cmd'] ?? null, null)
  const world = await openWorld(own('helper'))
  t.after(() => world.stop())
  const [health = 0] = await freePorts(1)
  const [config, certs] = [own('config'), own('certs')]
  for (const path of [config, certs]) await mkdir(path)
  // As a volume of a pod is that its fsGroup may write to.
  await chmod(certs, 0o777)
  await writeFile(
    join(config, 'helper.conf'),
    `agent_address = "/run/spire/sockets/agent.sock"
cert_dir = "/certs"
svid_file_name = "svid.pem"
svid_key_file_name = "key.pem"
svid_bundle_file_name = "bundle.pem"
jwt_svids = [{ jwt_audience = "vault", jwt_svid_file_name = "vault.jwt" }]
health_checks {
  listener_enabled = true
  bind_port = ${health}
}
`,
  )
  const volumes = [`--volume=${world.sockets}:/run/spire/sockets:ro`, `--volume=${config}:/config:ro`, `--volume=${certs}:/certs`]
  const container = await start('helper', ['--network=host', ...volumes], images.helper, ['-config', 'config/helper.conf'])
  const ready = async () => (await fetch(`http://127.0.0.1:${health}/ready`, { headers: { connection: 'close' } })).status === 200
  await eventually('it is ready', ready)
  const written = new X509Certificate(await readFile(join(certs, 'svid.pem')))
  assert.match(written.subjectAltName ?? '', new RegExp(`URI:${world.spiffeId}$`))
  assert.ok(written.checkPrivateKey(createPrivateKey(await readFile(join(certs, 'key.pem')))))
  assert.match(await readFile(join(certs, 'vault.jwt'), 'utf8'), /^[\w-]+\.[\w-]+\.[\w-]+$/)
  assert.equal(readlinkSync(`/proc/${container.pid}/exe`), executable)
  await ends(container)

  const once = ['podman', 'run', '--rm', ...confined, '--network=host', ...volumes, images.helper, '-config', 'config/helper.conf', '-daemon-mode=false']
  assert.equal((await run(once, { env })).status, 0)
})
