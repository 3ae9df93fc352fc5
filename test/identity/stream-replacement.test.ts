// A stream that may have gone deaf is replaced by one other: made first, then the old one is broken, never more than two.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { keep } from './kept-stream.ts'
import { deny, gone } from './scripted-api.ts'

test('the new stream is made first, and the old one broken with its first message', async (t) => {
  const { clock, streams, taken, replace, failed } = keep(t)
  await clock.settle()
  const old = streams.last
  old.send('one')
  await clock.advance(5_000)
  replace()
  await clock.settle()
  assert.equal(streams.open.length, 2)
  old.send('two')
  await clock.settle()
  assert.deepEqual(taken, ['one', 'two'], 'the old one still counts')
  streams.last.send('three')
  await clock.settle()
  assert.equal(old.open, false)
  assert.equal(streams.open.length, 1)
  streams.last.send('four')
  await clock.advance(3_600_000)
  assert.deepEqual(taken, ['one', 'two', 'three', 'four'])
  assert.deepEqual([streams.all.length, streams.most, failed.length], [2, 2, 0])
})

test('asked for many times it is one, until it has taken over or failed', async (t) => {
  const { clock, streams, replace } = keep(t)
  await clock.settle()
  streams.last.send('x')
  await clock.settle()
  for (let time = 0; time < 5; time++) {
    replace()
    await clock.advance(1_000)
  }
  assert.deepEqual([streams.all.length, streams.most], [2, 2])
})

test('the old stream is kept when the new one fails, and a later one may be tried', async (t) => {
  const { clock, streams, taken, replace } = keep(t)
  await clock.settle()
  const old = streams.last
  old.send('one')
  for (const fail of [gone, deny, (stream: typeof old) => stream.end()]) {
    await clock.settle()
    replace()
    await clock.settle()
    fail(streams.last)
    await clock.advance(60_000)
    assert.deepEqual(streams.open, [old])
  }
  assert.equal(streams.all.length, 4)
  old.send('two')
  await clock.settle()
  assert.deepEqual(taken, ['one', 'two'])
  replace()
  await clock.settle()
  streams.last.send('three')
  await clock.settle()
  assert.deepEqual([taken.at(-1), old.open, streams.open.length], ['three', false, 1])
})

test('the one that took over is supervised as the old one was', async (t) => {
  const { clock, streams, taken, replace, failed } = keep(t)
  await clock.settle()
  streams.last.send('one')
  await clock.settle()
  replace()
  await clock.settle()
  streams.last.send('two')
  await clock.advance(10_000)
  streams.script((stream) => stream.send('three'))
  gone(streams.last)
  await clock.advance(1_000)
  assert.deepEqual(taken, ['one', 'two', 'three'])
  assert.deepEqual([failed.length, streams.all.length, streams.open.length], [1, 3, 1])
  replace()
  await clock.settle()
  assert.deepEqual([streams.all.length, streams.open.length], [4, 1], 'and may be replaced in its turn')
})

test('the old one may end while the new one is silent: there is no third', async (t) => {
  const { clock, streams, taken, replace, failed } = keep(t)
  await clock.settle()
  const old = streams.last
  old.send('one')
  await clock.settle()
  replace()
  await clock.settle()
  gone(old)
  await clock.advance(5_000)
  assert.deepEqual([streams.all.length, streams.open.length], [2, 1])
  streams.last.send('two')
  await clock.settle()
  assert.deepEqual(taken, ['one', 'two'])
  gone(streams.last)
  await clock.advance(1_000)
  assert.equal(streams.open.length, 1)
  assert.ok(failed.length >= 1)
})

describe('asked for while no stream is open', () => {
  for (const [why, fail] of [
    ['the agent is away', gone],
    ['the agent has no identity for us', deny],
    ['the agent calls the request invalid', (stream: { fail(code: number): void }) => stream.fail(3)],
  ] as const)
    test(`because ${why}, it leaves one stream and not two`, async (t) => {
      const { clock, streams, taken, replace } = keep(t)
      streams.script(fail)
      await clock.advance(60_000)
      streams.script((stream) => stream.send('x'))
      replace()
      await clock.advance(120_000)
      assert.equal(streams.open.length, 1, 'streams stay open beside each other')
      assert.equal(taken.length, streams.all.filter(({ open }) => open).length)
    })
})

describe('after the end', () => {
  test('it opens nothing', async (t) => {
    const { clock, streams, replace, stop } = keep(t)
    await clock.settle()
    await stop()
    replace()
    await clock.advance(60_000)
    assert.equal(streams.all.length, 1)
  })

  test('neither it nor the old one is left', async (t) => {
    const { clock, streams, replace, stop } = keep(t)
    await clock.settle()
    streams.last.send('x')
    await clock.settle()
    replace()
    await clock.settle()
    assert.equal(streams.open.length, 2)
    await stop()
    await clock.settle()
    assert.equal(streams.open.length, 0)
  })

  test('nothing is left of a wait between attempts, of a silent stream or of one that talks', async (t) => {
    for (const script of [gone, deny, () => {}, (stream: { send(word: string): void }) => stream.send('x')]) {
      const { clock, streams, stop } = keep(t)
      streams.script(script)
      await clock.advance(3_000)
      await stop()
      const { length } = streams.all
      await clock.advance(60_000)
      assert.equal(streams.all.length, length)
      assert.equal(clock.sleeping, 0)
    }
  })
})
