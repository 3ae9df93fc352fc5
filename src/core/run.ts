// Runs many tasks together. The first failure, or the signal, stops all of them in reverse order.

/** Work: returns when aborted (an abort error counts as that), throws only when it cannot go on. */
export type Task = (signal: AbortSignal) => Promise<void>

export interface Running {
  /** Settles when the task has ended: rejects only if it failed without having been stopped. */
  readonly ended: Promise<void>
  /** Asks the task to stop and waits until it has. Never rejects. */
  stop(): Promise<void>
}

/** Starts one task with an abort signal of its own. */
export function start(task: Task): Running {
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
    ended,
    stop: async () => {
      controller.abort()
      await ended.catch(() => {})
    },
  }
}

/** Runs the tasks until the signal or the first failure, which is thrown after the others have stopped. */
export async function run(tasks: readonly Task[], signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const running = tasks.map(start)
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  try {
    await Promise.race([aborted, Promise.all(running.map((one) => one.ended))])
  } finally {
    for (const one of running.toReversed()) await one.stop()
  }
}

/** Combines a parent's signal with one of its own: `stop()` ends only this part of the work. */
export function linked(parent: AbortSignal): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController()
  return { signal: AbortSignal.any([parent, controller.signal]), stop: () => controller.abort() }
}
