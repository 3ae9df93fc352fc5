// A child process that lives beside the daemon: started by the first news, told of the next ones by a signal, ended with us.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { type Backoff, steady } from '../core/backoff.ts'
import { failure } from '../core/errors.ts'
import type { World } from '../core/events.ts'
import { within } from '../core/run.ts'
import { createCell } from '../core/source.ts'
import { ended, ending, launch, notStarted } from './command.ts'
import { sendSignal } from './signal.ts'

export interface ChildOptions extends World {
  readonly hook: string
  readonly command: readonly string[]
  /** Sent when something is new; none when left out. */
  readonly signal?: string | undefined
  /** Start it again when it ends by itself; else the next news does. */
  readonly restart: boolean
  /** How long it may take to end before it is killed. */
  readonly stopMs: number
}

const pace: Backoff = { baseMs: 1_000, capMs: 60_000 }
const settledMs = 10_000

/** The child's stdin, stdout and stderr are the daemon's. There is never a second one. */
export function createChild({ hook, command, signal: told, restart, stopMs, clock, random, emit }: ChildOptions) {
  const [file = ''] = command
  // `wanted`: there was news, so there should be a process. A process without a number has not come to life.
  const state = createCell<{ readonly wanted: boolean; readonly child?: ChildProcess }>({ wanted: false })
  let startedAt = Number.NEGATIVE_INFINITY
  let stopping = false

  async function begin(): Promise<void> {
    startedAt = clock.boot()
    const child = launch(command, { stdio: 'inherit' })
    const begun = once(child, 'spawn').then(
      () => undefined,
      (error: Error) => error,
    )
    state.set({ wanted: true, child })
    void ended(child).then(({ code, signal, error }) => {
      state.set({ wanted: true })
      if (error === undefined) emit({ type: 'hook.child_ended', hook, how: ending(code, signal), expected: stopping })
    })
    const problem = await begun
    if (problem !== undefined) throw failure('hook_failed', notStarted(file, problem))
    emit({ type: 'hook.child_started', hook, pid: child.pid ?? 0 })
  }

  return {
    async action(): Promise<void> {
      if (!state.current.wanted) state.set({ wanted: true })
      const { child } = state.current
      if (child?.pid === undefined) await begin()
      else if (told !== undefined) sendSignal(child.pid, told)
    },
    async run(signal: AbortSignal): Promise<void> {
      try {
        for (let attempt = -1; ; ) {
          const seen = state.current
          if (!restart || !seen.wanted || seen.child !== undefined) {
            await state.next(seen, signal)
            continue
          }
          // Just wanted, it is being started by the news itself.
          attempt = clock.boot() - startedAt >= settledMs ? 0 : attempt + 1
          await clock.sleep(steady(pace, attempt, random), signal)
          if (state.current.child === undefined) await begin().catch((error) => emit({ type: 'hook.failed', hook, failure: error }))
        }
      } finally {
        stopping = true
        await stop()
      }
    },
  }

  async function stop(): Promise<void> {
    const { child } = state.current
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    const gone = once(child, 'exit')
    await within(stopMs, () => gone, clock, new AbortController().signal)
    child.kill('SIGKILL')
    await gone
  }
}
