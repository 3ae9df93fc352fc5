// A value that changes. Whoever reads it gets the newest one; nobody queues.
import type { Clock } from './clock.ts'
import { linked } from './run.ts'

export interface Source<T> {
  readonly current: T
  /** Resolves once `current !== seen`; rejects with `signal.reason`. */
  next(seen: T, signal: AbortSignal): Promise<T>
}

export interface Cell<T> extends Source<T> {
  /** Swaps the whole value. Setting what is there already wakes nobody. */
  set(value: T): void
}

/** A source with a handle to change it; the value is never undefined, because what is missing is a state of T. */
export function createCell<T>(initial: T): Cell<T> {
  let current = initial
  const waiting = new Set<() => void>()

  const changed = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const wake = () => {
        signal.removeEventListener('abort', abort)
        resolve()
      }
      const abort = () => {
        waiting.delete(wake)
        reject(signal.reason)
      }
      waiting.add(wake)
      signal.addEventListener('abort', abort, { once: true })
    })

  return {
    get current() {
      return current
    },
    set(value) {
      if (value === current) return
      current = value
      const woken = [...waiting]
      waiting.clear()
      for (const wake of woken) wake()
    },
    async next(seen, signal) {
      signal.throwIfAborted()
      // Looked at again after the wait: the value may have changed once more, or back, before anybody ran.
      while (current === seen) {
        await changed(signal)
        signal.throwIfAborted()
      }
      return current
    },
  }
}

/** Waits for a change, but no longer than `ms` by the boot clock. Returns what is current then; rejects with `signal.reason`. */
export async function nextWithin<T>(source: Source<T>, seen: T, ms: number, clock: Clock, signal: AbortSignal): Promise<T> {
  const either = linked(signal)
  try {
    await Promise.race([source.next(seen, either.signal), clock.sleep(ms, either.signal)])
    return source.current
  } finally {
    either.stop()
  }
}
