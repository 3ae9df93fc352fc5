// Plain files: what is kept of those that were there, what all siblings have in common, and what a failure leaves: nothing.
import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { plainFiles, replaceFiles } from '../../src/files/place.ts'
import { eventually } from '../support/eventually.ts'
import { file, folder, needsRoot, temporaries, writeFailure } from './support.ts'

const modeOf = (path: string): number => statSync(path).mode & 0o7777

describe('modes and owners', () => {
  test('modes are exact under any umask', async (t) => {
    const directory = folder(t)
    const before = process.umask()
    t.after(() => process.umask(before))
    for (const umask of [0, 0o022, 0o077, 0o777])
      for (const mode of [0o600, 0o640, 0o644, 0o440, 0o400]) {
        const path = join(directory, `${umask}-${mode}`)
        process.umask(umask)
        await replaceFiles([file(path, 'new', mode)])
        process.umask(before)
        assert.equal(modeOf(path), mode, `${mode.toString(8)} under ${umask.toString(8)}`)
      }
  })

  test('a file that was there keeps its mode only if that is asked for', async (t) => {
    const directory = folder(t)
    const [kept, set] = [join(directory, 'kept'), join(directory, 'set')]
    for (const path of [kept, set]) {
      writeFileSync(path, 'old')
      chmodSync(path, 0o642)
    }
    await replaceFiles([file(kept, 'new', 0o600, true), file(set, 'new', 0o600)])
    assert.deepEqual([modeOf(kept), modeOf(set)], [0o642, 0o600])
    const fresh = join(directory, 'fresh')
    await replaceFiles([file(fresh, 'new', 0o640, true)])
    assert.equal(modeOf(fresh), 0o640, 'nothing was there to keep')
  })

  test('a file that was there keeps its owner, unless another one is asked for', { skip: needsRoot }, async (t) => {
    const directory = folder(t)
    const path = join(directory, 'file')
    writeFileSync(path, 'old')
    chownSync(path, 1234, 2345)
    await replaceFiles([file(path, 'new')])
    assert.deepEqual([statSync(path).uid, statSync(path).gid], [1234, 2345])
    await replaceFiles([file(path, 'newer')], { gid: 3456 })
    assert.deepEqual([statSync(path).uid, statSync(path).gid], [1234, 3456], 'only the group was asked for')
    await replaceFiles([file(path, 'newest')], { uid: 4567 })
    assert.deepEqual([statSync(path).uid, statSync(path).gid], [4567, 3456])
    assert.equal(readFileSync(path, 'utf8'), 'newest')
  })

  test('while it is written, a file is readable by nobody but its owner, whatever it becomes', async (t) => {
    const directory = folder(t)
    const path = join(directory, 'file')
    const data = Buffer.alloc(32 << 20, 'x')
    const modes = new Set<string>()
    let pending = true
    const before = process.umask(0)
    t.after(() => process.umask(before))
    const writing = replaceFiles([{ path, data, mode: 0o644 }]).finally(() => (pending = false))
    while (pending) {
      for (const name of temporaries(directory)) {
        const found = lstatSync(join(directory, name), { throwIfNoEntry: false })
        if (found !== undefined && found.size < data.length) modes.add((found.mode & 0o777).toString(8))
      }
      await new Promise(setImmediate)
    }
    await writing
    assert.deepEqual([...modes], ['600'])
  })
})

describe('symbolic links', () => {
  test('relative, absolute and chained links stay, and what they lead to is replaced', async (t) => {
    const directory = folder(t)
    mkdirSync(join(directory, 'real'))
    mkdirSync(join(directory, 'links'))
    const target = join(directory, 'real/file')
    const links: [string, string][] = [
      ['links/absolute', target],
      ['links/relative', '../real/file'],
      ['links/chain', 'relative'],
      ['links/chain of a chain', join(directory, 'links/chain')],
    ]
    for (const [name, to] of links) symlinkSync(to, join(directory, name))
    for (const [name, to] of links) {
      writeFileSync(target, 'old')
      const inode = statSync(target).ino
      await replaceFiles([file(join(directory, name), name)])
      assert.equal(readlinkSync(join(directory, name)), to)
      assert.equal(readFileSync(target, 'utf8'), name)
      assert.notEqual(statSync(target).ino, inode, 'by a rename')
      assert.deepEqual(readdirSync(join(directory, 'real')), ['file'])
    }
  })

  test('a dangling link is kept, and gets what it leads to', async (t) => {
    const directory = folder(t)
    symlinkSync('b', join(directory, 'a'))
    symlinkSync('c', join(directory, 'b'))
    await replaceFiles([file(join(directory, 'a'), 'new', 0o640)])
    assert.equal(readFileSync(join(directory, 'c'), 'utf8'), 'new')
    assert.equal(modeOf(join(directory, 'c')), 0o640)
    assert.deepEqual([readlinkSync(join(directory, 'a')), readlinkSync(join(directory, 'b'))], ['b', 'c'])
  })

  test('a relative link leads where the kernel says, also below a directory that is a link itself', async (t) => {
    const directory = folder(t)
    mkdirSync(join(directory, 'far/away/run'), { recursive: true })
    symlinkSync(join(directory, 'far/away/run'), join(directory, 'run'))
    symlinkSync('../file', join(directory, 'far/away/run/link'))
    writeFileSync(join(directory, 'far/away/file'), 'old')
    await replaceFiles([file(join(directory, 'run/link'), 'new')])
    assert.equal(readFileSync(join(directory, 'run/link'), 'utf8'), 'new')
    assert.equal(existsSync(join(directory, 'file')), false, 'nothing where nobody looks')
  })

  test('a link into a missing directory, and links in a circle, are failures with a reason', async (t) => {
    const directory = folder(t)
    symlinkSync('missing/file', join(directory, 'dangling'))
    symlinkSync('two', join(directory, 'one'))
    symlinkSync('one', join(directory, 'two'))
    const dangling = await writeFailure(replaceFiles([file(join(directory, 'dangling'), 'new')]))
    assert.deepEqual(dangling, {
      path: join(directory, 'dangling'),
      reason: 'no such file or directory',
      message: `cannot write ${join(directory, 'dangling')}: no such file or directory`,
    })
    assert.match(String((await writeFailure(replaceFiles([file(join(directory, 'one'), 'new')]))).reason), /symbolic links/)
    assert.deepEqual(readdirSync(directory).sort(), ['dangling', 'one', 'two'])
  })

  test('what is removed is what the link leads to: no token stays behind, and the link is there for the next one', async (t) => {
    const directory = folder(t)
    mkdirSync(join(directory, 'real'))
    const link = join(directory, 'token')
    symlinkSync('real/token', link)
    const place = plainFiles({})
    await place.write([file(link, 'secret')])
    assert.equal(readFileSync(join(directory, 'real/token'), 'utf8'), 'secret')
    await place.remove()
    assert.equal(existsSync(join(directory, 'real/token')), false, 'the secret is gone')
    await place.write([file(link, 'another')])
    assert.equal(readlinkSync(link), 'real/token')
  })
})

describe('a failure changes nothing', () => {
  test('a missing directory is a failure with path and reason, and is not made', async (t) => {
    const directory = folder(t)
    const path = join(directory, 'missing/file')
    const { path: told, reason } = await writeFailure(replaceFiles([file(path, 'new')]))
    assert.deepEqual([told, reason], [path, 'no such file or directory'])
    assert.deepEqual(readdirSync(directory), [])
  })

  for (const position of [0, 1, 2])
    test(`of three files the one at ${position} has no directory: none of the others changes`, async (t) => {
      const directory = folder(t)
      const paths = ['a', 'b', 'c'].map((name, index) => join(directory, index === position ? 'missing' : '', name))
      for (const path of paths) if (!path.includes('missing')) writeFileSync(path, 'old')
      assert.equal((await writeFailure(replaceFiles(paths.map((path) => file(path, 'new'))))).path, paths[position])
      for (const path of paths) if (!path.includes('missing')) assert.equal(readFileSync(path, 'utf8'), 'old', path)
      assert.deepEqual(temporaries(directory), [])
    })

  for (const position of [0, 1, 2])
    test(`of three files the one at ${position} is a directory: none of the others changes`, async (t) => {
      const directory = folder(t)
      const paths = ['a', 'b', 'c'].map((name) => join(directory, name))
      for (const [index, path] of paths.entries()) {
        if (index === position) mkdirSync(path)
        else writeFileSync(path, 'old')
      }
      const { path, reason } = await writeFailure(replaceFiles(paths.map((one) => file(one, 'new'))))
      assert.deepEqual([path, reason], [paths[position], 'is a directory'])
      for (const [index, one] of paths.entries()) if (index !== position) assert.equal(readFileSync(one, 'utf8'), 'old', one)
      assert.deepEqual(temporaries(directory), [])
    })

  test('a path through a file, and a name that is too long, are failures with their reasons', async (t) => {
    const directory = folder(t)
    writeFileSync(join(directory, 'file'), 'old')
    assert.equal((await writeFailure(replaceFiles([file(join(directory, 'file/in'), 'new')]))).reason, 'not a directory')
    assert.match(String((await writeFailure(replaceFiles([file(join(directory, 'n'.repeat(256)), 'new')]))).reason), /name too long/)
    assert.deepEqual(readdirSync(directory), ['file'])
  })
})

describe('names, sizes and neighbours', () => {
  for (const [what, name] of [
    ['spaces, quotes and a line feed', ' a "b" \'c\'\n$(d) '],
    ['unicode', 'zertifikat-ü-證書-🔐.pem'],
    ['a dash and dots in front', '-..rf.pem'],
    ['255 bytes of ASCII', 'n'.repeat(255)],
    ['255 bytes of unicode', '證'.repeat(85)],
    ['254 bytes of surrogate pairs', `aa${'🔐'.repeat(63)}`],
  ] as const)
    test(`a name with ${what} is written, replaced and removed`, async (t) => {
      const directory = folder(t)
      const place = plainFiles({})
      for (const text of ['one', 'two']) {
        await place.write([file(join(directory, name), text)])
        assert.deepEqual(readdirSync(directory), [name])
        assert.equal(readFileSync(join(directory, name), 'utf8'), text)
      }
      await place.remove()
      assert.deepEqual(readdirSync(directory), [])
    })

  test('64 MiB arrive whole', async (t) => {
    const path = join(folder(t), 'huge')
    const data = Buffer.alloc(64 << 20, 'svid')
    await replaceFiles([{ path, data, mode: 0o600 }])
    assert.ok(readFileSync(path).equals(data))
  })

  test('many writers of one path at once: one of them wins whole, and none leaves anything', async (t) => {
    const directory = folder(t)
    const paths = [join(directory, 'a'), join(directory, 'b')]
    await Promise.all(Array.from({ length: 40 }, (_, n) => replaceFiles(paths.map((path) => file(path, String(n).repeat(5_000))))))
    const whole = new Set(Array.from({ length: 40 }, (_, n) => String(n).repeat(5_000)))
    for (const path of paths) assert.ok(whole.has(readFileSync(path, 'utf8')))
    assert.deepEqual(readdirSync(directory).sort(), ['a', 'b'])
  })

  test('a first writer does not take for a leftover what another one is writing to the same path', async (t) => {
    const directory = folder(t)
    const path = join(directory, 'one')
    const large = replaceFiles([file(path, 'x'.repeat(64 << 20))])
    await eventually('the other one is at it', () => readdirSync(directory).length > 0)
    await plainFiles({}).write([file(path, 'small')])
    await large
    assert.equal(readFileSync(path).length, 64 << 20)
  })

  test('what a killed process left is removed before the first write, and nothing that is not ours', async (t) => {
    const directory = folder(t)
    mkdirSync(join(directory, 'real'))
    symlinkSync('real/key', join(directory, 'key'))
    const others = ['.key.0123456789ab.new.bak', '.key.0123456789AB.new', '.key.012345.new', '.other.0123456789ab.new', 'key.0123456789ab.new', '.key.new']
    for (const name of [...others, '.key.0123456789ab.new', '.key.ffffffffffff.new']) writeFileSync(join(directory, 'real', name), 'secret')
    await plainFiles({}).write([file(join(directory, 'key'), 'new')])
    assert.deepEqual(readdirSync(join(directory, 'real')).sort(), [...others, 'key'].sort())
  })

  test('a directory that vanished is a failure, and one that is back is written to', async (t) => {
    const directory = join(folder(t), 'here')
    mkdirSync(directory)
    const place = plainFiles({})
    await place.write([file(join(directory, 'file'), 'one')])
    rmSync(directory, { recursive: true })
    assert.equal((await writeFailure(place.write([file(join(directory, 'file'), 'two')]))).reason, 'no such file or directory')
    await place.remove()
    mkdirSync(directory)
    await place.write([file(join(directory, 'file'), 'three')])
    assert.equal(readFileSync(join(directory, 'file'), 'utf8'), 'three')
  })
})
