// The dev agent's socket: the only thing that keeps other users of the machine from its keys.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, lstat, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Agent, startAgent } from '../support/dev/agent.ts'
import { createAuthority } from '../support/dev/authority.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { plainClient, temporaryFolder } from './support.ts'

async function agentAt(t: TestContext, address: string): Promise<Agent> {
  const clock = createFakeClock()
  const authority = await createAuthority({ trustDomain: 'dev.local', clock })
  const entries = [{ id: 'web', spiffeId: 'spiffe://dev.local/web' }]
  const agent = await startAgent({ address, authority, clock, x509TtlSeconds: 60, jwtTtlSeconds: 60, entries })
  t.after(() => agent.stop('abrupt'))
  return agent
}

const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)

test('makes its directory private and its socket too', async (t) => {
  const folder = await temporaryFolder(t)
  const before = process.umask()
  const agent = await agentAt(t, `unix://${folder}/run/agent.sock`)
  assert.equal(await mode(`${folder}/run`), '700')
  assert.equal(await mode(`${folder}/run/agent.sock`), '600')
  assert.equal(process.umask(), before)
  await agent.stop()
  await assert.rejects(lstat(`${folder}/run/agent.sock`), { code: 'ENOENT' })
})

test('leaves the mode of a directory that is there alone', async (t) => {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'run'))
  await chmod(join(folder, 'run'), 0o755)
  await agentAt(t, `unix://${folder}/run/agent.sock`)
  assert.equal(await mode(`${folder}/run`), '755')
  assert.equal(await mode(`${folder}/run/agent.sock`), '600')
})

test('removes a socket that nobody listens on', async (t) => {
  const path = join(await temporaryFolder(t), 'agent.sock')
  // Only a process that dies leaves its socket behind.
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', script])
  assert.ok((await lstat(path)).isSocket())
  const agent = await agentAt(t, `unix://${path}`)
  assert.ok(await plainClient(t, agent.address).stream('FetchX509SVID').next())
})

test('touches neither a socket that is in use nor a file that is none', async (t) => {
  const folder = await temporaryFolder(t)
  await agentAt(t, `unix://${folder}/agent.sock`)
  await assert.rejects(agentAt(t, `unix://${folder}/agent.sock`), /another process is listening/)
  await writeFile(join(folder, 'file'), 'mine')
  await assert.rejects(agentAt(t, `unix://${folder}/file`), /is not a socket/)
  assert.equal(await readFile(join(folder, 'file'), 'utf8'), 'mine')
})

test('refuses a path that no socket address can hold, and takes one that just fits', async (t) => {
  const longest = process.platform === 'darwin' ? 103 : 107
  const folder = await temporaryFolder(t)
  const fits = `${folder}/${'a'.repeat(longest - folder.length - 1)}`
  await agentAt(t, `unix://${fits}`)
  await assert.rejects(agentAt(t, `unix://${fits}aa`), { code: 'EINVAL' })
})

test('refuses an address that is no absolute path of a socket', async (t) => {
  for (const address of ['agent.sock', 'unix:agent.sock', 'unix://host/agent.sock', 'tcp://127.0.0.1:0'])
    await assert.rejects(agentAt(t, address), /no address of a dev agent/)
})

test('does not run in production', async (t) => {
  const folder = await temporaryFolder(t)
  const before = process.env['NODE_ENV']
  process.env['NODE_ENV'] = 'production'
  try {
    await assert.rejects(agentAt(t, `unix://${folder}/agent.sock`), /NODE_ENV=production/)
  } finally {
    if (before === undefined) delete process.env['NODE_ENV']
    else process.env['NODE_ENV'] = before
  }
  await agentAt(t, `unix://${folder}/agent.sock`)
})

for (const how of ['graceful', 'abrupt'] as const)
  test(`a stop (${how}) cuts a connection that says nothing`, async (t) => {
    const path = join(await temporaryFolder(t), 'agent.sock')
    const agent = await agentAt(t, `unix://${path}`)
    const caller = connect(path)
    const cut = new Promise<void>((resolve) => caller.once('close', () => resolve()))
    caller.on('error', () => {})
    await new Promise<void>((resolve) => caller.once('data', () => resolve())) // the settings of HTTP/2: it was accepted
    await Promise.all([cut, agent.stop(how)])
  })
