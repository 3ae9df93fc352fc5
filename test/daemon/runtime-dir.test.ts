// The runtime directory: which token of an earlier run is trusted, and with which rights one is written.
import assert from 'node:assert/strict'
import { chmodSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ConsumerConfig } from '../../src/config/config.ts'
import { ownerOf, prepareRuntimeDir, renewToken, socketMode, writeSecrets } from '../../src/daemon/runtime-dir.ts'

const root = process.getuid?.() === 0
const consumer = (over: Partial<ConsumerConfig> = {}): ConsumerConfig => ({ name: 'app', profiles: [], audiences: [], mode: 0o440, ...over })

async function folder(t: TestContext, mode = 0o755): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'runtime-'))
  t.after(() => rm(made, { recursive: true, force: true }))
  chmodSync(made, mode)
  return made
}

async function tokenIn(directory: string, over?: Partial<ConsumerConfig>): Promise<string> {
  const one = consumer(over)
  const secrets = await writeSecrets({ runtimeDir: directory, consumers: [one], imdsEndpoints: [] })
  assert.deepEqual([...secrets.keys()], [`${one.name}.token`])
  return String(secrets.get(`${one.name}.token`)?.[0]?.bytes)
}

async function imdsKey(directory: string): Promise<Buffer> {
  const endpoint = { listen: { host: '127.0.0.1', port: 0 }, hostNames: [], profile: 'app' }
  const secrets = await writeSecrets({ runtimeDir: directory, consumers: [], imdsEndpoints: [endpoint, endpoint] })
  assert.deepEqual([...secrets.keys()], ['imds.key'])
  return secrets.get('imds.key')?.[0]?.bytes ?? Buffer.alloc(0)
}

test('a token is 256 bits of URL-safe text in its file, without a newline', async (t) => {
  const directory = await folder(t)
  const token = await tokenIn(directory)
  assert.match(token, /^[A-Za-z0-9_-]{43}$/)
  assert.equal(Buffer.from(token, 'base64url').length, 32)
  assert.equal(readFileSync(join(directory, 'app.token'), 'latin1'), token)
  assert.notEqual(await tokenIn(directory, { name: 'web' }), token)
  assert.deepEqual(readdirSync(directory), ['app.token', 'web.token'], 'nothing half-written is left')
})

test('the token of the last run is used again when file and directory are ours alone to write', async (t) => {
  for (const mode of [0o700, 0o755, 0o711]) {
    const directory = await folder(t, mode)
    const token = await tokenIn(directory)
    assert.equal(await tokenIn(directory), token)
    assert.equal(await tokenIn(directory, { mode: 0o400 }), token, 'with other rights, too')
  }
})

test('a token that others could have written is not used again', async (t) => {
  for (const mode of [0o460, 0o446, 0o666, 0o620]) {
    const directory = await folder(t)
    const token = await tokenIn(directory)
    chmodSync(join(directory, 'app.token'), mode)
    assert.notEqual(await tokenIn(directory), token, mode.toString(8))
    assert.equal(statSync(join(directory, 'app.token')).mode & 0o777, 0o440)
  }
})

test('a token in a directory that others can write is not used again, sticky or not', async (t) => {
  for (const mode of [0o775, 0o757, 0o777, 0o1777]) {
    const directory = await folder(t, mode)
    const token = await tokenIn(directory)
    assert.notEqual(await tokenIn(directory), token, mode.toString(8))
  }
})

test('what belongs to somebody else is not used', { skip: !root && 'only root can give files away' }, async (t) => {
  const { chownSync } = await import('node:fs')
  const directory = await folder(t)
  const token = await tokenIn(directory)
  chownSync(join(directory, 'app.token'), 65_534, 65_534)
  const next = await tokenIn(directory)
  assert.notEqual(next, token)
  chownSync(directory, 65_534, 65_534)
  assert.notEqual(await tokenIn(directory), next)
})

test('a link in its place is replaced, not followed: not to read, not to write', async (t) => {
  const directory = await folder(t)
  const elsewhere = join(directory, 'elsewhere')
  const planted = 'P'.repeat(43)
  writeFileSync(elsewhere, planted, { mode: 0o600 })
  symlinkSync(elsewhere, join(directory, 'app.token'))
  const token = await tokenIn(directory)
  assert.notEqual(token, planted)
  assert.equal(readFileSync(elsewhere, 'utf8'), planted)
  assert.ok(!statSync(join(directory, 'app.token')).isSymbolicLink())
  assert.equal(readFileSync(join(directory, 'app.token'), 'utf8'), token)
  assert.equal(statSync(elsewhere).mode & 0o777, 0o600)
})

test('a hard link keeps its bytes: the new token is a new file', async (t) => {
  const directory = await folder(t)
  const token = await tokenIn(directory)
  linkSync(join(directory, 'app.token'), join(directory, 'kept'))
  chmodSync(join(directory, 'app.token'), 0o666)
  assert.notEqual(await tokenIn(directory), token)
  assert.equal(readFileSync(join(directory, 'kept'), 'utf8'), token)
})

test('what is no token of ours is replaced', async (t) => {
  const directory = await folder(t)
  const path = join(directory, 'app.token')
  const wrong = ['', 'short', 'A'.repeat(42), 'A'.repeat(44), `${'A'.repeat(43)}\n`, 'A'.repeat(42) + '=', 'é'.repeat(43), '\0'.repeat(43), 'A'.repeat(5_000)]
  for (const text of wrong) {
    writeFileSync(path, text, { mode: 0o600 })
    chmodSync(path, 0o600)
    const token = await tokenIn(directory)
    assert.notEqual(token, text)
    assert.match(token, /^[A-Za-z0-9_-]{43}$/)
    await rm(path, { force: true })
  }
  await tokenIn(directory)
  chmodSync(path, 0o600)
  truncateSync(path, 1 << 20)
  assert.match(await tokenIn(directory), /^[A-Za-z0-9_-]{43}$/, 'a huge file is not read')
})

test('a directory in its place is an error with the path', async (t) => {
  const directory = await folder(t)
  mkdirSync(join(directory, 'app.token'))
  await assert.rejects(tokenIn(directory), { code: 'runtime_dir', message: new RegExp(`cannot write ${directory}/app\\.token: `) })
  assert.deepEqual(readdirSync(directory), ['app.token'])
})

test('mode and group are those of the consumer, whatever the umask, and are set again each time', async (t) => {
  const directory = await folder(t)
  const path = join(directory, 'app.token')
  for (const umask of [0o000, 0o077, 0o777]) {
    const before = process.umask(umask)
    try {
      for (const mode of [0o440, 0o400, 0o444, 0o640]) {
        await tokenIn(directory, { mode })
        assert.equal(statSync(path).mode & 0o7777, mode)
      }
    } finally {
      process.umask(before)
    }
  }
  const gid = process.getgroups?.().at(-1) ?? 0
  await tokenIn(directory, { group: String(gid) })
  assert.equal(statSync(path).gid, gid)
  assert.equal(statSync(path).uid, process.getuid?.())
})

test('owner and group go by number', { skip: !root && 'only root can give files away' }, async (t) => {
  const directory = await folder(t)
  await tokenIn(directory, { owner: '12345', group: '54321' })
  const { uid, gid } = statSync(join(directory, 'app.token'))
  assert.deepEqual([uid, gid], [12_345, 54_321])
})

test('owners and groups are found by number or by name, and an unknown name is a mistake of the configuration', () => {
  assert.deepEqual(ownerOf(consumer(), 'consumer app'), { uid: undefined, gid: undefined })
  assert.deepEqual(ownerOf(consumer({ owner: '1000', group: '100' }), 'consumer app'), { uid: 1000, gid: 100 })
  assert.deepEqual(ownerOf(consumer({ owner: 'root', group: 'root' }), 'consumer app'), { uid: 0, gid: 0 })
  for (const name of ['no-such-name', 'roo', 'root:x', 'root:x:0', 'ROOT', '-1', '1x', '0x10', ' 0', 'x:0'])
    for (const over of [{ owner: name }, { group: name }])
      assert.throws(() => ownerOf(consumer(over), 'consumer app'), { code: 'config_invalid', message: /of consumer app: there is no/ }, name)
})

test('the key of the IMDS tokens is 32 bytes for nobody else, and outlives a restart', async (t) => {
  const directory = await folder(t)
  const key = await imdsKey(directory)
  assert.equal(key.length, 32)
  assert.equal(statSync(join(directory, 'imds.key')).mode & 0o7777, 0o600)
  assert.deepEqual(await imdsKey(directory), key)
  for (const size of [0, 16, 31, 33, 64]) {
    writeFileSync(join(directory, 'imds.key'), Buffer.alloc(size, 1))
    assert.equal((await imdsKey(directory)).length, 32)
  }
  chmodSync(join(directory, 'imds.key'), 0o660)
  const renewed = await imdsKey(directory)
  assert.notDeepEqual(renewed, key)
  assert.equal(statSync(join(directory, 'imds.key')).mode & 0o7777, 0o600)
})

test('in a reload the secrets that are held stay, whatever has become of their files', async (t) => {
  const runtimeDir = await folder(t)
  const config = { runtimeDir, consumers: [consumer()], imdsEndpoints: [{ listen: { host: '127.0.0.1', port: 0 }, hostNames: [], profile: 'app' }] }
  const held = await writeSecrets(config)
  for (const name of ['app.token', 'imds.key']) writeFileSync(join(runtimeDir, name), 'changed')
  assert.deepEqual(await writeSecrets(config, held), held)
  for (const [name, [token]] of held) assert.deepEqual(readFileSync(join(runtimeDir, name)), token?.bytes)
})

test('a missing directory is made, with its parents, for everybody to pass through; one that is there keeps its mode', async (t) => {
  const directory = await folder(t)
  const before = process.umask(0o077)
  try {
    await prepareRuntimeDir(join(directory, 'a/b'))
  } finally {
    process.umask(before)
  }
  assert.equal(statSync(join(directory, 'a/b')).mode & 0o777, 0o755)
  chmodSync(join(directory, 'a/b'), 0o711)
  await prepareRuntimeDir(join(directory, 'a/b'))
  assert.equal(statSync(join(directory, 'a/b')).mode & 0o777, 0o711)
})

test('a parent that had to be made can be passed through as well', { skip: !root && 'only root sees another’s way' }, async (t) => {
  const directory = await folder(t)
  const before = process.umask(0o077)
  try {
    await prepareRuntimeDir(join(directory, 'a/b'))
  } finally {
    process.umask(before)
  }
  assert.equal(statSync(join(directory, 'a')).mode & 0o111, 0o111, 'a consumer of another user reaches its token')
})

test('only what was made gets a mode, whatever way the path takes', async (t) => {
  const directory = await folder(t, 0o700)
  mkdirSync(join(directory, 'private'), { mode: 0o700 })
  await prepareRuntimeDir(`${directory}/private/../new/run/`)
  const modes = ['', 'private', 'new', 'new/run'].map((name) => statSync(join(directory, name)).mode & 0o777)
  assert.deepEqual(modes, [0o700, 0o700, 0o755, 0o755])
})

test('what is no directory is refused with its path', async (t) => {
  const directory = await folder(t)
  writeFileSync(join(directory, 'file'), '')
  for (const name of ['file', 'file/x'])
    await assert.rejects(prepareRuntimeDir(join(directory, name)), {
      code: 'runtime_dir',
      message: new RegExp(`cannot use the runtime directory ${directory}/${name}: `),
    })
})

test('whoever may read a token may use its socket, which takes reading and writing', () => {
  assert.equal(socketMode(0o440), 0o660)
  assert.equal(socketMode(0o400), 0o600)
  assert.equal(socketMode(0o444), 0o666)
  assert.equal(socketMode(0o640), 0o660)
})

test('a rotation writes one token and no other, and forgets those whose overlap is over', async (t) => {
  const runtimeDir = await folder(t)
  const app = consumer()
  let held = await writeSecrets({ runtimeDir, consumers: [app, consumer({ name: 'web' })], imdsEndpoints: [] })
  // What could not be written has nothing to do with it.
  rmSync(join(runtimeDir, 'web.token'))
  mkdirSync(join(runtimeDir, 'web.token'))
  const [first] = held.get('app.token') ?? []
  held = await renewToken(runtimeDir, app, held, 1_000)
  assert.deepEqual(
    held.get('app.token')?.map(({ until }) => until),
    [Number.POSITIVE_INFINITY, 301_000],
  )
  assert.deepEqual(held.get('app.token')?.[1]?.bytes, first?.bytes)
  assert.deepEqual(readFileSync(join(runtimeDir, 'app.token')), held.get('app.token')?.[0]?.bytes)
  for (let n = 1; n < 20; n++) held = await renewToken(runtimeDir, app, held, n * 301_000)
  assert.equal(held.get('app.token')?.length, 2)
})
