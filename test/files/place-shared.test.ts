// Directories where others may put things: what a stranger has put in the way is refused there, and what is ours is used as anywhere.
import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { plainFiles, replaceFiles } from '../../src/files/place.ts'
import { file, folder, needsRoot, writeFailure } from './support.ts'

const stranger = 65_534
const us = process.getuid?.() ?? 0

/** A directory with this mode and owner, beside one that is nobody's but ours, in which a file lies. */
function setUp(t: TestContext, mode = 0o1777, owner = us) {
  const outer = folder(t)
  const [directory, victim] = [join(outer, 'shared'), join(outer, 'victim')]
  mkdirSync(directory)
  chownSync(directory, owner, owner)
  chmodSync(directory, mode)
  writeFileSync(victim, 'old', { mode: 0o600 })
  const path = join(directory, 'key')
  return {
    directory,
    victim,
    path,
    link: (uid: number) => {
      symlinkSync(victim, path)
      lchownSync(path, uid, uid)
    },
    plain: (uid: number) => {
      writeFileSync(path, 'old')
      chmodSync(path, 0o666)
      chownSync(path, uid, uid)
    },
  }
}

describe('in a directory with the sticky bit', { skip: needsRoot }, () => {
  for (const mode of [0o1777, 0o1775, 0o1757])
    test(`a stranger’s link is refused, and what it leads to stays as it was: ${mode.toString(8)}`, async (t) => {
      const { directory, victim, path, link } = setUp(t, mode)
      link(stranger)
      const { path: told, reason } = await writeFailure(plainFiles({}).write([file(path, 'secret', 0o644)]))
      assert.deepEqual([told, /belongs to user 65534/.test(String(reason))], [path, true], String(reason))
      assert.deepEqual([readFileSync(victim, 'utf8'), statSync(victim).mode & 0o777, statSync(victim).uid], ['old', 0o600, us])
      assert.deepEqual([readdirSync(directory), readlinkSync(path), lstatSync(path).uid], [['key'], victim, stranger])
      assert.deepEqual(readdirSync(join(directory, '..')).sort(), ['shared', 'victim'])
    })

  test('a stranger’s dangling link is refused, and what it leads to is not made', async (t) => {
    const { directory, victim, path, link } = setUp(t)
    link(stranger)
    unlinkSync(victim)
    await writeFailure(replaceFiles([file(path, 'secret')]))
    assert.deepEqual([existsSync(victim), readdirSync(directory)], [false, ['key']])
  })

  test('a stranger’s file is refused, whose rights would let it read the key: it stays as it was', async (t) => {
    const { directory, path, plain } = setUp(t)
    plain(stranger)
    const { reason } = await writeFailure(plainFiles({}).write([file(path, 'secret')]))
    assert.match(String(reason), /belongs to user 65534/)
    const { uid, mode } = statSync(path)
    assert.deepEqual([readFileSync(path, 'utf8'), uid, mode & 0o777, readdirSync(directory)], ['old', stranger, 0o666, ['key']])
  })

  test('a stranger’s link on the way from one of ours is refused, too', async (t) => {
    const { victim, path, link } = setUp(t)
    link(stranger)
    symlinkSync(path, `${victim}.link`)
    await writeFailure(replaceFiles([file(`${victim}.link`, 'secret')]))
    assert.equal(readFileSync(victim, 'utf8'), 'old')
  })

  test('of several files none changes when one is a stranger’s', async (t) => {
    const { directory, path, plain } = setUp(t)
    plain(stranger)
    const others = ['a', 'z'].map((name) => join(directory, name))
    for (const other of others) writeFileSync(other, 'old')
    assert.equal((await writeFailure(replaceFiles([others[0] ?? '', path, others[1] ?? ''].map((one) => file(one, 'new'))))).path, path)
    assert.deepEqual([...others.map((other) => readFileSync(other, 'utf8')), readdirSync(directory)], ['old', 'old', ['a', 'key', 'z']])
  })

  test('links and files of our own are used as anywhere', async (t) => {
    const linked = setUp(t, 0o1777, 1234)
    linked.link(us)
    await plainFiles({}).write([file(linked.path, 'new')])
    assert.deepEqual([readFileSync(linked.victim, 'utf8'), readlinkSync(linked.path)], ['new', linked.victim])
    const plain = setUp(t, 0o1777, 1234)
    plain.plain(us)
    await plainFiles({}).write([file(plain.path, 'new')])
    assert.equal(readFileSync(plain.path, 'utf8'), 'new')
  })

  test('those of the directory’s owner are used, too: it is theirs to decide', async (t) => {
    const linked = setUp(t, 0o1777, 1234)
    linked.link(1234)
    await plainFiles({}).write([file(linked.path, 'new')])
    assert.equal(readFileSync(linked.victim, 'utf8'), 'new')
    const plain = setUp(t, 0o1777, 1234)
    plain.plain(1234)
    await plainFiles({}).write([file(plain.path, 'new')])
    assert.deepEqual([readFileSync(plain.path, 'utf8'), statSync(plain.path).uid], ['new', 1234])
  })

  test('that nobody else may write, everything is used', async (t) => {
    const { victim, path, link } = setUp(t, 0o1755)
    link(stranger)
    await plainFiles({}).write([file(path, 'new')])
    assert.equal(readFileSync(victim, 'utf8'), 'new')
  })
})

test('without the sticky bit links and files of others are used, and keep their owners', { skip: needsRoot }, async (t) => {
  const linked = setUp(t, 0o777)
  linked.link(stranger)
  await plainFiles({}).write([file(linked.path, 'new')])
  assert.equal(readFileSync(linked.victim, 'utf8'), 'new')
  const plain = setUp(t, 0o777)
  plain.plain(stranger)
  await plainFiles({}).write([file(plain.path, 'new')])
  assert.deepEqual([readFileSync(plain.path, 'utf8'), statSync(plain.path).uid], ['new', stranger])
})

describe('what is removed', () => {
  test('is what was written, and not what a link leads to that somebody has put in its place since', async (t) => {
    const directory = folder(t)
    const [path, precious] = [join(directory, 'token'), join(directory, 'precious')]
    writeFileSync(precious, 'of somebody else')
    const place = plainFiles({})
    await place.write([file(path, 'secret')])
    unlinkSync(path)
    symlinkSync(precious, path)
    await place.remove()
    assert.deepEqual([readFileSync(precious, 'utf8'), readdirSync(directory)], ['of somebody else', ['precious']])
  })

  test('is the token behind the link by which it was written, also when the link leads elsewhere since', async (t) => {
    const directory = folder(t)
    const link = join(directory, 'link')
    for (const name of ['first', 'second']) writeFileSync(join(directory, name), 'old')
    symlinkSync('first', link)
    const place = plainFiles({})
    await place.write([file(link, 'secret')])
    symlinkSync('second', `${link}.new`)
    renameSync(`${link}.new`, link)
    assert.equal(await place.remove(), true)
    assert.deepEqual(readdirSync(directory).sort(), ['link', 'second'])
    assert.equal(await place.remove(), false, 'there is nothing any more')
  })
})
