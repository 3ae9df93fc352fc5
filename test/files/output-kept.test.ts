// What lies on disk is looked after: what is gone comes back, what cannot be removed is tried later and later, and an earlier run's files are known.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { createGenerations } from '../../src/files/generations.ts'
import { type Place, plainFiles } from '../../src/files/place.ts'
import { createHealth } from '../../src/telemetry/health.ts'
import { eventually } from '../support/eventually.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { setUp } from './output-setup.ts'
import { file, folder } from './support.ts'

describe('files that are gone', () => {
  /** An output of one file in a real directory, written. */
  async function written(t: TestContext, kind: 'plain' | 'generations') {
    const directory = folder(t)
    const path = kind === 'plain' ? join(directory, 'f') : 'f'
    const place: Place = kind === 'plain' ? plainFiles({}) : createGenerations(directory, {}, createFakeClock())
    const one = setUp(t, { place, removeExpired: false, render: ({ text }) => ({ files: [file(path, text), file(`${path}2`, text)] }) })
    const times = (count: number) => eventually(`${count} times told`, () => one.of('output.written').length === count)
    one.ready('one')
    await times(1)
    // It waits for the next look.
    await eventually('it sleeps', () => one.clock.sleeping === 1)
    return { ...one, directory, path: join(directory, 'f'), times }
  }

  for (const kind of ['plain', 'generations'] as const) {
    test(`are written again at the next look, and told again: ${kind}`, async (t) => {
      const { directory, path, clock, of, times } = await written(t, kind)
      for (const [count, vanish] of [
        [2, () => unlinkSync(`${path}2`)],
        [3, () => readdirSync(directory).forEach((name) => rmSync(join(directory, name), { recursive: true }))],
      ] as const) {
        vanish()
        await clock.advance(60_000)
        await times(count)
        assert.deepEqual([readFileSync(path, 'utf8'), readFileSync(`${path}2`, 'utf8')], ['one', 'one'])
        await eventually('it sleeps', () => clock.sleeping === 1)
      }
      assert.deepEqual(of('output.failed'), [])
    })

    test(`that are still there are not touched, whatever else happens: ${kind}`, async (t) => {
      const { path, clock, of, ready } = await written(t, kind)
      const inodeOf = () => [path, `${path}2`].map((one) => statSync(one).ino)
      const before = inodeOf()
      for (let look = 0; look < 3; look++) {
        ready('one')
        await eventually('it sleeps', () => clock.sleeping === 1)
        await clock.advance(60_000)
      }
      await eventually('it sleeps', () => clock.sleeping === 1)
      assert.deepEqual([inodeOf(), of('output.written').length], [before, 1])
    })
  }

  test('a generation that is gone behind its link is made again', async (t) => {
    const { directory, path, clock, times } = await written(t, 'generations')
    rmSync(join(directory, '..data'))
    await clock.advance(60_000)
    await times(2)
    assert.equal(readFileSync(path, 'utf8'), 'one')
  })

  test('a link that has taken the place of a file is left alone', async (t) => {
    const { path, clock, of } = await written(t, 'plain')
    unlinkSync(path)
    symlinkSync('nowhere', path)
    await clock.advance(180_000)
    await eventually('it sleeps', () => clock.sleeping === 1)
    assert.deepEqual([of('output.written').length, lstatSync(path).isSymbolicLink()], [1, true])
  })

  test('a write that fails then is told, and tried again soon', async (t) => {
    const { clock, faults, of, log, ready } = setUp(t)
    ready('one')
    await clock.settle()
    Object.assign(faults, { gone: true, write: new Error('no') })
    await clock.advance(60_000)
    assert.deepEqual(
      of('output.failed').map(({ retryInSeconds }) => retryInSeconds),
      [0.5],
    )
    faults.write = undefined
    await clock.advance(500)
    faults.gone = false
    await clock.advance(600_000)
    assert.deepEqual(log, ['one', 'one'])
  })
})

test('a removal that fails is tried after half a second, then later and later, and nothing is wrong once it is done', async (t) => {
  const health = createHealth(createFakeClock())
  const { clock, events, faults, log, of, ready } = setUp(t, {
    emit: (event) => {
      events.push(event)
      health.listener(event)
    },
  })
  const outputs = [{ output: 'jwt /f', kind: 'jwt' as const }]
  health.listener({ type: 'config.loaded', at: 0, origin: 'test', identities: [], profiles: [], outputs, hooks: [] })
  const waits = () => of('output.failed').map(({ retryInSeconds }) => retryInSeconds)
  ready('one', 10_000)
  await clock.settle()
  faults.remove = Object.assign(new Error('EBUSY: resource busy'), { code: 'EBUSY', errno: -16 })
  await clock.advance(10_000)
  assert.deepEqual(waits(), [0.5])
  await clock.advance(499)
  assert.equal(waits().length, 1)
  await clock.advance(60_000)
  assert.deepEqual(waits(), [0.5, 1, 2, 4, 8, 10, 10, 10, 10, 10])
  assert.deepEqual(
    health.status().problems.map(({ subject, message }) => [subject, message]),
    [['jwt /f', 'cannot remove jwt /f: resource busy or locked']],
  )
  faults.remove = undefined
  await clock.advance(10_000)
  assert.deepEqual([log, of('output.removed').length], [['one', 'removed'], 1])
  assert.deepEqual([health.status().problems, health.status().outputs[0]?.status], [[], 'missing'])
  ready('two', 10_000)
  await clock.settle()
  faults.remove = new Error('busy')
  await clock.advance(10_000)
  assert.equal(waits().at(-1), 0.5, 'a success begins anew')
})

test('what somebody else has removed before is not told, unless it could not be removed by us', async (t) => {
  for (const fails of [false, true]) {
    let failure = fails ? new Error('busy') : undefined
    const place: Place = {
      write: async () => {},
      isThere: async () => true,
      remove: async () => {
        if (failure !== undefined) throw failure
        return false
      },
    }
    const { clock, of, ready } = setUp(t, { place })
    ready('one', 10_000)
    await clock.advance(20_000)
    failure = undefined
    await clock.advance(60_000)
    assert.equal(of('output.removed').length, fails ? 1 : 0)
  }
})

describe('what an earlier run has left', () => {
  const encode = (json: unknown) => Buffer.from(JSON.stringify(json)).toString('base64url')
  const token = (claims: unknown) => `${encode({ alg: 'ES256' })}.${encode(claims)}.c2lnbmF0dXJl`
  const sub = 'spiffe://example.org/web'
  const tokenUntil = (clock: FakeClock, ms: number) => token({ sub, exp: (clock.now() + ms) / 1000 })

  /** An output whose agent is away, over a file with this text. */
  function away(t: TestContext, text: (clock: FakeClock) => string, removeAtStop = false) {
    const path = join(folder(t), 'token')
    writeFileSync(path, text(createFakeClock()))
    const place = plainFiles({}, path)
    const one = setUp(t, { place, removeAtStop, render: ({ text: data, expiresAt = 0 }) => ({ files: [file(path, data)], expiresAt }) })
    return { ...one, path, asleep: () => eventually('it sleeps', () => one.clock.sleeping === 1) }
  }

  test('a token that ends while the agent is away is removed then, not before, and told', async (t) => {
    const { path, clock, of, asleep } = away(t, (now) => tokenUntil(now, 300_000))
    await asleep()
    for (let second = 0; second < 300; second += 13) {
      await clock.advance(13_000)
      await asleep()
      assert.equal(existsSync(path), second + 13 < 300, `after ${second + 13} s`)
    }
    assert.deepEqual(
      of('output.removed').map(({ output, why }) => [output, why]),
      [['jwt /f', 'it has expired']],
    )
  })

  test('a token that had ended before is removed at once', async (t) => {
    const { path, of } = away(t, (now) => tokenUntil(now, -1_000))
    await eventually('it is gone', () => !existsSync(path) && of('output.removed').length === 1)
  })

  test('what is no token of a SPIFFE ID is left alone, also when svidecar stops', async (t) => {
    for (const text of [
      '',
      'opaque',
      'a.b.c',
      token({ sub: 'alice', exp: 1 }),
      token({ exp: 1 }),
      token({ sub }),
      token({ sub, exp: '1' }),
      token([]),
      token(null),
      `${'x'.repeat(100_000)}`,
    ]) {
      const { path, clock, events, running, output, asleep } = away(t, () => text, true)
      await asleep()
      await clock.advance(600_000)
      await asleep()
      await running.stop()
      await output.gone('svidecar stops')
      assert.deepEqual([readFileSync(path, 'utf8'), events], [text, []])
    }
  })

  test('a token that is still good is replaced by the first news, and the hooks hear of it, even when it is the same', async (t) => {
    const good = tokenUntil(createFakeClock(), 300_000)
    const { path, of, ready, asleep } = away(t, () => good)
    await asleep()
    ready(good, 300_000)
    await eventually('it is told', () => of('output.written').length === 1)
    assert.equal(readFileSync(path, 'utf8'), good)
    ready('new', 300_000)
    await eventually('it is new', () => readFileSync(path, 'utf8') === 'new')
    assert.deepEqual(of('output.removed'), [])
  })

  test('behind a link the token goes, and the link stays', async (t) => {
    const directory = folder(t)
    const link = join(directory, 'link')
    symlinkSync('token', link)
    writeFileSync(join(directory, 'token'), tokenUntil(createFakeClock(), -1_000))
    const { of } = setUp(t, { place: plainFiles({}, link) })
    await eventually('it is removed', () => of('output.removed').length === 1)
    assert.deepEqual(readdirSync(directory), ['link'])
  })

  test('a pipe or a device in the place of a token is not read, and the first news is written there', async (t) => {
    const directory = folder(t)
    const pipe = join(directory, 'pipe')
    spawnSync('/bin/sh', ['-c', 'mkfifo "$0"', pipe])
    symlinkSync('/dev/zero', join(directory, 'zero'))
    try {
      for (const name of ['pipe', 'zero']) {
        const { of, ready } = setUp(t, { place: { ...plainFiles({}, join(directory, name)), write: async () => {} } })
        ready('new', 10_000)
        await eventually(`${name} is written`, () => of('output.written').length === 1)
      }
    } finally {
      // Frees the thread that waits, if one does.
      closeSync(openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK))
    }
  })

  test('is taken away by remove_at_stop while the agent is away: a token', async (t) => {
    for (const removeAtStop of [true, false]) {
      const { path, running, output, of, asleep } = away(t, (now) => tokenUntil(now, 300_000), removeAtStop)
      await asleep()
      await running.stop()
      await output.gone('svidecar stops')
      assert.deepEqual([existsSync(path), of('output.removed').map(({ why }) => why)], removeAtStop ? [false, ['svidecar stops']] : [true, []])
    }
  })

  test('is taken away by remove_at_stop while the agent is away: generations', async (t) => {
    for (const removeAtStop of [true, false]) {
      const directory = folder(t)
      const place = () => createGenerations(directory, {}, createFakeClock())
      await place().write([file('crt', 'C'), file('key', 'K')])
      await place().write([file('crt', 'C'), file('key', 'K')])
      const { clock, running, output, of } = setUp(t, { place: place(), removeAtStop, removeExpired: false })
      await eventually('it sleeps', () => clock.sleeping === 1)
      assert.ok(existsSync(join(directory, 'key')), 'until then it is there')
      await running.stop()
      await output.gone('svidecar stops')
      assert.deepEqual([readdirSync(directory).length, of('output.removed').length], removeAtStop ? [0, 1] : [5, 0])
    }
  })

  test('links of the same form, which another program keeps, are not taken for ours', async (t) => {
    const directory = folder(t)
    spawnSync('/bin/sh', [
      '-c',
      'mkdir "$0/..2026_01_01" && : > "$0/..2026_01_01/key" && ln -s ..2026_01_01 "$0/..data" && ln -s ..data/key "$0/key"',
      directory,
    ])
    const { clock, running, output, events } = setUp(t, { place: createGenerations(directory, {}, createFakeClock()), removeAtStop: true })
    await eventually('it sleeps', () => clock.sleeping === 1)
    await running.stop()
    await output.gone('svidecar stops')
    assert.deepEqual([readdirSync(directory).sort(), events], [['..2026_01_01', '..data', 'key'], []])
  })

  test('nothing is nothing to remove', async (t) => {
    for (const place of [plainFiles({}, join(folder(t), 'token')), createGenerations(join(folder(t), 'svid'), {}, createFakeClock())]) {
      const { clock, running, output, events } = setUp(t, { place, removeAtStop: true })
      await eventually('it sleeps', () => clock.sleeping === 1)
      await running.stop()
      await output.gone('svidecar stops')
      assert.deepEqual(events, [])
    }
  })
})
