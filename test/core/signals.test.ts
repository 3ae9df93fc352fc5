// Waiting for signals: none is lost because nobody asks for it just then, and none ends the process once it has been asked for.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSignalQueue } from '../../src/core/signals.ts'
import { createFakeClock } from '../support/fake-clock.ts'

/** A queue, the handlers that it installed, and what its waiters have heard. */
function setUp() {
  const installed: NodeJS.Signals[] = []
  const handlers = new Map<NodeJS.Signals, () => void>()
  const next = createSignalQueue((name, handler) => {
    installed.push(name)
    handlers.set(name, handler)
  })
  const heard: string[] = []
  return {
    installed,
    heard,
    wait: (who: string, ...names: NodeJS.Signals[]) => void next(names).then((name) => heard.push(`${who} ${name}`)),
    send: (...names: NodeJS.Signals[]) => names.forEach((name) => handlers.get(name)?.()),
    settle: () => createFakeClock().settle(),
  }
}

test('who waits gets the name of the signal that comes, once', async () => {
  const { wait, send, settle, heard } = setUp()
  wait('a', 'SIGTERM', 'SIGHUP')
  await settle()
  assert.deepEqual(heard, [])
  send('SIGHUP')
  await settle()
  assert.deepEqual(heard, ['a SIGHUP'])
})

test('a handler is installed for what is asked for, once for all times, however often somebody asks', async () => {
  const { wait, send, settle, installed, heard } = setUp()
  wait('a', 'SIGTERM')
  for (let n = 0; n < 20; n++) {
    wait('b', 'SIGTERM', 'SIGINT', 'SIGHUP')
    send('SIGHUP')
    await settle()
  }
  assert.deepEqual([heard.length, installed], [20, ['SIGTERM', 'SIGINT', 'SIGHUP']])
})

test('what comes while nobody waits is kept, each name once', async () => {
  const { wait, send, settle, heard } = setUp()
  const ask = async (who: string) => {
    wait(who, 'SIGHUP', 'SIGTERM')
    await settle()
  }
  await ask('a')
  send('SIGHUP', 'SIGHUP', 'SIGHUP', 'SIGTERM', 'SIGHUP')
  for (const who of ['b', 'c', 'd']) await ask(who)
  assert.deepEqual(heard, ['a SIGHUP', 'b SIGHUP', 'c SIGTERM'], 'nothing is left for d')
  send('SIGTERM')
  await settle()
  assert.equal(heard[3], 'd SIGTERM')
})

test('what is kept is for who asks for it by name, and waits for them', async () => {
  const { wait, send, settle, heard } = setUp()
  wait('a', 'SIGTERM')
  send('SIGTERM', 'SIGTERM')
  wait('b', 'SIGHUP')
  await settle()
  assert.deepEqual(heard, ['a SIGTERM'])
  wait('c', 'SIGTERM')
  await settle()
  assert.deepEqual(heard, ['a SIGTERM', 'c SIGTERM'])
})

test('of several that wait each gets a signal of its own, the first that asked for it before the others', async () => {
  const { wait, send, settle, heard } = setUp()
  wait('a', 'SIGTERM')
  wait('b', 'SIGHUP', 'SIGTERM')
  wait('c', 'SIGHUP')
  send('SIGHUP')
  await settle()
  assert.deepEqual(heard, ['b SIGHUP'], 'not the one that waits for something else')
  send('SIGHUP', 'SIGTERM')
  await settle()
  assert.deepEqual(heard.toSorted(), ['a SIGTERM', 'b SIGHUP', 'c SIGHUP'])
})
