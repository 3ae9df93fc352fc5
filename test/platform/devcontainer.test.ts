// The dev container feature: the real tool installs and starts it, with a real SPIRE agent as the ordinary user, and it survives what a laptop does to it.
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { parse } from 'yaml'
import { systemClock } from '../../src/core/clock.ts'
import { type Spire, startSpire } from '../spire/spire.ts'
import { type DevAws, startDevAws } from '../support/dev/aws.ts'
import { eventually } from '../support/eventually.ts'
import { mintAt } from '../support/world/aws-account.ts'
import { arns } from '../support/world/world.ts'
import { feature, openTool, type Tool, user } from './devcontainer/tool.ts'
import { leaveContainers } from './images.ts'
import { checkout, executable, folder, freePorts, must, need, probe, removeCgroups, run } from './machine.ts'

/** Lives of what is issued here: shorter than the suspend below. */
const shortSeconds = 20
const cgroups = `svidecar-devcontainer-${process.pid}`
const space = await folder('devcontainer')
let spireBinaries = ''
let spire: Spire
let aws: DevAws
let tool: Tool
let ports = { credentials: 0, metrics: 0 }
let joinToken = ''

before(async () => {
  // In memory, where layers can be laid over each other: where they are copied instead, an image of sixteen steps takes a minute.
  await must(['mount', '-t', 'tmpfs', '-o', 'size=4g,mode=755', 'tmpfs', space.path])
  need({ podman: 'podman', buildah: 'buildah', runc: 'runc', flock: 'util-linux', setsid: 'util-linux', curl: 'curl', shellcheck: 'shellcheck' })
  spireBinaries = (await must([join(checkout, 'test/spire/testbed/build')], { timeoutMs: 30 * 60_000 })).trim()
  const [credentials = 0, metrics = 0] = await freePorts(2)
  ports = { credentials, metrics }
  spire = await startSpire(spireBinaries, { authority: 'self-signed' })
  const spiffeId = 'spiffe://example.org/dev/alice'
  const node = 'spiffe://example.org/laptop/alice'
  joinToken = ((await spire.server('token', 'generate', '-spiffeID', node)) as { value: string }).value
  const selectors = ['-selector=unix:path:/usr/local/bin/svidecar', '-selector=unix:uid:1000']
  await spire.server('entry', 'create', `-parentID=${node}`, `-spiffeID=${spiffeId}`, ...selectors, `-x509SVIDTTL=${shortSeconds}`, '-dns=alice')
  const bundle = await must([join(spireBinaries, 'spire-server'), 'bundle', 'show', '-socketPath', spire.socket])
  aws = await startDevAws({
    clock: systemClock,
    trustAnchors: [{ arn: arns.trustAnchor, roots: () => [new X509Certificate(bundle).raw] }],
    profiles: [{ arn: arns.profile, roleArns: [arns.role] }],
    oidcProviders: [],
    roles: [{ roleArn: arns.role, spiffeIds: [spiffeId] }],
    mint: async () => mintAt(Date.now() + shortSeconds * 1000),
  })
  tool = await openTool(space.path, cgroups, join(spireBinaries, 'spire-agent'))
  await prepareWorkspace(bundle)
})

after(async () => {
  if (tool !== undefined) await leaveContainers(space.path, tool.env)
  await aws?.stop()
  await spire?.close()
  await removeCgroups(cgroups)
  await run(['umount', '--lazy', space.path])
  await space.remove()
})

/** What a user changes in the example: names, addresses and ARNs. */
async function prepareWorkspace(bundle: string): Promise<void> {
  const own = (name: string) => join(tool.workspace, '.devcontainer', name)
  const [, port = ''] = /bind_port = "(\d+)"/.exec(await readFile(join(spire.folder, 'server.conf'), 'utf8')) ?? []
  const agent = (await readFile(own('spire-agent.conf'), 'utf8')).replace('spire.example.org', '127.0.0.1').replace('"8081"', `"${port}"`)
  await writeFile(own('spire-agent.conf'), agent)
  await writeFile(own('spire-bundle.pem'), bundle)
  const config = parse(await readFile(own('svidecar.yaml'), 'utf8')) as { profiles: { dev: object }; [more: string]: unknown }
  const roles = { trust_anchor_arn: arns.trustAnchor, profile_arn: arns.profile, role_arn: arns.role }
  Object.assign(config.profiles.dev, { endpoint: aws.issuingUrl, roles_anywhere: roles })
  Object.assign(config, { container_endpoint: { listen: `127.0.0.1:${ports.credentials}` }, metrics_endpoint: { listen: `127.0.0.1:${ports.metrics}` } })
  await writeFile(own('svidecar.yaml'), JSON.stringify(config))
  // The shipped port is the host's here, and may be somebody's.
  const metadata = own('svidecar/devcontainer-feature.json')
  await writeFile(metadata, (await readFile(metadata, 'utf8')).replace('127.0.0.1:9912', `127.0.0.1:${ports.credentials}`))
}

const up = async () => {
  const { status, stdout, stderr } = await tool.devcontainer(['up', '--buildkit=never', '--update-remote-user-uid-default=off'], {
    SPIRE_JOIN_TOKEN: joinToken,
  })
  assert.equal(status, 0, stderr.slice(-4000))
  assert.match(stdout, /"outcome":"success"/)
}
const ready = () => eventually('credentials', async () => (await probe(ports.metrics, '/readyz')) === 200, 90_000)
const processes = async () => (await tool.inside(['ps', '-u', user, '-o', 'pid=,args='], 'root')).stdout.trim().split('\n')
const id = async () => (await must(['podman', 'ps', '--quiet'], { env: tool.env })).trim().split('\n')
const log = async () => (await tool.inside(['cat', `/home/${user}/.local/state/svidecar/log`])).stdout

/** What a terminal in the editor does. */
const callAws = async () => {
  const script = `echo identity | AWS_ENDPOINT_URL_STS=${aws.checkingUrl} node client.mjs`
  const { stdout, stderr } = await tool.devcontainer(['exec', 'sh', '-c', script])
  assert.match(stdout, /"arn":"arn:aws:sts::\d+:assumed-role\//, stderr)
}

/** What the endpoint answers now, to its user. */
async function answer(): Promise<{ status: number; expiration: number }> {
  const script =
    'curl --silent --write-out " %{http_code}" --header "authorization: $(cat $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)" $AWS_CONTAINER_CREDENTIALS_FULL_URI'
  const { stdout } = await tool.inside(['sh', '-c', script])
  const [, body = '', status = ''] = /^(.*) (\d+)$/s.exec(stdout) ?? []
  return { status: Number(status), expiration: status === '200' ? Date.parse((JSON.parse(body) as { Expiration: string }).Expiration) : 0 }
}

test('the metadata has what the specification asks for, and options that the script reads', async () => {
  const metadata = JSON.parse(await readFile(join(feature, 'devcontainer-feature.json'), 'utf8')) as Record<string, unknown> & {
    options: Record<string, object>
  }
  const known = ['id', 'version', 'name', 'description', 'options', 'containerEnv', 'postStartCommand', 'postAttachCommand']
  assert.deepEqual(Object.keys(metadata), known)
  assert.match(String(metadata['version']), /^\d+\.\d+\.\d+$/)
  const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as { version: string }
  assert.deepEqual([metadata['id'], metadata['version']], ['svidecar', version])
  const script = await readFile(join(feature, 'install.sh'), 'utf8')
  for (const option of Object.keys(metadata.options)) assert.ok(script.includes(`\${${option.toUpperCase()}:-}`), option)
  for (const file of ['install.sh', 'svidecar-devcontainer']) await must(['shellcheck', join(feature, file)])
  // The tool's own packaging reads it, too.
  const packed = await run([
    process.execPath,
    join(checkout, 'node_modules/@devcontainers/cli/devcontainer.js'),
    'features',
    'package',
    feature,
    '--output-folder',
    join(space.path, 'packed'),
  ])
  assert.equal(packed.status, 0, packed.stderr)
  assert.ok((await readdir(join(space.path, 'packed'))).includes('devcontainer-feature-svidecar.tgz'))
})

test('install.sh takes executables by address and digest, or beside itself, and nothing else', async () => {
  const copy = join(space.path, 'feature')
  await cp(feature, copy, { recursive: true })
  const release = join(space.path, 'spire-1.15.3')
  await mkdir(join(release, 'bin'), { recursive: true })
  await cp(join(spireBinaries, 'spire-agent'), join(release, 'bin/spire-agent'))
  await must(['tar', '--create', '--use-compress-program=gzip -1', '--file', `${release}.tar.gz`, '--directory', space.path, 'spire-1.15.3'])
  const digest = async (path: string) =>
    createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
  const svidecar = await executable()
  // In a mount namespace, so that what is installed is gone with it.
  const install = (options: NodeJS.ProcessEnv) =>
    run(['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs tmpfs /usr/local/bin && "$0"/install.sh; status=$?; ls /usr/local/bin; exit $status', copy], {
      env: { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin', ...options },
    })
  const given = { SVIDECARURL: `file://${svidecar}`, SVIDECARSHA256: await digest(svidecar) }
  const alone = await install(given)
  assert.equal(alone.status, 0, alone.stderr)
  assert.match(alone.stdout, /^svidecar \d[^]*\nsvidecar\nsvidecar-devcontainer\n$/)
  const both = await install({ ...given, SPIREAGENTURL: `file://${release}.tar.gz`, SPIREAGENTSHA256: await digest(`${release}.tar.gz`) })
  assert.match(both.stdout, /\nspire-agent\nsvidecar\nsvidecar-devcontainer\n$/, both.stderr)
  const refused: [NodeJS.ProcessEnv, RegExp][] = [
    [{}, /there is no svidecar: set svidecarUrl and svidecarSha256/],
    [{ SVIDECARURL: given.SVIDECARURL }, /svidecarUrl needs svidecarSha256/],
    [{ ...given, SVIDECARSHA256: '0'.repeat(64) }, new RegExp(`another SHA-256 than svidecarSha256: ${given.SVIDECARSHA256}`)],
    [{ SVIDECARURL: 'file:///etc/hostname', SVIDECARSHA256: await digest('/etc/hostname') }, /does not run in this image/],
  ]
  for (const [options, reason] of refused) {
    const { status, stdout, stderr } = await install(options)
    assert.notEqual(status, 0)
    assert.match(stderr, reason)
    assert.doesNotMatch(stdout, /svidecar-devcontainer/)
  }
})

test('the tool builds and starts the container, and a real SDK in it has credentials of the user’s own agent', { timeout: 600_000 }, async () => {
  await up()
  await ready()
  await callAws()
  const running = (await processes()).join('\n')
  assert.match(running, /spire-agent run/)
  assert.match(running, /svidecar/)
  const root = (await must(['podman', 'exec', ...(await id()), 'ps', '-u', 'root', '-o', 'args='], { env: tool.env })).trim()
  assert.doesNotMatch(root, /spire|svidecar/)
  assert.doesNotMatch((await tool.inside(['cat', '/dev/shm/svidecar/dev.token'], '1001')).stdout, /./)
})

test('the join token is in no argument, no image and no file on disk', async () => {
  assert.ok(!(await processes()).join('\n').includes(joinToken))
  const images = (await must(['podman', 'images', '--quiet'], { env: tool.env })).trim().split('\n')
  assert.ok(!(await must(['podman', 'image', 'inspect', ...new Set(images)], { env: tool.env })).includes(joinToken))
  const found = await tool.inside(
    [
      'sh',
      '-c',
      'grep --recursive --files-with-matches --fixed-strings "$0" /home /tmp /etc /run /usr/local /workspaces/workspace/.devcontainer/*.*',
      joinToken,
    ],
    'root',
  )
  // SPIRE names an agent by its token, once that is spent.
  assert.equal(found.stdout, `/home/${user}/.local/state/svidecar/log\n`)
  assert.ok(!(await log()).replaceAll(`/spire/agent/join_token/${joinToken}`, '').includes(joinToken))
})

test('starting it again changes nothing, also twice at once', async () => {
  const before = (await processes()).filter((line) => /supervise|svidecar$|spire-agent/.test(line))
  const again = await Promise.all([1, 2].map(() => tool.inside(['svidecar-devcontainer', 'start'])))
  for (const { status, stdout } of again) assert.deepEqual([status, stdout], [0, `svidecar runs already; its log is /home/${user}/.local/state/svidecar/log\n`])
  assert.deepEqual(
    (await processes()).filter((line) => /supervise|svidecar$|spire-agent/.test(line)),
    before,
  )
  // More than the log may have; by the end of this file it is shorter.
  await tool.inside(['sh', '-c', 'head -c 1500000 /dev/zero >>~/.local/state/svidecar/log'])
})

test('a daemon or an agent that dies is started again', { timeout: 300_000 }, async () => {
  for (const name of ['svidecar', 'spire-agent']) {
    const pidOf = async () => (await processes()).map((line) => /^\s*(\d+) (\S+)/.exec(line)).find((match) => match?.[2]?.endsWith(name))?.[1]
    const pid = await pidOf()
    assert.equal((await tool.inside(['sh', '-c', `kill -KILL ${pid ?? assert.fail(`there is no ${name}`)}`])).status, 0)
    await eventually(`another ${name}`, async () => ![undefined, pid].includes(await pidOf()), 60_000)
  }
  await ready()
  await callAws()
})

test('after a suspend that outlasts identity and credentials nothing expired is given out, and new ones come', { timeout: 300_000 }, async () => {
  await ready()
  const before = await answer()
  assert.equal(before.status, 200)
  const pids = (await must(['podman', 'top', ...(await id()), 'hpid'], { env: tool.env })).trim().split('\n').slice(1)
  await must(['kill', '-STOP', ...pids])
  await pause((shortSeconds + 5) * 1000)
  assert.ok(before.expiration < Date.now())
  await must(['kill', '-CONT', ...pids])
  const answers: Awaited<ReturnType<typeof answer>>[] = []
  await eventually(
    'new credentials',
    async () => {
      const asked = Date.now()
      const one = await answer()
      answers.push(one)
      assert.ok(one.status === 503 || one.expiration > asked, `status ${one.status}, expired ${asked - one.expiration} ms ago`)
      return one.status === 200
    },
    30_000,
  )
  await callAws()
})

test('a container that was stopped comes back with its agent, without a new join token', { timeout: 300_000 }, async () => {
  await must(['podman', 'stop', '--time=1', ...(await id())], { env: tool.env })
  await up()
  await ready()
  await callAws()
})

test('the log has an end, and stop ends all', { timeout: 300_000 }, async () => {
  await eventually('the log is cut off', async () => (await log()).length < 1_000_000, 90_000)
  const stopped = await tool.inside(['svidecar-devcontainer', 'stop'])
  assert.equal(stopped.status, 0, stopped.stderr)
  assert.doesNotMatch((await processes()).join('\n'), /svidecar|spire/)
  const started = await tool.inside(['sh', '-c', 'cd /workspaces/workspace && svidecar-devcontainer start'])
  assert.match(started.stdout, /is started/)
  await ready()
})
