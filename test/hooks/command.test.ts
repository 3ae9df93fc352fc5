// Commands that hooks run: what they say, how they end, and that nothing of them is left.
import assert from 'node:assert/strict'
import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import { inheritedUmask, keepSocketsPrivate } from '../../src/core/umask.ts'
import { runCommand } from '../../src/hooks/command.ts'
import { eventually } from '../support/eventually.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { failureOf, folder, lives, recorder, textOf } from './support.ts'

function setUp(t: TestContext, command: readonly string[], { timeoutMs = 30_000, clock = createFakeClock() } = {}) {
  const { emit, of } = recorder()
  const stop = new AbortController()
  t.after(() => stop.abort(new Error('over')))
  const action = runCommand({ hook: '1', command, timeoutMs, clock, emit })
  return { clock, stop, run: () => action(stop.signal), lines: () => of('hook.said').map(({ line }) => line) }
}
const sh = (script: string): string[] => ['/bin/sh', '-c', script]

describe('what it says', () => {
  test('each line of both outputs is told once, also the last one without an end', async (t) => {
    const { run, lines } = setUp(t, sh('echo one; echo; printf "two\\nthree"; echo four >&2'))
    await run()
    assert.deepEqual(lines().sort(), ['four', 'one', 'three', 'two'])
  })

  test('all that it said has been told when it is done', async (t) => {
    for (let round = 0; round < 20; round++) {
      const { run, lines } = setUp(t, sh('i=0; while [ $i -lt 99 ]; do i=$((i+1)); echo line $i; done'))
      await run()
      assert.equal(lines().length, 99, `in round ${round}`)
    }
  })

  test('letters of several bytes arrive whole, however the pipe cuts them', async (t) => {
    const { run, lines } = setUp(t, sh('printf "\\342"; sleep 0.05; printf "\\202\\254\\n"'))
    await run()
    await eventually('the line', () => lines().length === 1)
    assert.deepEqual(lines(), ['€'])
  })

  test('a line without an end and a flood of lines are bounded', async (t) => {
    const long = setUp(t, sh('head -c 20000000 /dev/zero | tr "\\0" x; echo; echo y'))
    await long.run()
    await eventually('both lines', () => long.lines().length === 2)
    assert.deepEqual(long.lines(), ['x'.repeat(1_000), 'y'])
    const flood = setUp(t, sh('yes | head -n 200000'))
    await flood.run()
    assert.equal(flood.lines().length, 100)
  })

  test('it reads from nobody', async (t) => {
    const { run } = setUp(t, ['cat'])
    await run()
  })
})

describe('how it ends', () => {
  test('an exit status and a signal are failures that say so', async (t) => {
    for (const [script, words] of [
      ['exit 3', '/bin/sh ended with exit status 3'],
      ['kill -KILL $$', '/bin/sh ended with killed by SIGKILL'],
    ] as const) {
      const { code, message } = await failureOf(setUp(t, sh(script)).run())
      assert.deepEqual([code, message], ['hook_failed', words])
    }
  })

  test('arguments are handed over as they are, without a shell', async (t) => {
    const { run, lines } = setUp(t, ['printf', '%s\\n', '$HOME `id` "a b"', ';', '*'])
    await run()
    await eventually('the lines', () => lines().length === 3)
    assert.deepEqual(lines(), ['$HOME `id` "a b"', ';', '*'])
  })

  test('a command that is missing, or may not be executed, is a failure that says which', async (t) => {
    const directory = folder(t)
    const path = join(directory, 'script')
    writeFileSync(path, '#!/bin/sh\n')
    chmodSync(path, 0o644)
    for (const [command, words] of [
      ['/no/such/command', '/no/such/command: there is no such command'],
      ['no-such-command-of-svidecar', 'no-such-command-of-svidecar: there is no such command'],
      [path, `${path}: it may not be executed`],
      [directory, `${directory}: it may not be executed`],
    ] as const) {
      const { code, message } = await failureOf(setUp(t, [command]).run())
      assert.deepEqual([code, message], ['hook_failed', words])
    }
  })

  for (const [what, command] of [
    ['a path through a file', ['/etc/passwd/command']],
    ['a name that is too long', ['x'.repeat(300)]],
    ['more arguments than the kernel takes', ['true', 'x'.repeat(300_000)]],
    ['a NUL in an argument', ['true', 'a\0b']],
    ['no name', ['']],
  ] as const)
    test(`${what} is a failure of the hook, not a defect of svidecar`, async (t) => {
      const { code, message } = await failureOf(setUp(t, command).run())
      assert.equal(code, 'hook_failed', message)
    })
})

describe('beside svidecar', () => {
  test('it has the umask that svidecar was started with, whatever svidecar has now', async (t) => {
    const before = process.umask()
    t.after(() => process.umask(before))
    keepSocketsPrivate()
    // Where that is the inherited one, too, nothing would be shown.
    if (inheritedUmask === 0o077) process.umask(0o027)
    const ours = process.umask()
    const { run, lines } = setUp(t, sh('umask'))
    await run()
    assert.deepEqual(
      lines().map((line) => Number.parseInt(line, 8)),
      [inheritedUmask],
    )
    assert.deepEqual([process.umask(), ours === inheritedUmask], [ours, false])
  })

  const noProc = existsSync('/proc/self/fd') ? false : 'needs /proc'
  test('the pipes of what it leaves behind are closed', { skip: noProc }, async (t) => {
    const open = () => readdirSync('/proc/self/fd').length
    const rounds: number[] = []
    for (let round = 0; round < 12; round++) {
      const { clock, run, lines } = setUp(t, sh('sleep 30 & echo $!'))
      let over = false
      void run().then(() => (over = true))
      await eventually('the end', async () => {
        await clock.advance(300)
        return over
      })
      const pid = Number(lines()[0])
      t.after(() => process.kill(pid, 'SIGKILL'))
      assert.ok(lives(pid))
      rounds.push(open())
    }
    // The first ones open what stays open.
    assert.ok((rounds.at(-1) ?? 0) <= (rounds[1] ?? 0), rounds.join())
  })

  test('the last line without an end is told, also when what it leaves behind holds the pipe', async (t) => {
    const { clock, run, lines } = setUp(t, sh('sleep 30 & echo $!; printf last; printf words >&2'))
    let told: string[] | undefined
    void run().then(() => (told = lines()))
    await eventually('the end', async () => {
      await clock.advance(300)
      return told
    })
    t.after(() => process.kill(Number(told?.find((line) => /^\d+$/.test(line))), 'SIGKILL'))
    assert.deepEqual(told?.slice(1), ['last', 'words'])
  })
})

describe('when it takes too long', () => {
  test('the whole group is asked with SIGTERM, and the failure says after how long', async (t) => {
    const path = join(folder(t), 'pids')
    const { clock, run } = setUp(t, sh(`sleep 1000 & echo $$ $! > ${path}; wait`), { timeoutMs: 30_000 })
    const failed = failureOf(run())
    const pids = (await eventually('both', () => (/^\d+ \d+\n$/.test(textOf(path)) ? textOf(path) : undefined))).trim().split(' ').map(Number)
    await clock.advance(30_000)
    assert.equal((await failed).message, '/bin/sh has not ended within 30 s and was stopped')
    for (const pid of pids) await eventually(`${pid} is gone`, () => !lives(pid))
  })

  test('a group that ignores SIGTERM is killed two seconds later', async (t) => {
    const path = join(folder(t), 'pids')
    const { clock, run } = setUp(t, sh(`trap '' TERM; sleep 1000 & echo $$ $! > ${path}; wait; sleep 1000`))
    const failed = failureOf(run())
    const pids = (await eventually('both', () => (/^\d+ \d+\n$/.test(textOf(path)) ? textOf(path) : undefined))).trim().split(' ').map(Number)
    await clock.advance(30_000)
    await clock.advance(1_999)
    assert.ok(pids.every(lives))
    await clock.advance(1)
    await failed
    for (const pid of pids) await eventually(`${pid} is gone`, () => !lives(pid))
  })

  test('stopping svidecar ends it in the same way, and leaves nothing', async (t) => {
    const path = join(folder(t), 'pids')
    const { stop, run } = setUp(t, sh(`sleep 1000 & echo $$ $! > ${path}; wait`))
    const failed = run().catch(() => 'ended')
    const pids = (await eventually('both', () => (/^\d+ \d+\n$/.test(textOf(path)) ? textOf(path) : undefined))).trim().split(' ').map(Number)
    stop.abort(new Error('stop'))
    assert.equal(await failed, 'ended')
    for (const pid of pids) await eventually(`${pid} is gone`, () => !lives(pid))
  })

  test('a child of it that closes nothing holds nobody up', async (t) => {
    const path = join(folder(t), 'pid')
    const { clock, run, lines } = setUp(t, sh(`sleep 1000 & echo $! > ${path}; echo done`))
    const begun = systemClock.boot()
    let over = false
    void run().then(() => {
      over = true
    })
    // Its last words are waited for, though not for ever.
    await eventually('the end', async () => {
      await clock.advance(300)
      return over
    })
    const pid = Number(await eventually('its number', () => /^\d+\n$/.test(textOf(path)) && textOf(path)))
    t.after(() => lives(pid) && process.kill(pid, 'SIGKILL'))
    assert.ok(systemClock.boot() - begun < 5_000)
    await eventually('the line', () => lines().includes('done'))
  })
})
