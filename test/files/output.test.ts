// One output's loop, over a scripted source and a clock that the test moves: when it writes, tries again, removes, and leaves alone.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { failure } from '../../src/core/errors.ts'
import { plainFiles } from '../../src/files/place.ts'
import type { IdentityState } from '../../src/identity/sources.ts'
import { cannot, setUp, type Value } from './output-setup.ts'
import { file, folder } from './support.ts'

describe('writing', () => {
  test('nothing is written or removed while there is nothing yet', async (t) => {
    const { clock, log, events } = setUp(t)
    await clock.advance(600_000)
    assert.deepEqual([log, events], [[], []])
  })

  test('equal bytes are not written again and tell nobody; another byte or another mode is news', async (t) => {
    let mode = 0o600
    const { clock, log, of, ready } = setUp(t, { render: ({ text }) => ({ files: [file('/f', text, mode)] }) })
    for (const text of ['one', 'one', 'one', 'two']) {
      ready(text)
      await clock.advance(1_000)
    }
    await clock.advance(3_600_000)
    assert.deepEqual(log, ['one', 'two'])
    mode = 0o640
    ready('two')
    await clock.settle()
    assert.deepEqual(log, ['one', 'two', 'two'])
    assert.deepEqual(of('output.written').length, 3)
  })

  test('two files that share their bytes in another way are news', async (t) => {
    const { clock, log, ready } = setUp(t, { render: ({ text }) => ({ files: text.split(' ').map((one, index) => file(`/${index}`, one)) }) })
    for (const text of ['ab c', 'a bc', 'abc ']) {
      ready(text)
      await clock.settle()
    }
    assert.deepEqual(log, ['ab,c', 'a,bc', 'abc,'])
  })

  test('what was written is told with its files and its end', async (t) => {
    const { clock, events, ready } = setUp(t)
    ready('one', 60_000)
    await clock.settle()
    assert.deepEqual(events, [{ type: 'output.written', output: 'jwt /f', kind: 'jwt', files: ['/f'], expiresAt: clock.now() + 60_000 }])
  })

  test('a write that fails is tried again by itself, from half a second up to ten, until it is done', async (t) => {
    const { clock, log, faults, of, ready } = setUp(t)
    faults.write = cannot()
    ready('one')
    await clock.settle()
    const waits = of('output.failed').map(({ retryInSeconds }) => retryInSeconds)
    assert.deepEqual(waits, [0.5])
    await clock.advance(499)
    assert.equal(of('output.failed').length, 1)
    await clock.advance(60_000)
    assert.deepEqual(
      of('output.failed')
        .map(({ retryInSeconds }) => retryInSeconds)
        .slice(0, 8),
      [0.5, 1, 2, 4, 8, 10, 10, 10],
    )
    faults.write = undefined
    await clock.advance(10_000)
    assert.deepEqual(log, ['one'])
    const failures = of('output.failed').length
    faults.write = cannot()
    ready('two')
    await clock.settle()
    assert.equal(of('output.failed')[failures]?.retryInSeconds, 0.5, 'a success begins anew')
  })

  test('news does not wait for the end of a pause', async (t) => {
    const { clock, log, faults, ready } = setUp(t)
    faults.write = cannot()
    ready('one')
    await clock.advance(20_000)
    faults.write = undefined
    ready('two')
    await clock.settle()
    assert.deepEqual(log, ['two'])
  })

  test('of what comes during a write only the newest is written', async (t) => {
    const { clock, log, ready, hold } = setUp(t)
    let release = () => {}
    hold(new Promise((resolve) => (release = resolve)))
    ready('one')
    await clock.settle()
    for (const text of ['two', 'three', 'four']) {
      ready(text)
      await clock.settle()
    }
    release()
    await clock.settle()
    assert.deepEqual(log, ['one', 'four'])
  })

  test('material of which nothing can be made is a failure with its own code, and over with the next one', async (t) => {
    const { clock, log, of, ready } = setUp(t, {
      render: ({ text }) => {
        if (text === 'bad') throw failure('jwt_bundle_invalid', 'several trust domains')
        return { files: [file('/f', text)] }
      },
    })
    for (const text of ['one', 'bad']) {
      ready(text)
      await clock.settle()
    }
    assert.deepEqual([log, of('output.failed').map((event) => event.failure.code)], [['one'], ['jwt_bundle_invalid']])
    ready('two')
    await clock.settle()
    assert.deepEqual(log, ['one', 'two'])
  })

  test('an identity that is withdrawn, waits or cannot be reached leaves the files alone', async (t) => {
    const { clock, source, log, events, ready } = setUp(t, { removeExpired: false, removeAtStop: true })
    ready('one', 60_000)
    await clock.settle()
    const problem = failure('identity_not_issued', 'no identity issued')
    const { current } = source
    source.set({ ...current, failure: problem } as IdentityState<Value>)
    await clock.advance(3_600_000)
    source.set({ status: 'withdrawn', failure: problem })
    await clock.advance(3_600_000)
    source.set({ status: 'waiting' })
    await clock.advance(3_600_000)
    assert.deepEqual([log, events.length], [['one'], 1])
  })

  test('stopping during a write waits for it, and during a pause for nothing', async (t) => {
    const { clock, log, running, ready, hold } = setUp(t)
    let release = () => {}
    hold(new Promise((resolve) => (release = resolve)))
    ready('one')
    await clock.settle()
    const stopped = running.stop()
    release()
    await stopped
    assert.deepEqual([log, clock.sleeping], [['one'], 0])
  })
})

describe('expiry', () => {
  test('a token is removed at its end, not before, and the next one is written', async (t) => {
    const { clock, log, of, ready } = setUp(t)
    ready('one', 300_000)
    await clock.advance(299_999)
    assert.deepEqual(log, ['one'])
    await clock.advance(1)
    assert.deepEqual(log, ['one', 'removed'])
    assert.deepEqual(of('output.removed'), [{ type: 'output.removed', output: 'jwt /f', kind: 'jwt', why: 'it has expired' }])
    await clock.advance(3_600_000)
    assert.deepEqual(log, ['one', 'removed'], 'once')
    ready('two', 300_000)
    await clock.settle()
    assert.deepEqual(log, ['one', 'removed', 'two'])
  })

  test('a token that could not be renewed is removed at its own end, even while writing fails', async (t) => {
    const { clock, log, faults, ready } = setUp(t)
    ready('one', 100_000)
    await clock.settle()
    faults.write = cannot()
    ready('two', 300_000)
    await clock.advance(100_000)
    assert.deepEqual(log, ['one', 'removed'])
    faults.write = undefined
    await clock.advance(10_000)
    assert.deepEqual(log, ['one', 'removed', 'two'])
  })

  test('it does not matter what the identity does meanwhile', async (t) => {
    const { clock, source, log, ready } = setUp(t)
    ready('one', 100_000)
    await clock.settle()
    source.set({ status: 'withdrawn', failure: failure('identity_not_issued', 'no') })
    await clock.advance(100_000)
    assert.deepEqual(log, ['one', 'removed'])
  })

  test('a token that has ended already is never written', async (t) => {
    const { clock, log, events, ready } = setUp(t)
    ready('old', -1)
    await clock.advance(600_000)
    ready('just now', 0)
    await clock.advance(600_000)
    assert.deepEqual([log, events], [[], []])
  })

  test('a wall clock that is set forward is noticed within a minute', async (t) => {
    const { clock, log, ready } = setUp(t)
    ready('one', 86_400_000)
    await clock.settle()
    clock.stepWall(86_400_000)
    await clock.advance(60_000)
    assert.deepEqual(log, ['one', 'removed'])
  })

  test('without removeExpired what has ended stays', async (t) => {
    const { clock, log, ready } = setUp(t, { removeExpired: false })
    ready('one', 1_000)
    await clock.advance(600_000)
    assert.deepEqual(log, ['one'])
  })

  test('a removal that fails is told with the time of the next attempt, and tried again until the token is gone', async (t) => {
    const { clock, log, faults, of, ready } = setUp(t)
    ready('one', 10_000)
    await clock.settle()
    faults.remove = Object.assign(new Error('EBUSY: resource busy'), { code: 'EBUSY', errno: -16 })
    await clock.advance(10_000)
    const [told] = of('output.failed')
    assert.equal(told?.failure.code, 'file_write', 'not a defect of svidecar')
    faults.remove = undefined
    await clock.advance(120_000)
    assert.deepEqual(log, ['one', 'removed'])
  })

  test('a plain file is really gone at its end and really back afterwards', async (t) => {
    const path = join(folder(t), 'token')
    const { clock, ready } = setUp(t, {
      place: plainFiles({}),
      render: ({ text, expiresAt }) => ({ files: [file(path, text)], ...(expiresAt === undefined ? {} : { expiresAt }) }),
    })
    const until = async (done: () => boolean) => {
      while (!done()) await clock.settle()
    }
    ready('one', 10_000)
    await until(() => existsSync(path))
    await clock.settle()
    await clock.advance(10_000)
    await until(() => !existsSync(path))
    ready('two', 10_000)
    await until(() => existsSync(path))
    assert.equal(readFileSync(path, 'utf8'), 'two')
  })
})

describe('the end', () => {
  test('remove_at_stop removes what was written when the output is gone for good, and not when it only stops', async (t) => {
    for (const removeAtStop of [true, false]) {
      const { clock, log, output, running, ready } = setUp(t, { removeAtStop })
      ready('one')
      await clock.settle()
      await running.stop()
      assert.deepEqual(log, ['one'])
      await output.gone('svidecar stops')
      assert.deepEqual(log, removeAtStop ? ['one', 'removed'] : ['one'])
    }
  })

  test('what was never written is not removed', async (t) => {
    const { clock, log, output, running } = setUp(t, { removeAtStop: true })
    await clock.settle()
    await running.stop()
    await output.gone('svidecar stops')
    assert.deepEqual(log, [])
  })

  test('a removal at the end that fails is told, and rejects for nobody', async (t) => {
    const { clock, faults, output, of, running, ready } = setUp(t, { removeAtStop: true })
    ready('one')
    await clock.settle()
    faults.remove = new Error('busy')
    await running.stop()
    await output.gone('svidecar stops')
    assert.equal(of('output.failed').length, 1)
  })
})

test('old generations are swept when their time has come, without any news', async (t) => {
  const swept: number[] = []
  let due: number | undefined = 120_000
  const { clock, ready } = setUp(t, {
    place: {
      write: async () => {},
      remove: async () => true,
      isThere: async () => true,
      sweep: async () => {
        swept.push(clock.boot())
        if (due !== undefined && clock.boot() >= begun + due) due = undefined
        return due === undefined ? undefined : begun + due - clock.boot()
      },
    },
  })
  const begun = clock.boot()
  ready('one')
  await clock.advance(120_000)
  assert.ok(swept.includes(begun + 120_000))
  assert.equal(due, undefined)
})
