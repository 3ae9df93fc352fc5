// At most so many exchanges a second for the whole daemon, whoever asks.
import type { Clock } from '../core/clock.ts'

/**
 * Returns a permit: it resolves when one more may start. `perSecond` may start at once, so that a small daemon
 * starts fast; then each waits until the one that many places before it is a second old. First come, first served.
 */
export function createLimiter(perSecond: number, clock: Clock): (signal: AbortSignal) => Promise<void> {
  const granted: number[] = []
  return async (signal) => {
    signal.throwIfAborted()
    const now = clock.boot()
    // A place that is given up while waiting stays taken: the limit is an upper bound.
    const at = granted.length < perSecond ? now : Math.max(now, (granted.shift() ?? now) + 1_000)
    granted.push(at)
    if (at > now) await clock.sleep(at - now, signal)
  }
}
