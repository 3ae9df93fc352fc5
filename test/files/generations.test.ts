// Generations: how names lead into the newest one, how long the old one stays, and what is cleared away and what is not.
import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createGenerations } from '../../src/files/generations.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { file, folder, needsRoot, temporaries, writeFailure } from './support.ts'

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8)
const read = (...path: string[]): string => readFileSync(join(...path), 'utf8')

function setUp(t: TestContext, name = 'svid') {
  const directory = join(folder(t), name)
  const clock = createFakeClock()
  const place = createGenerations(directory, {}, clock)
  return {
    directory,
    clock,
    place,
    write: (...names: string[]) => place.write(names.map((path) => file(path, path, 0o600))),
    generations: () => readdirSync(directory).filter((one) => one.startsWith('..2')),
    visible: () =>
      readdirSync(directory)
        .filter((one) => !one.startsWith('.'))
        .sort(),
    current: () => readlinkSync(join(directory, '..data')),
  }
}

test('names are links into ..data, which is a link to the one generation, whose directory has files and nothing else', async (t) => {
  const { directory, place, generations, current } = setUp(t)
  await place.write([file('tls.crt', 'C', 0o644), file('tls.key', 'K', 0o600)])
  assert.deepEqual(generations(), [current()])
  assert.deepEqual(readdirSync(directory).sort(), [current(), '..data', 'tls.crt', 'tls.key'].sort())
  assert.deepEqual([readlinkSync(join(directory, 'tls.crt')), readlinkSync(join(directory, 'tls.key'))], ['..data/tls.crt', '..data/tls.key'])
  assert.deepEqual(readdirSync(join(directory, current())).sort(), ['tls.crt', 'tls.key'])
  assert.deepEqual([read(directory, 'tls.crt'), read(directory, 'tls.key')], ['C', 'K'])
})

test('modes are exact under any umask, also those of every directory that is made', async (t) => {
  const before = process.umask()
  t.after(() => process.umask(before))
  for (const umask of [0, 0o022, 0o077, 0o777]) {
    const { directory, place, current } = setUp(t, 'not/there/yet')
    process.umask(umask)
    await place.write([file('crt', 'C', 0o644), file('key', 'K', 0o440)])
    process.umask(before)
    assert.deepEqual([modeOf(join(directory, 'crt')), modeOf(join(directory, 'key'))], ['644', '440'])
    for (const made of [directory, join(directory, current()), join(directory, '..'), join(directory, '../..')])
      assert.equal(modeOf(made), '755', `${made} under ${umask.toString(8)}`)
  }
})

test('the mode of a generation is not set through a link that a neighbour has put in its place', async (t) => {
  const { directory, place } = setUp(t)
  mkdirSync(directory)
  const victim = `${directory}.victim`
  for (let round = 0; round < 3; round++) {
    writeFileSync(victim, 'root only', { mode: 0o600 })
    let pending = true
    const writing = place.write([file('crt', 'C')]).then(
      () => {},
      () => {},
    )
    void writing.then(() => (pending = false))
    for (let caught = false; pending && !caught; ) {
      // While this thread looks, the directory may be made, but nothing comes after it.
      for (const end = performance.now() + 20; performance.now() < end && !caught; ) {
        const found = readdirSync(directory, { withFileTypes: true }).find((one) => one.isDirectory() && one.name.startsWith('..2'))
        caught = found !== undefined
        if (found === undefined) continue
        renameSync(join(directory, found.name), `${directory}.${round}`)
        symlinkSync(victim, join(directory, found.name))
      }
      await setImmediate()
    }
    await writing
    assert.deepEqual([modeOf(victim), read(victim)], ['600', 'root only'])
    rmSync(directory, { recursive: true, force: true })
    mkdirSync(directory)
  }
})

test('a directory that was there keeps its mode', async (t) => {
  const { directory, write } = setUp(t)
  mkdirSync(directory)
  chmodSync(directory, 0o2750)
  await write('crt')
  assert.equal(modeOf(directory), '2750')
})

test('files have the owner that was asked for', { skip: needsRoot }, async (t) => {
  const directory = folder(t)
  await createGenerations(directory, { uid: 1234, gid: 2345 }, createFakeClock()).write([file('key', 'K')])
  assert.deepEqual([statSync(join(directory, 'key')).uid, statSync(join(directory, 'key')).gid], [1234, 2345])
})

test('who has opened the old generation has its files for two minutes, and not longer', async (t) => {
  const { directory, clock, place, write, generations, current } = setUp(t)
  await write('crt', 'key')
  const old = join(directory, current())
  assert.equal(await place.sweep?.(), undefined, 'nothing to do')
  await clock.advance(1_000)
  await write('crt', 'key')
  assert.equal(await place.sweep?.(), 120_000)
  await clock.advance(119_999)
  assert.equal(await place.sweep?.(), 1)
  assert.deepEqual([read(old, 'crt'), read(old, 'key')], ['crt', 'key'])
  await clock.advance(1)
  assert.equal(await place.sweep?.(), undefined)
  assert.deepEqual(generations(), [current()])
})

test('each old generation has two minutes of its own, by the boot clock and not by the one on the wall', async (t) => {
  const { clock, place, write, generations, current } = setUp(t)
  await write('crt')
  await write('crt')
  await place.sweep?.()
  await clock.advance(60_000)
  await write('crt')
  clock.stepWall(86_400_000)
  assert.equal(await place.sweep?.(), 60_000)
  assert.equal(generations().length, 3)
  await clock.advance(60_000)
  assert.equal(await place.sweep?.(), 60_000)
  assert.equal(generations().length, 2)
  await clock.advance(60_000)
  assert.equal(await place.sweep?.(), undefined)
  assert.deepEqual(generations(), [current()])
})

test('a new run sweeps what an earlier one left, two minutes after its first look, and keeps the current generation without writing', async (t) => {
  const { directory, write, generations, current } = setUp(t)
  await write('crt')
  await write('crt')
  const clock = createFakeClock()
  const next = createGenerations(directory, {}, clock)
  assert.equal(await next.sweep?.(), 120_000)
  await clock.advance(120_000)
  await next.sweep?.()
  assert.deepEqual(generations(), [current()])
  assert.equal(read(directory, 'crt'), 'crt')
})

test('what a process that was killed left is removed: a generation without all its files, with a temporary one, and links that never took their place', async (t) => {
  const { directory, clock, place, write, current } = setUp(t)
  const unfinished = join(directory, '..20260101T000000000Z-0123456789ab')
  mkdirSync(unfinished, { recursive: true })
  writeFileSync(join(unfinished, '.key.0123456789ab.new'), 'secret')
  symlinkSync('..20260101T000000000Z-0123456789ab', join(directory, '..data.0123456789ab.new'))
  symlinkSync('..data/key', join(directory, '..key.0123456789ab.new'))
  await write('crt', 'key')
  await place.sweep?.()
  await clock.advance(120_000)
  await place.sweep?.()
  assert.deepEqual(readdirSync(directory).sort(), [current(), '..data', 'crt', 'key'].sort())
})

test('a generation that was not in use at one look, and is again, is not removed two minutes later', async (t) => {
  const { directory, clock, place, write, generations, current } = setUp(t)
  await write('crt', 'key')
  const [link, aside] = [join(directory, '..data'), join(directory, 'aside')]
  const live = current()
  const blink = async () => {
    renameSync(link, aside)
    assert.equal(await place.sweep?.(), 120_000, 'it may be an old one')
    renameSync(aside, link)
  }
  await blink()
  for (let minute = 0; minute < 5; minute++) {
    await clock.advance(60_000)
    await place.sweep?.()
  }
  assert.deepEqual([generations(), read(directory, 'crt'), read(directory, 'key')], [[live], 'crt', 'key'])
  await blink()
  await clock.advance(60_000)
  await place.sweep?.()
  await write('crt', 'key')
  assert.equal(await place.sweep?.(), 120_000, 'its two minutes begin when it is replaced')
  await clock.advance(119_999)
  await place.sweep?.()
  assert.equal(generations().length, 2)
  await clock.advance(1)
  assert.equal(await place.sweep?.(), undefined)
  assert.deepEqual(generations(), [current()])
})

test('while nobody can tell which generation is in use, none is removed', async (t) => {
  const { directory, clock, place, write, generations, current } = setUp(t)
  await write('crt')
  const [link, aside] = [join(directory, '..data'), join(directory, 'aside')]
  const live = current()
  renameSync(link, aside)
  writeFileSync(link, 'no link')
  for (let minute = 0; minute < 5; minute++) {
    await assert.rejects(async () => place.sweep?.(), { code: 'EINVAL' })
    await clock.advance(60_000)
  }
  assert.deepEqual(generations(), [live])
})

test('what others have put into the directory is left alone, however much it looks like ours', async (t) => {
  const { directory, clock, place, write } = setUp(t)
  mkdirSync(directory)
  const others = ['..20260101', '..20260101T000000000Z-0123456789AB', '.hidden', 'notes', '..2026_01_01_00_00_00.123456789']
  for (const name of others) mkdirSync(join(directory, name))
  symlinkSync('elsewhere/crt', join(directory, 'crt-link'))
  symlinkSync('..data/other', join(directory, 'alias'))
  await write('crt')
  await write('key')
  await place.sweep?.()
  await clock.advance(120_000)
  await place.sweep?.()
  await place.remove()
  assert.deepEqual(readdirSync(directory).sort(), [...others, 'crt-link', 'alias'].sort())
})

test('a plain file that has one of the names gives way to the link, and a name that is no longer wanted goes', async (t) => {
  const { directory, write, visible } = setUp(t)
  mkdirSync(directory)
  writeFileSync(join(directory, 'key'), 'of another program')
  await write('crt', 'key', 'bundle.a.pem')
  assert.equal(readlinkSync(join(directory, 'key')), '..data/key')
  await write('crt', 'key', 'bundle.b.pem')
  assert.deepEqual(visible(), ['bundle.b.pem', 'crt', 'key'])
})

test('a new run under other names takes the old names away', async (t) => {
  const { directory, write, visible } = setUp(t)
  await write('svid.pem', 'svid_key.pem')
  await createGenerations(directory, {}, createFakeClock()).write([file('tls.crt', 'C')])
  assert.deepEqual(visible(), ['tls.crt'])
})

test('a name that is a directory, or ..data that is one, is a failure that has changed nothing', async (t) => {
  for (const taken of ['key', '..data']) {
    const { directory, place, generations, visible } = setUp(t)
    mkdirSync(directory)
    if (taken === 'key') await place.write([file('crt', 'old')])
    mkdirSync(join(directory, taken))
    const before = [...visible(), ...generations()]
    assert.equal((await writeFailure(place.write([file('crt', 'new'), file('key', 'new')]))).path, directory)
    assert.deepEqual(temporaries(directory), [])
    assert.deepEqual([...visible(), ...generations()], before, taken)
    if (taken === 'key') assert.equal(read(directory, 'crt'), 'old', 'as the failure says: what was there before is still there')
  }
})

test('a directory that is a file, or lies below one, is a failure with path and reason', async (t) => {
  const { directory, write } = setUp(t)
  writeFileSync(directory, 'old')
  const { path, reason } = await writeFailure(write('crt'))
  assert.equal(path, directory)
  assert.match(String(reason), /exists|not a directory/)
  assert.equal(readFileSync(directory, 'utf8'), 'old')
})

test('a directory that vanished is made again with everything in it', async (t) => {
  const { directory, clock, place, write, visible } = setUp(t)
  await write('crt')
  await write('crt')
  await place.sweep?.()
  rmSync(directory, { recursive: true })
  assert.equal(typeof (await place.sweep?.()), 'number')
  await clock.advance(120_000)
  await place.sweep?.()
  await write('crt')
  assert.deepEqual(visible(), ['crt'])
  assert.equal(read(directory, 'crt'), 'crt')
})

test('a directory that is a link to another one stays a link', async (t) => {
  const { directory, write } = setUp(t)
  mkdirSync(`${directory}.real`)
  symlinkSync(`${directory}.real`, directory)
  await write('crt')
  assert.ok(lstatSync(directory).isSymbolicLink())
  assert.equal(realpathSync(join(directory, 'crt')).startsWith(`${directory}.real/..2`), true)
})

for (const [what, name] of [
  ['spaces and quotes', 'a "b" \'c\' $(d)'],
  ['unicode', 'zertifikat-ü-證書-🔐.pem'],
  ['240 bytes', 'n'.repeat(240)],
  ['255 bytes', 'n'.repeat(255)],
  ['255 bytes of unicode', '證'.repeat(85)],
] as const)
  test(`a name with ${what} is written twice, and removed`, async (t) => {
    const { directory, place, write, visible } = setUp(t)
    await write(name)
    await write(name)
    assert.deepEqual(visible(), [name])
    assert.equal(read(directory, name), name)
    await place.remove()
    assert.deepEqual(readdirSync(directory), [])
  })

test('removing takes away links and generations, leaves the directory, and is done twice without harm', async (t) => {
  const { directory, place, write } = setUp(t)
  await write('crt', 'key')
  await write('crt', 'key')
  const open = openSync(join(directory, 'key'), 'r')
  await place.remove()
  assert.deepEqual(readdirSync(directory), [])
  assert.equal(readFileSync(open, 'utf8'), 'key')
  await place.remove()
  rmSync(directory, { recursive: true })
  await place.remove()
  assert.equal(existsSync(directory), false)
})

test('five hundred bundles are one generation like any other', async (t) => {
  const { write, visible } = setUp(t)
  const names = Array.from({ length: 500 }, (_, n) => `bundle.${n}.pem`)
  await write(...names)
  assert.deepEqual(visible(), names.toSorted())
  await write('crt')
  assert.deepEqual(visible(), ['crt'])
})
