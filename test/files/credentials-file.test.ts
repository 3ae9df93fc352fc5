// AWS's shared credentials file: what becomes of one section, and that nothing becomes of the others.
import assert from 'node:assert/strict'
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import { credentialsFile, withSection } from '../../src/files/credentials-file.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { seeded } from '../support/random.ts'
import { file, folder, needsRoot, temporaries, writeFailure } from './support.ts'

const body = 'aws_access_key_id = NEW\naws_secret_access_key = SECRET\n'

describe('the section', () => {
  const cases: readonly (readonly [name: string, before: string, after: string])[] = [
    ['an empty file', '', `[app]\n${body}`],
    ['another section', '[x]\naws_access_key_id = X\n', `[x]\naws_access_key_id = X\n\n[app]\n${body}`],
    ['a file whose last line does not end', '[x]\nregion = a', `[x]\nregion = a\n\n[app]\n${body}`],
    ['a file that ends in an empty line', '[x]\nregion = a\n\n', `[x]\nregion = a\n\n[app]\n${body}`],
    ['its own old keys', '[app]\naws_access_key_id=OLD\naws_secret_access_key=OLD\naws_session_token=OLD\n', `[app]\n${body}`],
    ['keys of others in the section', '[app]\nregion = a\naws_access_key_id=OLD\noutput = json\n', `[app]\nregion = a\n${body}output = json\n`],
    ['keys that only begin alike', '[app]\naws_access_key_id_old = X\n', `[app]\naws_access_key_id_old = X\n${body}`],
    ['comments', '# one\n[app] # two\n; three\naws_access_key_id = OLD\n# four\n', `# one\n[app] # two\n; three\n${body}# four\n`],
    ['another spelling of the keys', '[app]\nAWS_Access_Key_Id: OLD\naws_secret_access_key\t= OLD\n', `[app]\n${body}`],
    ['a value over two lines', '[app]\naws_session_token = OLD\n  OLDER\nregion = a\n', `[app]\n${body}region = a\n`],
    ['a nested value of somebody else', '[app]\ns3 =\n  max = 1\naws_access_key_id = OLD\n', `[app]\ns3 =\n  max = 1\n${body}`],
    ['the token that botocore reads first', '[app]\naws_security_token = OLD\n', `[app]\n${body}`],
    ['a comment that is indented behind them', '[app]\naws_access_key_id = OLD\n  # mine\nregion = a\n', `[app]\n${body}  # mine\nregion = a\n`],
    ['keys that are indented', '[app]\n  region = eu\n  output = json\n', `[app]\n  region = eu\n  output = json\n${body}`],
    ['an indented key of others behind ours', '[app]\naws_access_key_id = OLD\n  region = eu\n\n[x]\n', `[app]\n  region = eu\n${body}\n[x]\n`],
    ['its own indented keys', '[app]\n  aws_access_key_id = OLD\nregion = a\n', `[app]\n${body}region = a\n`],
    ['a last line that does not end', '[app]\nregion = a', `[app]\nregion = a\n${body}`],
    ['a header that is the last line', '[app]', `[app]\n${body}`],
    ['a section whose name only begins alike', '[app2]\naws_access_key_id = X\n[app]\n', `[app2]\naws_access_key_id = X\n[app]\n${body}`],
    ['a blank inside the brackets', '[ app ]\naws_access_key_id = OLD\n[x]\n', `[ app ]\n${body}[x]\n`],
    ['two sections of one name', '[app]\nregion = a\n[app]\nregion = b\n', `[app]\nregion = a\n${body}[app]\nregion = b\n`],
    ['line ends of Windows', '[x]\r\nregion = a\r\n', `[x]\r\nregion = a\r\n\r\n[app]\r\n${body.replaceAll('\n', '\r\n')}`],
  ]
  for (const [name, before, after] of cases)
    test(`of ${name}`, () => {
      assert.equal(withSection(before, 'app', body), after)
      assert.equal(withSection(after, 'app', body), after, 'the same again changes nothing')
    })

  test('is taken out again, but for what others have put in it', () => {
    assert.equal(withSection(`[x]\na = b\n\n[app]\n${body}\n[y]\n`, 'app', ''), '[x]\na = b\n\n[y]\n')
    assert.equal(withSection(`[app]\n${body}region = a\n`, 'app', ''), '[app]\nregion = a\n')
    assert.equal(withSection('[x]\n', 'app', ''), '[x]\n')
    assert.equal(withSection(`[app]\n${body}region = a`, 'app', ''), '[app]\nregion = a', 'a last line that does not end stays so')
    assert.equal(withSection('[app]\nregion = a', 'app', ''), '[app]\nregion = a')
  })

  test('leaves every byte of others, whatever they wrote', () => {
    const random = seeded(7)
    const pieces = [
      '[x]\n',
      '[app2]\r\n',
      'region = ä\n',
      '# [app]\n',
      ' [y]\n',
      '\n',
      '=\n',
      'aws_access_key_id = FOREIGN\n',
      '\t\n',
      '  nested = 1\n',
      '[z',
      ']\n',
      '\u00ff\u0000\n',
    ]
    for (let n = 0; n < 2_000; n++) {
      const before = Array.from({ length: Math.floor(random() * 12) }, () => pieces[Math.floor(random() * pieces.length)]).join('')
      const after = withSection(before, 'app', body)
      assert.ok(after.startsWith(before.replace(/\n?$/, '')), JSON.stringify(before))
      assert.equal(withSection(after, 'app', body), after, JSON.stringify(before))
    }
  })
})

function setUp(t: TestContext, section = 'app') {
  const directory = folder(t)
  const path = join(directory, 'credentials')
  const place = credentialsFile(path, section, {}, systemClock)
  return { directory, path, place, write: (text = body) => place.write([file(path, text, 0o600)]), modeOf: () => statSync(path).mode & 0o777 }
}

test('a missing file and its directory are made for their owner alone', async (t) => {
  const { directory } = setUp(t)
  const path = join(directory, 'home/.aws/credentials')
  await credentialsFile(path, 'app', {}, systemClock).write([file(path, body, 0o600)])
  assert.equal(readFileSync(path, 'utf8'), `[app]\n${body}`)
  assert.deepEqual([statSync(path).mode & 0o777, statSync(join(directory, 'home/.aws')).mode & 0o777], [0o600, 0o700])
})

test('bytes that are no text of any encoding stay, and so does the owner', async (t) => {
  const { path, write } = setUp(t)
  const foreign = Buffer.from([0x5b, 0x78, 0x5d, 0x0a, 0xff, 0xfe, 0x00, 0x80, 0x0a])
  writeFileSync(path, foreign)
  if (process.getuid?.() === 0) chownSync(path, 1234, 2345)
  await write()
  assert.deepEqual(readFileSync(path).subarray(0, foreign.length), foreign)
  if (process.getuid?.() === 0) assert.deepEqual([statSync(path).uid, statSync(path).gid], [1234, 2345])
})

test('the file is never readable for more people than the mode says, nor for more than before', async (t) => {
  const { path, write, modeOf } = setUp(t)
  for (const [before, after] of [
    [0o644, 0o600],
    [0o640, 0o600],
    [0o400, 0o400],
  ] as const) {
    writeFileSync(path, '')
    chmodSync(path, before)
    await write()
    assert.equal(modeOf(), after, before.toString(8))
    chmodSync(path, 0o600)
  }
})

test('a symbolic link stays one', async (t) => {
  const { directory, path, write } = setUp(t)
  mkdirSync(join(directory, 'dotfiles'))
  symlinkSync('dotfiles/credentials', path)
  await write()
  assert.equal(readFileSync(join(directory, 'dotfiles/credentials'), 'utf8'), `[app]\n${body}`)
})

test('what several write at the same time is all there, and no lock stays', async (t) => {
  const { directory, path } = setUp(t)
  const names = Array.from({ length: 12 }, (_, n) => `p${n}`)
  await Promise.all(names.map((name) => credentialsFile(path, name, {}, systemClock).write([file(path, `aws_access_key_id = ${name}\n`)])))
  const text = readFileSync(path, 'utf8')
  for (const name of names) assert.ok(text.includes(`[${name}]\naws_access_key_id = ${name}\n`), name)
  assert.deepEqual([readdirSync(directory), temporaries(directory)], [['credentials'], []])
})

test('the lock of somebody who was killed is broken, and that of somebody who is at work is waited for', async (t) => {
  const { directory, write, path } = setUp(t)
  const lock = join(directory, '.credentials.svidecar-lock')
  writeFileSync(lock, '')
  utimesSync(lock, Date.now() / 1000 - 31, Date.now() / 1000 - 31)
  await write()
  assert.ok(!existsSync(lock))
  writeFileSync(lock, '')
  const writing = write('aws_access_key_id = LATER\n')
  await new Promise((resolve) => setTimeout(resolve, 60))
  assert.ok(!readFileSync(path, 'utf8').includes('LATER'))
  unlinkSync(lock)
  await writing
  assert.ok(readFileSync(path, 'utf8').includes('LATER'))
})

test('a lock that cannot be broken is given up, and what has another lock by then is left alone', async (t) => {
  const { directory, path } = setUp(t)
  const lock = join(directory, '.credentials.svidecar-lock')
  mkdirSync(lock)
  utimesSync(lock, 1, 1)
  const clock = createFakeClock()
  const writing = writeFailure(credentialsFile(path, 'app', {}, clock).write([file(path, body, 0o600)]))
  for (let n = 0; n < 400; n++) await clock.advance(25).then(() => new Promise((resolve) => setImmediate(resolve)))
  assert.match((await writing).message, /another svidecar holds/)
})

test('a section that somebody has changed or removed is noticed, and foreign changes are not', async (t) => {
  const { path, place, write } = setUp(t)
  await write()
  assert.equal(await place.isThere(), true)
  writeFileSync(path, `[x]\nregion = a\n${readFileSync(path, 'utf8')}`)
  assert.equal(await place.isThere(), true)
  writeFileSync(path, '[x]\nregion = a\n')
  assert.equal(await place.isThere(), false)
})

test('our section goes, and nothing else does', async (t) => {
  const { path, place, write } = setUp(t)
  writeFileSync(path, '[x]\nregion = a\n')
  await write()
  assert.equal(await place.remove(), true)
  assert.equal(readFileSync(path, 'utf8').trimEnd(), '[x]\nregion = a')
  assert.equal(await place.remove(), false)
})

test('a directory in the way, and a directory that may not be written, are failures with a reason', async (t) => {
  const { path, write } = setUp(t)
  mkdirSync(path)
  assert.match((await writeFailure(write())).message, /not a plain file/)
})

test('a link of a stranger in a directory where everybody may put things is refused', { skip: needsRoot }, async (t) => {
  const { directory, path, write } = setUp(t)
  chmodSync(directory, 0o1777)
  writeFileSync(path, '[x]\n')
  chownSync(path, 65_534, 65_534)
  assert.match((await writeFailure(write())).message, /belongs to user 65534/)
  assert.equal(readFileSync(path, 'utf8'), '[x]\n')
})
