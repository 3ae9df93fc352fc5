// Files that cannot be renamed over: second names, pipes, devices, single mounts, directories of others, and disks that are full.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { plainFiles, replaceFiles } from '../../src/files/place.ts'
import { eventually } from '../support/eventually.ts'
import { file, folder, needsMounts, needsRoot, runProgram, soon, temporaries } from './support.ts'

/** A folder that nobody's programs can reach. */
function open(t: TestContext): string {
  const directory = folder(t)
  chmodSync(directory, 0o755)
  return directory
}

describe('a file with a second name', () => {
  test('is written in place, and the other name shows the new content: longer, then shorter', async (t) => {
    const directory = folder(t)
    const [path, other] = [join(directory, 'a'), join(directory, 'b')]
    writeFileSync(path, 'old')
    linkSync(path, other)
    for (const text of ['much longer than before', 'short', 'x'.repeat(1 << 20), 'y']) {
      await replaceFiles([file(path, text)])
      assert.equal(readFileSync(other, 'utf8'), text)
      assert.equal(statSync(path).nlink, 2)
    }
    assert.deepEqual(temporaries(directory), [])
  })

  test('has its mode before it has the secret', async (t) => {
    const directory = folder(t)
    const path = join(directory, 'a')
    const data = Buffer.alloc(64 << 20, 'secret')
    writeFileSync(path, 'old')
    linkSync(path, join(directory, 'b'))
    chmodSync(path, 0o644)
    let pending = true
    let seen = ''
    const writing = replaceFiles([{ path, data, mode: 0o600 }]).finally(() => (pending = false))
    while (pending) {
      const descriptor = openSync(path, 'r')
      const head = Buffer.alloc(6)
      readSync(descriptor, head)
      // The mode after the read: if it lets others in now, it did when the secret was there.
      const { mode } = statSync(path)
      closeSync(descriptor)
      if (head.toString() === 'secret' && (mode & 0o077) !== 0) seen = (mode & 0o777).toString(8)
      await new Promise(setImmediate)
    }
    await writing
    assert.equal(seen, '', 'the secret lay there with this mode')
    assert.equal(statSync(path).mode & 0o777, 0o600)
  })

  test('keeps its mode when that is asked for', async (t) => {
    const path = join(folder(t), 'a')
    writeFileSync(path, 'old')
    linkSync(path, `${path}.b`)
    chmodSync(path, 0o646)
    await replaceFiles([file(path, 'new', 0o600, true)])
    assert.equal(statSync(path).mode & 0o777, 0o646)
  })

  test('gets the mode that was asked for from root, whoever owns it', { skip: needsRoot }, async (t) => {
    const path = join(folder(t), 'a')
    writeFileSync(path, 'old')
    linkSync(path, `${path}.b`)
    chmodSync(path, 0o644)
    chownSync(path, 1234, 2345)
    await replaceFiles([file(path, 'secret', 0o600)])
    const { uid, gid, mode } = statSync(path)
    assert.deepEqual([uid, gid, (mode & 0o777).toString(8)], [1234, 2345, '600'])
  })
})

describe('a file with a second name, for root', { skip: needsRoot }, () => {
  test('gets the owner and the group that were asked for, and the other one stays', async (t) => {
    for (const [owner, uid, gid] of [
      [{ uid: 1234, gid: 2345 }, 1234, 2345],
      [{ uid: 1234 }, 1234, 3],
      [{ gid: 2345 }, 2, 2345],
      [{}, 2, 3],
    ] as const) {
      const path = join(folder(t), 'a')
      writeFileSync(path, 'old')
      chownSync(path, 2, 3)
      linkSync(path, `${path}.b`)
      await plainFiles(owner).write([file(path, 'new', 0o640)])
      const found = statSync(`${path}.b`)
      assert.deepEqual([found.uid, found.gid, found.mode & 0o777, readFileSync(path, 'utf8')], [uid, gid, 0o640, 'new'])
    }
  })
})

describe('pipes and devices', () => {
  test('the reader of a named pipe gets everything, however much it is', async (t) => {
    const directory = folder(t)
    const path = join(directory, 'pipe')
    spawnSync('/bin/sh', ['-c', 'mkfifo "$0"', path])
    // Keeps the pipe open, so that its reader never waits nor comes too early.
    const keeper = openSync(path, constants.O_RDWR)
    const reader = spawn('cat', [path])
    let got = 0
    reader.stdout.on('data', (chunk: Buffer) => (got += chunk.length))
    const closed = new Promise((resolve) => reader.once('close', resolve))
    await replaceFiles([file(path, 'x'.repeat(300_000))])
    await eventually('all of it', () => got >= 300_000)
    closeSync(keeper)
    await closed
    assert.equal(got, 300_000)
    assert.ok(statSync(path).isFIFO())
    assert.deepEqual(temporaries(directory), [])
  })

  test('a named pipe that nobody reads is a failure, and holds up nobody', async (t) => {
    const path = join(folder(t), 'pipe')
    spawnSync('/bin/sh', ['-c', 'mkfifo "$0"', path])
    const ended = await soon(replaceFiles([file(path, 'secret')]).then(() => 'written', String))
    // Frees the thread that waits, if one does.
    closeSync(openSync(path, constants.O_RDWR | constants.O_NONBLOCK))
    assert.notEqual(ended, 'hanging')
    assert.match(String(ended), /cannot write .*pipe/)
  })

  test('one that fails after others have changed leaves no temporary file of those that come after it', async (t) => {
    const directory = folder(t)
    const [first, pipe, last] = ['a', 'b', 'c'].map((name) => join(directory, name)) as [string, string, string]
    for (const path of [first, last]) writeFileSync(path, 'old')
    spawnSync('/bin/sh', ['-c', 'mkfifo "$0"', pipe])
    const ended = await soon(replaceFiles([file(first, 'new'), file(pipe, 'new'), file(last, 'new')]).then(() => 'written', String))
    closeSync(openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK))
    assert.match(String(ended), /cannot write .*\/b: /)
    assert.deepEqual([readFileSync(first, 'utf8'), readFileSync(last, 'utf8')], ['new', 'old'])
    assert.deepEqual(readdirSync(directory).sort(), ['a', 'b', 'c'])
  })

  test('a device stays a device', { skip: needsRoot }, async (t) => {
    const path = join(folder(t), 'link')
    symlinkSync('/dev/null', path)
    const before = statSync('/dev/null').mode
    await replaceFiles([file(path, 'secret', 0o666)])
    assert.ok(statSync('/dev/null').isCharacterDevice())
    assert.equal(statSync('/dev/null').mode, before)
  })
})

describe('mounts', { skip: needsMounts }, () => {
  test('a single file that is mounted is written in place: longer, then shorter, and no temporary file stays', async (t) => {
    const directory = folder(t)
    for (const name of ['outside', 'inside']) writeFileSync(join(directory, name), 'old')
    const path = JSON.stringify(join(directory, 'inside'))
    const code = `const seen = []
for (const text of ['longer than before', 'short']) {
  await replaceFiles([file(${path}, text, 0o640)])
  seen.push(fs.readFileSync(${path}, 'utf8'))
}
console.log(JSON.stringify([...seen, fs.statSync(${path}).mode & 0o777, fs.readdirSync(${JSON.stringify(directory)})]))`
    const seen = await runProgram(code, { mount: `mount --bind '${directory}/outside' '${directory}/inside'` })
    assert.deepEqual(seen, ['longer than before', 'short', 0o640, ['inside', 'outside']])
    assert.equal(readFileSync(join(directory, 'outside'), 'utf8'), 'short')
    assert.equal(readFileSync(join(directory, 'inside'), 'utf8'), 'old', 'what is below the mount')
  })

  test('a writable file in a directory that is mounted read-only is written in place', async (t) => {
    const directory = folder(t)
    for (const name of ['file', 'source']) writeFileSync(join(directory, name), 'old')
    mkdirSync(join(directory, 'ro'))
    writeFileSync(join(directory, 'ro/file'), 'old')
    const mount = `cd '${directory}'; mount --bind ro ro; mount --bind source ro/file; mount -o remount,ro,bind ro`
    const path = JSON.stringify(join(directory, 'ro/file'))
    const code = `console.log(JSON.stringify([await attempt(replaceFiles([file(${path}, 'new')])), fs.readFileSync(${path}, 'utf8')]))`
    assert.deepEqual(await runProgram(code, { mount }), ['written', 'new'])
  })

  const full = (directory: string) => `mount -t tmpfs -o size=64k none '${directory}'`
  const setUp = `const old = Buffer.alloc(8192, 'old\\n')
const fill = () => {
  const descriptor = fs.openSync(directory + '/filler', 'w')
  try { for (;;) fs.writeSync(descriptor, Buffer.alloc(4096)) } catch {} finally { fs.closeSync(descriptor) }
}
const same = (path) => fs.readFileSync(path).equals(old)
`

  test('a full disk leaves plain files as they were, and no temporary file', async (t) => {
    const directory = folder(t)
    const code = `const directory = ${JSON.stringify(directory)}
${setUp}
const paths = [directory + '/a', directory + '/b']
for (const path of paths) fs.writeFileSync(path, old)
fill()
const how = await attempt(replaceFiles([file(paths[0], ''), file(paths[1], Buffer.alloc(16384, 'new'))]))
console.log(JSON.stringify([how, same(paths[0]), same(paths[1]), fs.readdirSync(directory)]))`
    const [how, ...rest] = (await runProgram(code, { mount: full(directory) })) as unknown[]
    assert.match(String(how), /file_write: cannot write .*\/b: no space left on device/)
    assert.deepEqual(rest, [true, true, ['a', 'b', 'filler']])
  })

  test('a full disk leaves the old generation, and nothing of the new one', async (t) => {
    const directory = folder(t)
    const code = `const directory = ${JSON.stringify(directory)}
${setUp}
const place = createGenerations(directory, {}, systemClock)
await place.write([file('crt', old), file('key', old)])
const before = fs.readdirSync(directory)
fill()
const how = await attempt(place.write([file('crt', 'new'), file('key', Buffer.alloc(65536, 'new'))]))
fs.unlinkSync(directory + '/filler')
const kept = [same(directory + '/crt'), same(directory + '/key'), fs.readdirSync(directory).join() === before.join()]
await place.write([file('crt', 'new'), file('key', 'new')])
console.log(JSON.stringify([how, ...kept, fs.readFileSync(directory + '/key', 'utf8')]))`
    const [how, ...rest] = (await runProgram(code, { mount: full(directory) })) as unknown[]
    assert.match(String(how), /file_write: cannot write .*: no space left on device/)
    assert.deepEqual(rest, [true, true, true, 'new'])
  })

  test('in place on a full disk: what was there is still there, whole, and the new content once there is room', async (t) => {
    const directory = folder(t)
    const code = `const directory = ${JSON.stringify(directory)}
${setUp}
const path = directory + '/a'
fs.writeFileSync(path, old)
fs.linkSync(path, directory + '/b')
fill()
// One page is free: it takes a part of the first.
fs.truncateSync(directory + '/filler', fs.statSync(directory + '/filler').size - 4096)
const hows = []
for (const size of [32768, 12289]) hows.push(await attempt(replaceFiles([file(path, Buffer.alloc(size, 'new\\n'))])))
const kept = [same(path), same(directory + '/b')]
const shorter = await attempt(replaceFiles([file(path, 'new')]))
const short = fs.readFileSync(path, 'utf8')
fs.unlinkSync(directory + '/filler')
const longer = await attempt(replaceFiles([file(path, Buffer.alloc(16384, 'new\\n'))]))
const found = fs.readFileSync(directory + '/b')
console.log(JSON.stringify([hows, kept, shorter, short, longer, found.equals(Buffer.alloc(16384, 'new\\n'))]))`
    const [hows, ...rest] = (await runProgram(code, { mount: full(directory) })) as [string[], ...unknown[]]
    assert.deepEqual(rest, [[true, true], 'written', 'new', 'written', true])
    for (const how of hows) assert.match(how, /file_write: cannot write .*: no space left on device/)
  })
})

describe('without rights in the directory', { skip: needsRoot }, () => {
  const nobody = { nobody: true }

  test('a writable file is written in place, with the owner that it has', async (t) => {
    const directory = open(t)
    const path = join(directory, 'file')
    writeFileSync(path, 'old')
    chownSync(path, 65_534, 2345)
    const code = `console.log(JSON.stringify(await attempt(replaceFiles([file(${JSON.stringify(path)}, 'new', 0o640)]))))`
    assert.equal(await runProgram(code, nobody), 'written')
    const { uid, gid, mode } = statSync(path)
    assert.deepEqual([readFileSync(path, 'utf8'), uid, gid, mode & 0o777], ['new', 65_534, 2345, 0o640])
  })

  test('a file that somebody else owns and everybody may write is written in place rather than taken away from its owner', async (t) => {
    const directory = open(t)
    chmodSync(directory, 0o777)
    const path = join(directory, 'file')
    writeFileSync(path, 'old')
    chownSync(path, 1234, 1234)
    chmodSync(path, 0o666)
    const code = (more: string) => `console.log(JSON.stringify(await attempt(replaceFiles([{ ...file(${JSON.stringify(path)}, 'new')${more} }]))))`
    // Unless it must not lie there with these rights, which only its owner could take from it.
    assert.match((await runProgram(code(', mode: 0o600'), nobody)) as string, /operation not permitted/)
    assert.equal(readFileSync(path, 'utf8'), 'old')
    assert.equal(await runProgram(code(', mode: 0o600, keepMode: true'), nobody), 'written')
    assert.deepEqual([readFileSync(path, 'utf8'), statSync(path).uid, temporaries(directory)], ['new', 1234, []])
  })

  test('a file of another owner with fewer rights than were asked for is written, and keeps them', async (t) => {
    const directory = open(t)
    const path = join(directory, 'file')
    writeFileSync(path, 'old')
    chownSync(path, 1234, 65_534)
    chmodSync(path, 0o620)
    const code = `console.log(JSON.stringify(await attempt(replaceFiles([file(${JSON.stringify(path)}, 'new', 0o660)]))))`
    assert.equal(await runProgram(code, nobody), 'written')
    assert.deepEqual([readFileSync(path, 'utf8'), statSync(path).mode & 0o777], ['new', 0o620])
  })

  test('a file of another owner with one right more than was asked for stays as it was, however little that is', async (t) => {
    const directory = open(t)
    const path = join(directory, 'file')
    writeFileSync(path, 'old')
    chownSync(path, 1234, 65_534)
    chmodSync(path, 0o624)
    const code = `console.log(JSON.stringify(await attempt(replaceFiles([file(${JSON.stringify(path)}, 'new', 0o660)]))))`
    assert.match(String(await runProgram(code, nobody)), /file_write: cannot write .*: operation not permitted/)
    assert.deepEqual([readFileSync(path, 'utf8'), statSync(path).mode & 0o777], ['old', 0o624])
  })

  test('a file that is missing, or that may not be written, is a failure with a reason', async (t) => {
    const directory = open(t)
    writeFileSync(join(directory, 'locked'), 'old')
    const paths = JSON.stringify(['missing', 'locked'].map((name) => join(directory, name)))
    const code = `console.log(JSON.stringify(await Promise.all(${paths}.map((path) => attempt(replaceFiles([file(path, 'new')]))))))`
    for (const how of (await runProgram(code, nobody)) as string[]) assert.match(how, /file_write: cannot write .*: permission denied/)
    assert.equal(readFileSync(join(directory, 'locked'), 'utf8'), 'old')
  })

  test('a sibling that may not be written is noticed before the first one changes', async (t) => {
    const directory = open(t)
    const first = join(directory, 'first')
    for (const name of ['first', 'locked']) writeFileSync(join(directory, name), 'old')
    chownSync(first, 65_534, 65_534)
    const code = `console.log(JSON.stringify(await attempt(replaceFiles([file(${JSON.stringify(first)}, 'new'), file(${JSON.stringify(join(directory, 'locked'))}, 'new')]))))`
    assert.match(String(await runProgram(code, nobody)), /locked: permission denied/)
    assert.equal(readFileSync(first, 'utf8'), 'old')
  })
})
