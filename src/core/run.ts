// Runs many tasks together. The first failure, or the signal, stops all of them in reverse order.
import { once } from 'node:events'
import type { Clock } from './clock.ts'

/** Work: returns when aborted (an abort error counts as that), throws only when it cannot go on. */
export type Task = (signal: AbortSignal) => Promise<void>

export type Running = ReturnType<typeof start>

/** Starts one task with an abort signal of its own. */
export function start(task: Task) {
  const controller = new AbortController()
  const ended = (async () => {
    try {
      await task(controller.signal)
    } catch (error) {
      if (!controller.signal.aborted) throw error
    }
  })()
  ended.catch(() => {}) // whoever watches `ended` sees the failure; whoever only stops the task does not have to
  return {
    /** Settles when the task has ended: rejects only if it failed without having been stopped. */
    ended,
    /** Asks the task to stop and waits until it has. Never rejects. */
    stop: async (): Promise<void> => {
      controller.abort()
      await ended.catch(() => {})
    },
  }
}

/** Runs the tasks until the signal or the first failure, which is thrown after the others have stopped. */
export async function run(tasks: readonly Task[], signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const running = tasks.map(start)
  try {
    await Promise.race([once(signal, 'abort'), Promise.all(running.map((one) => one.ended))])
  } finally {
    for (const one of running.toReversed()) await one.stop()
  }
}

/** Combines a parent's signal with one of its own: `stop()`, or the end of the block that is `using` it, ends only this part of the work. */
export function linked(parent: AbortSignal) {
  const controller = new AbortController()
  const stop = () => controller.abort()
  return { signal: AbortSignal.any([parent, controller.signal]), stop, [Symbol.dispose]: stop }
}

/** What the work brings, or undefined once `ms` have passed by the boot clock; what is still under way then is aborted. Rejects with `signal.reason`. */
export async function within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>, clock: Clock, signal: AbortSignal): Promise<T | undefined> {
  using part = linked(signal)
  return await Promise.race([work(part.signal), clock.sleep(ms, part.signal).then(() => undefined)])
}
