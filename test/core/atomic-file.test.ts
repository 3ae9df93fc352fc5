// What is made on disk beside what is there: directories under any umask, and temporary files that nobody has prepared.
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { basename, join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { letPass, makeDirectory, writeBeside } from '../../src/core/atomic-file.ts'
import { folder } from '../files/support.ts'

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8)

function underUmask(t: TestContext, umask: number): void {
  const before = process.umask(umask)
  t.after(() => process.umask(before))
}

describe('directories', () => {
  test('all that lead to one have mode 0755 under umask 077, also where the path goes up again', async (t) => {
    const directory = folder(t)
    mkdirSync(join(directory, 'here'))
    chmodSync(join(directory, 'here'), 0o710)
    underUmask(t, 0o077)
    await makeDirectory(`${directory}/here/../a/b/../c`)
    assert.deepEqual([modeOf(join(directory, 'a')), modeOf(join(directory, 'a/c'))], ['755', '755'])
    assert.equal(modeOf(join(directory, 'here')), '710', 'one that was there keeps its mode')
  })

  test('everybody may pass through one of ours, and a link in its place is refused, whatever it leads to', async (t) => {
    const directory = folder(t)
    for (const name of ['ours', 'theirs']) mkdirSync(join(directory, name), { mode: 0o700 })
    writeFileSync(join(directory, 'secret'), 'of somebody else', { mode: 0o600 })
    await letPass(join(directory, 'ours'))
    assert.equal(modeOf(join(directory, 'ours')), '755')
    for (const [name, mode] of [
      ['theirs', '700'],
      ['secret', '600'],
    ] as const) {
      symlinkSync(name, join(directory, `link to ${name}`))
      await assert.rejects(letPass(join(directory, `link to ${name}`)), name)
      assert.equal(modeOf(join(directory, name)), mode)
    }
    await assert.rejects(letPass(join(directory, 'secret')), 'nor is it a file')
    assert.equal(modeOf(join(directory, 'secret')), '600')
  })
})

describe('a temporary file', () => {
  /** Where the next one for `path` will be. */
  async function nextName(t: TestContext, path: string): Promise<string> {
    t.mock.method(crypto, 'randomBytes', (size: number) => Buffer.alloc(size, 0xab))
    syncBuiltinESMExports()
    t.after(() => {
      t.mock.restoreAll()
      syncBuiltinESMExports()
    })
    const name = await writeBeside(path, 'first', { mode: 0o600 })
    assert.match(basename(name), /^\.key\.[0-9a-f]{6}ababab\.new$/)
    return name
  }

  test('whose name is taken is not written, and what has the name stays: whoever prepared it may have it open', async (t) => {
    const path = join(folder(t), 'key')
    const name = await nextName(t, path)
    await assert.rejects(writeBeside(path, 'secret', { mode: 0o644 }), { code: 'EEXIST' })
    assert.deepEqual([readFileSync(name, 'utf8'), modeOf(name)], ['first', '600'])
  })

  test('does not go where a link in its place leads to', async (t) => {
    const [directory, elsewhere] = [folder(t), folder(t)]
    const name = basename(await nextName(t, join(elsewhere, 'key')))
    symlinkSync(join(elsewhere, name), join(directory, name))
    await assert.rejects(writeBeside(join(directory, 'key'), 'secret', { mode: 0o600 }), { code: 'EEXIST' })
    rmSync(join(elsewhere, name))
    await assert.rejects(writeBeside(join(directory, 'key'), 'secret', { mode: 0o600 }), { code: 'EEXIST' })
    assert.deepEqual([readdirSync(directory), readdirSync(elsewhere)], [[name], []])
  })
})
