// A clock that passes in small steps while the process keeps up: faster than time, and never ahead of the work.
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../src/core/clock.ts'
import { start } from '../../src/core/run.ts'
import { createFakeClock } from '../support/fake-clock.ts'

export interface PacedClock {
  readonly clock: Clock
  stop(): Promise<void>
}

const stepMs = 5

/**
 * `speed` times as fast as real time at most. On a machine that is late with everything a merely faster clock
 * would let SVIDs expire before anybody could renew them; here time waits for the work, one step a turn.
 */
export function pacedClock(speed: number): PacedClock {
  const clock = createFakeClock(Date.now())
  const pace = start(async (signal) => {
    for (;;) {
      await delay(stepMs, undefined, { signal })
      await clock.advance(stepMs * speed)
    }
  })
  return { clock, stop: pace.stop }
}
