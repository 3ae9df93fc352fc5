// The only place that reads time. Everything else is handed a Clock, so that tests can be another day.
import { uptime } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump: use it to talk to others, never to measure. */
  now(): number
  /** Milliseconds since some fixed instant, time spent suspended included. Never jumps. */
  boot(): number
  /** Resolves after `ms` by the boot clock; rejects with `signal.reason`. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

// A timer stops while the machine is suspended, and one above 2^31-1 ms fires at once. Short steps that
// look at the boot clock again know neither trap.
const longestStepMs = 10_000

/**
 * The real time. The boot clock is os.uptime(), which libuv reads from the kernel's boot-time clock in
 * steps of 10 ms: process.hrtime() is no substitute, because CLOCK_MONOTONIC stands still in a suspend.
 */
export const systemClock: Clock = {
  now: Date.now,
  boot: () => uptime() * 1000,
  async sleep(ms, signal) {
    signal.throwIfAborted()
    const end = systemClock.boot() + ms
    for (let left = ms; left > 0; left = end - systemClock.boot()) {
      await delay(Math.min(Math.ceil(left), longestStepMs), undefined, { signal }).catch((error: unknown) => {
        throw signal.aborted ? signal.reason : error
      })
    }
  },
}
