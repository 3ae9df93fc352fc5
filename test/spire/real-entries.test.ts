// The registration entries of deploy/spire at a real server, and who gets an identity by them from a real agent.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { appendFile, chmod, copyFile, link, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { checkout, folder, install, must, need, run } from '../platform/machine.ts'
import { eventually } from '../support/eventually.ts'
import { type Process, type Spire, startSpire } from './spire.ts'

const bin = execFileSync(join(import.meta.dirname, 'testbed', 'build'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
const home = join(checkout, 'deploy/spire')
const user = 'nobody'

interface Entry {
  readonly spiffe_id: { readonly path: string }
  readonly parent_id: { readonly path: string }
  readonly selectors: readonly { readonly type: string; readonly value: string }[]
  readonly x509_svid_ttl: number
  readonly jwt_svid_ttl: number
  readonly dns_names: readonly string[]
}

describe('registration entries', () => {
  let space: Awaited<ReturnType<typeof folder>>
  let spire: Spire
  let agent: Process | undefined
  let socket = ''
  /** Where the package has /usr/bin/svidecar. */
  let executable = ''
  let bundle = ''

  before(async () => {
    need({ setpriv: 'util-linux' })
    space = await folder('spire-entries')
    const [node = '', cjs = ''] = await install(space.path)
    bundle = cjs
    executable = join(space.path, 'usr/bin/svidecar')
    await mkdir(join(space.path, 'usr/bin'), { recursive: true })
    await rename(node, executable)
    socket = join(space.path, 'sockets/agent.sock')
    spire = await startSpire(bin, { authority: 'self-signed' })
    const { value: joinToken } = (await spire.server('token', 'generate', '-spiffeID', 'spiffe://example.org/node/web1')) as { value: string }
    agent = await spire.agent(await spire.agentFolder('web1'), { path: socket, joinToken })
  })
  after(async () => {
    agent?.signal('SIGKILL')
    await agent?.gone
    await spire?.close()
    await space?.remove()
  })

  /** A file of entries as it is shipped, but for some texts that each must be in it. */
  const substituted = async (name: string, texts: Readonly<Record<string, string>>): Promise<string> => {
    let text = await readFile(join(home, name), 'utf8')
    for (const [from, to] of Object.entries(texts)) {
      assert.ok(text.includes(from), `${from} is not in ${name}`)
      text = text.replaceAll(from, to)
    }
    const file = join(space.path, name.replaceAll('/', '-'))
    await writeFile(file, text)
    return file
  }
  const digest = async () => hash('sha256', await readFile(executable))
  const entries = async () => ((await spire.server('entry', 'show')) as { entries: Entry[] }).entries
  const entryOf = async (path: string) => (await entries()).find(({ spiffe_id }) => spiffe_id.path === path)
  const selectorsOf = (entry: Entry | undefined) => entry?.selectors.map(({ type, value }) => `${type}:${value}`).toSorted()

  /** The SPIFFE IDs that a program gets, run as a user; why not, when there are none. */
  const identities = async (program = executable, as = user): Promise<readonly string[] | string> => {
    const command = ['setpriv', `--reuid=${as}`, '--clear-groups', program, bundle, 'svid', '--socket', `unix://${socket}`, '--output', 'json']
    const { status, stdout, stderr } = await run(command, { env: { PATH: process.env['PATH'], HOME: '/' } })
    if (status !== 0) return stderr
    return (JSON.parse(stdout) as { svids: { spiffeId: string }[] }).svids.map(({ spiffeId }) => spiffeId)
  }
  const becomes = (what: string, ids: readonly string[]) =>
    eventually(what, async () => {
      assert.deepEqual(await identities(), ids)
      return true
    })

  test('the file for a machine gives the identity to the one executable, run by the one user', async () => {
    const file = await substituted('entries.json', {
      '"user:svidecar"': `"user:${user}"`,
      'path:/usr/bin/svidecar': `path:${executable}`,
      'sha256:0000000000000000000000000000000000000000000000000000000000000000': `sha256:${await digest()}`,
    })
    await spire.server('entry', 'create', '-data', file)
    await becomes('it has its identity', ['spiffe://example.org/service/web'])
    const denied = String(await identities(executable, 'root'))
    assert.match(denied, /no identity issued/, 'another user')
    assert.match(denied, /spire-server entry create .*unix:uid:0/, 'and is told how to be registered')
    const elsewhere = join(space.path, 'elsewhere')
    await link(executable, elsewhere)
    assert.match(String(await identities(elsewhere)), /no identity issued/, 'the same bytes at another path')
  })

  test('the file says for how long and in which name', async () => {
    const web = await entryOf('/service/web')
    assert.deepEqual([web?.x509_svid_ttl, web?.jwt_svid_ttl, web?.dns_names], [3600, 300, ['web']])
    assert.deepEqual(selectorsOf(await entryOf('/service/batch')), ['systemd:id:svidecar@batch.service', `unix:path:${executable}`, 'unix:user:svidecar-batch'])
  })

  test('an executable whose bytes are others gets nothing, until the script has registered it', async () => {
    const changed = `${executable}.changed`
    await copyFile(executable, changed)
    await appendFile(changed, '\n')
    await chmod(changed, 0o755)
    await rename(changed, executable)
    await eventually('the old identity is refused', async () => /no identity issued/.test(String(await identities())), 20_000)

    const script = await substituted('register.sh', { '/run/spire/server/api.sock': spire.socket, '/usr/bin/svidecar': executable })
    const register = (...args: string[]) => run(['sh', script, ...args], { env: { PATH: `${bin}:${process.env['PATH']}` } })
    const { status, stderr } = await register('web1')
    assert.equal(status, 2)
    assert.match(stderr, /^usage: register.sh NODE SERVICE USER \[SHA256\]$/m)

    for (const digest of ['', 'a'.repeat(63), `sha256:${'a'.repeat(64)}`]) assert.equal((await register('web1', 'api', user, digest)).status, 2, digest)
    assert.equal(await entryOf('/service/api'), undefined, 'nothing is made where a digest was meant and is none')

    const registered = await register('web1', 'api', user, await digest())
    assert.equal(registered.status, 0, registered.stderr)
    await becomes('it has an identity again', ['spiffe://example.org/service/api'])
    const api = await entryOf('/service/api')
    assert.deepEqual(selectorsOf(api), [`unix:path:${executable}`, `unix:sha256:${await digest()}`, `unix:user:${user}`])
    assert.deepEqual([api?.x509_svid_ttl, api?.jwt_svid_ttl, api?.dns_names], [3600, 300, ['api']])
    await spire.server('entry', 'delete', '-entryID', (api as Entry & { id: string }).id)

    assert.equal((await register('web1', 'jobs', user)).status, 0)
    await becomes('path and user do without a digest', ['spiffe://example.org/service/jobs'])
    assert.deepEqual(selectorsOf(await entryOf('/service/jobs')), [`unix:path:${executable}`, `unix:user:${user}`])
  })

  for (const [name, node, workload, selectors] of [
    ['kubernetes/entries.json', '/k8s/production/node', '/ns/app/sa/app', ['k8s:container-name:svidecar', 'k8s:ns:app', 'k8s:sa:app']],
    [
      'ecs/entries.json',
      '/node/ecs/production',
      '/ecs/production/app',
      ['docker:label:com.amazonaws.ecs.container-name:svidecar', 'docker:label:com.amazonaws.ecs.task-definition-family:app'],
    ],
  ] as const)
    test(`${name} is taken: a name for the nodes, and below it the container of svidecar alone`, async () => {
      await must([join(bin, 'spire-server'), 'entry', 'create', '-socketPath', spire.socket, '-data', join(home, name)])
      assert.equal((await entryOf(node))?.parent_id.path, '/spire/server')
      const entry = await entryOf(workload)
      assert.equal(entry?.parent_id.path, node)
      assert.equal(entry.dns_names.length, 1, 'else CloudTrail shows a serial number')
      assert.deepEqual(selectorsOf(entry), selectors)
    })
})
