// svidecar exec around a program with a real AWS SDK: it works, and nothing is left of it.
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { configuration, type Environment, javaScript, startClient, worldOf } from './support.ts'

const main = fileURLToPath(new URL('../../dist/svidecar.cjs', import.meta.url))

test('a program under svidecar exec calls AWS, and nothing is left behind', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sdk-exec-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const world = await worldOf(60)(folder)
  t.after(() => world.stop())
  const temporary = join(folder, 'tmp')
  const home = join(folder, 'home')
  const runtimeDirectory = join(folder, 'run')
  await mkdir(temporary)
  await mkdir(home)
  const program = startClient(
    [process.execPath, main, 'exec', '--profile', 'app', '--', ...javaScript],
    {
      HOME: home,
      TMPDIR: temporary,
      AWS_ENDPOINT_URL_STS: world.aws.checkingUrl,
      AWS_REGION: 'us-east-1',
      // Keys that lie about win over any endpoint, in every SDK: exec has to take them away.
      AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      SVIDECAR_CONFIG_YAML: configuration(world, runtimeDirectory),
      SPIFFE_ENDPOINT_SOCKET: world.socket,
    },
    { detached: true },
  )
  const { pid = 0 } = program.process
  t.after(() => {
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // Nothing is left of it: the test says so below.
    }
  })

  const { arn, ...problem } = await program.call('identity')
  assert.deepEqual(problem, {})
  assert.match(arn ?? '', /:assumed-role\/web\//)
  assert.equal(world.aws.requests.at(-1)?.action, 'GetCallerIdentity')
  const environment = await program.call<Environment>('environment')
  for (const [name, value] of Object.entries(environment)) assert.doesNotMatch(`${name}=${value}`, /ACCESS_KEY|SESSION_TOKEN|ASIA|AKIA/)
  const url = environment['AWS_CONTAINER_CREDENTIALS_FULL_URI'] ?? ''
  assert.equal((await fetch(url)).status, 401, 'served as long as the program runs')

  assert.equal(await program.end(), 0)
  await assert.rejects(fetch(url), 'nobody listens')
  assert.throws(() => process.kill(-pid, 0), { code: 'ESRCH' }, 'no process')
  for (const directory of [temporary, home]) assert.deepEqual(await readdir(directory), [])
  await assert.rejects(readdir(runtimeDirectory), { code: 'ENOENT' }, 'the runtime directory of a daemon is not used')
})
