// A value that changes. Whoever reads it gets the newest one; nobody queues.
import { addAbortListener } from 'node:events'
import type { Clock } from './clock.ts'
import { within } from './run.ts'

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
  return {
    get current() {
      return current
    },
    set(value) {
      if (value === current) return
      current = value
      for (const wake of waiting) wake()
    },
    async next(seen, signal) {
      signal.throwIfAborted()
      // Looked at again after the wait: the value may have changed once more, or back, before anybody ran.
      while (current === seen) {
        const { promise, resolve: wake } = Promise.withResolvers<void>()
        waiting.add(wake)
        using _ = addAbortListener(signal, () => wake())
        await promise
        waiting.delete(wake)
        signal.throwIfAborted()
      }
      return current
    },
  }
}

/** Waits for a change, but no longer than `ms` by the boot clock. Returns what is current then; rejects with `signal.reason`. */
export async function nextWithin<T>(source: Source<T>, seen: T, ms: number, clock: Clock, signal: AbortSignal): Promise<T> {
  await within(ms, (inTime) => source.next(seen, inTime), clock, signal)
  return source.current
}
