// Who is who for a real SPIRE agent: the executable by its path and by its digest, and nothing else of this machine.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { appendFile, chmod, copyFile, mkdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { checkout, executable, folder, launch, must, need, node, run } from '../platform/machine.ts'
import { eventually } from '../support/eventually.ts'
import { type Process, type Spire, startSpire } from './spire.ts'

const bin = execFileSync(join(import.meta.dirname, 'testbed', 'build'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
const space = await folder('spire-executable')
const own = (name: string) => join(space.path, name)
const byPath = 'spiffe://example.org/by/path'
const byDigest = 'spiffe://example.org/by/digest'
/** Where it is installed. */
const installed = own('svidecar')
const nobody = ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups']
let spire: Spire
let agent: Process
let socket = ''

before(async () => {
  need({ setpriv: 'util-linux', sha256sum: 'coreutils' })
  await copyFile(await executable(), installed)
  spire = await startSpire(bin, { authority: 'self-signed' })
  const { value: joinToken } = (await spire.server('token', 'generate', '-spiffeID', 'spiffe://example.org/node')) as { value: string }
  socket = own('sockets/agent.sock')
  agent = await spire.agent(await spire.agentFolder('node'), { path: socket, joinToken })
  const [digest = ''] = (await must(['sha256sum', installed])).split(' ')
  for (const [id, selector] of [
    [byPath, `unix:path:${installed}`],
    [byDigest, `unix:sha256:${digest}`],
  ] as const)
    await spire.server('entry', 'create', '-parentID=spiffe://example.org/node', `-spiffeID=${id}`, `-selector=${selector}`)
})
after(async () => {
  agent?.signal('SIGKILL')
  await agent?.gone
  await spire?.close()
  await space.remove()
})

/** The SPIFFE IDs that a command is given, which is svidecar in some form; none when it is denied. */
async function identities(...command: readonly string[]): Promise<readonly string[]> {
  const { status, stdout, stderr } = await run([...nobody, ...command, 'svid', '--socket', `unix://${socket}`, '--output', 'json'], { env: { HOME: '/' } })
  if (status === 0) return (JSON.parse(stdout) as { svids: { spiffeId: string }[] }).svids.map(({ spiffeId }) => spiffeId).toSorted()
  assert.match(stderr, /no identity issued/)
  return []
}
const becomes = (what: string, ids: readonly string[], ...command: readonly string[]) =>
  eventually(what, async () => (await identities(...command)).join() === ids.join(), 20_000)

test('the executable is attested by its path and by its digest, whoever runs it and by whatever name', async () => {
  await becomes('both entries have reached the agent', [byDigest, byPath], installed)
  await symlink(installed, own('link'))
  assert.deepEqual(await identities(own('link')), [byDigest, byPath], 'a link is the file that it leads to')
  await copyFile(installed, own('copy'))
  assert.deepEqual(await identities(own('copy')), [byDigest], 'the same bytes at another path')
})

test('the bundle by a plain Node.js is neither, and another file in that place is not the same bytes', async () => {
  const plain = own('node')
  await copyFile(node, plain)
  const bundle = own('svidecar.cjs')
  await copyFile(join(checkout, 'dist/svidecar.cjs'), bundle)
  assert.deepEqual(await identities(plain, bundle), [])
  // A script of that name is a process of its interpreter.
  const script = own('scripts/svidecar')
  await mkdir(own('scripts'))
  await copyFile(bundle, script)
  assert.deepEqual(await identities(plain, script), [])
  const changed = own('changed')
  await copyFile(installed, changed)
  await appendFile(changed, '\n')
  await chmod(changed, 0o755)
  assert.deepEqual(await identities(changed), [])
})

// What docs/image.md warns of: a path is one in the mount namespace of the process, and any user may make one.
test('in a namespace of its own another program has the path, but never the digest', async () => {
  const disguised = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', 'mount --bind "$0" "$1" && exec "$@"', own('node'), installed]
  assert.deepEqual(await identities(...disguised, own('svidecar.cjs')), [byPath])
})

test('the daemon and the drop-in are the executable to the kernel, and write what the agent gave to it', async () => {
  await symlink(installed, own('spiffe-helper'))
  const written = own('written')
  await mkdir(written, { mode: 0o777 })
  await chmod(written, 0o777)
  const config = {
    identities: { default: { workload_api: `unix://${socket}`, spiffe_id: byPath } },
    files: [{ x509: { directory: `${written}/daemon`, certificate: 'svid.pem' } }],
    metrics_endpoint: { listen: '127.0.0.1:0' },
    runtime_dir: `${written}/run`,
  }
  const helper = `agent_address = "${socket}"\ncert_dir = "${written}/helper"\nsvid_file_name = "svid.pem"\nsvid_key_file_name = "key.pem"\nsvid_bundle_file_name = "bundle.pem"\n`
  await must(['tee', own('helper.conf')], { input: helper })
  await must(['install', '--directory', '--owner=nobody', `${written}/helper`])
  const daemon = launch([...nobody, installed, 'run'], { HOME: '/', SVIDECAR_CONFIG_YAML: JSON.stringify(config) })
  const dropIn = launch([...nobody, own('spiffe-helper'), '-config', own('helper.conf')], { HOME: '/' })
  try {
    const ids = (name: string) =>
      eventually(`${name} writes its certificate`, async () => new X509Certificate(await readFile(join(written, name, 'svid.pem'))).subjectAltName, 20_000)
    assert.equal(await ids('daemon'), `URI:${byPath}`)
    assert.match(await ids('helper'), /^URI:spiffe:\/\/example\.org\/by\//)
    for (const { pid } of [daemon, dropIn]) assert.equal((await must(['readlink', `/proc/${pid}/exe`])).trim(), installed)
  } finally {
    daemon.kill('SIGTERM')
    dropIn.kill('SIGTERM')
    assert.deepEqual(await Promise.all([daemon.ended, dropIn.ended]), [0, 0], daemon.said() + dropIn.said())
  }
})
