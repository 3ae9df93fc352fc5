// A stream is kept open for ever, at a pace that harms nobody, and never beside another but for one replacement.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { keep } from './kept-stream.ts'
import { type AgentStream, deny, gone, status, tcpAddress, unixAddress } from './scripted-api.ts'

const busiest = (all: readonly AgentStream<string>[], windowMs: number) =>
  Math.max(...all.map(({ openedAt: from }) => all.filter((one) => one.openedAt >= from && one.openedAt < from + windowMs).length))

const longestGap = (all: readonly AgentStream<string>[]) => Math.max(...all.slice(1).map(({ openedAt }, index) => openedAt - (all[index]?.openedAt ?? 0)))

describe('the pace of attempts', () => {
  const ends: Record<string, (code: number) => (stream: AgentStream<string>) => void> = {
    'at once': (code) => (stream) => (code === 0 ? stream.end() : stream.fail(code)),
    'after a good message': (code) => (stream) => {
      stream.send('x')
      if (code === 0) stream.end()
      else stream.fail(code)
    },
    'after a bad message': (code) => (stream) => {
      stream.send('bad')
      if (code === 0) stream.end()
      else stream.fail(code)
    },
  }
  for (const [when, script] of Object.entries(ends))
    test(`is at most 20 a second for every code, when the stream ends ${when}`, async (t) => {
      for (let code = 0; code <= 17; code++)
        for (const random of [0, 0.999]) {
          const { clock, streams, stop } = keep(t, { random: () => random })
          streams.script(script(code))
          await clock.advance(2_000)
          assert.ok(busiest(streams.all, 1_000) <= 20, `code ${code}: ${busiest(streams.all, 1_000)} a second`)
          assert.equal(streams.most, 1)
          await stop()
        }
    })

  test('is at most 20 a second for streams that end just when they count as settled', async (t) => {
    for (const life of [1, 50, 999, 1_000, 1_001]) {
      const { clock, streams, stop } = keep(t, { random: () => 0 })
      streams.script((stream) => {
        stream.send('x')
        void clock.sleep(life, new AbortController().signal).then(() => stream.end())
      })
      await clock.advance(5_000)
      assert.ok(busiest(streams.all, 1_000) <= 20)
      await clock.advance(life)
      streams.script(() => {})
      await clock.advance(life + 1_000)
      await stop()
    }
  })

  test('is at most 2 in 5 s when the agent calls the request invalid or does not know it', async (t) => {
    for (const code of [3, 12]) {
      const { clock, streams, stop } = keep(t, { random: () => 0 })
      streams.script((stream) => stream.fail(code))
      await clock.advance(200_000)
      assert.ok(busiest(streams.all, 5_000) <= 2)
      assert.ok(streams.all.length >= 3, 'it goes on trying, slowly')
      await stop()
    }
  })

  for (const [name, address] of [
    ['unix', unixAddress],
    ['tcp', tcpAddress],
  ] as const)
    test(`over ${name} is never slower than one in 2 s, however long the agent was away`, async (t) => {
      const { clock, streams } = keep(t, { address, random: () => 0.999 })
      streams.script(gone)
      await clock.advance(60_000)
      assert.ok(longestGap(streams.all) <= 2_000, `${longestGap(streams.all)} ms`)
    })

  test('is never slower than one in 3 s while the agent has no identity for us', async (t) => {
    const { clock, streams } = keep(t, { random: () => 0.999 })
    streams.script(deny)
    await clock.advance(60_000)
    assert.ok(longestGap(streams.all) <= 3_000, `${longestGap(streams.all)} ms`)
  })

  test('starts anew after a good message', async (t) => {
    const { clock, streams } = keep(t)
    streams.script(gone)
    await clock.advance(60_000)
    streams.script((stream) => {
      stream.send('x')
      gone(stream)
    })
    await clock.advance(1_000)
    const [before, after] = streams.all.slice(-2).map(({ openedAt }) => openedAt)
    assert.ok((after ?? 0) - (before ?? 0) <= 63)
  })

  test('is at once when the agent ends a stream that had lived', async (t) => {
    const { clock, streams } = keep(t)
    await clock.settle()
    streams.last.send('x')
    await clock.advance(60_000)
    streams.last.end()
    await clock.settle()
    assert.equal(streams.all.length, 2)
    assert.equal(streams.last.openedAt - (streams.all[0]?.openedAt ?? 0), 60_000)
  })
})

describe('silence', () => {
  test('is reported after 10 s, while the stream stays', async (t) => {
    const { clock, streams, failed, taken } = keep(t)
    await clock.advance(9_999)
    assert.deepEqual(failed, [])
    await clock.advance(1)
    assert.deepEqual(
      failed.map(({ code }) => code),
      ['workload_api_silent'],
    )
    await clock.advance(3_600_000)
    assert.equal(streams.all.length, 1)
    streams.last.send('x')
    await clock.settle()
    assert.deepEqual(taken, ['x'])
  })

  test('is none once a message has come, even a bad one', async (t) => {
    const { clock, streams, failed } = keep(t)
    await clock.advance(9_000)
    streams.last.send('bad')
    await clock.advance(3_600_000)
    assert.deepEqual(failed, [])
  })
})

test('a bad message is reported and leaves the stream open for the next good one', async (t) => {
  const { clock, streams, taken, rejected, failed } = keep(t)
  await clock.settle()
  streams.last.send('bad')
  await clock.settle()
  assert.deepEqual([rejected.length, failed.length, taken.length], [1, 0, 0])
  streams.last.send('good')
  await clock.settle()
  assert.deepEqual([taken, streams.all.length], [['good'], 1])
})

test('an end with OK is reported as the unavailability that it is', async (t) => {
  const { clock, streams, failed } = keep(t)
  await clock.settle()
  streams.last.end()
  await clock.settle()
  assert.deepEqual(
    failed.map(({ code }) => code),
    [status(14).code],
  )
})
