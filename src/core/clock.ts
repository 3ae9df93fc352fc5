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

// os.uptime(), which libuv reads from the kernel's boot-time clock, counts suspends in steps of 10 ms;
// performance.now() has microseconds and stands still in a suspend (CLOCK_MONOTONIC). The second one measures, and
// whenever the first has gone ahead of it by more than its own steps, there was a suspend.
const stepsMs = 20
let suspendedMs = uptime() * 1000 - performance.now()

function bootTime(): number {
  const ahead = uptime() * 1000 - (performance.now() + suspendedMs)
  // Never back: between the two looks a busy machine may have let this process wait, which counts for nothing.
  if (ahead > stepsMs) suspendedMs += ahead
  return performance.now() + suspendedMs
}

/** The real time. */
export const systemClock: Clock = {
  now: Date.now,
  boot: bootTime,
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
