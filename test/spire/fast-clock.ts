// A clock that runs faster than time: a minute of the product's waiting passes in seconds of a test.
import { setTimeout as delay } from 'node:timers/promises'
import { type Clock, systemClock } from '../../src/core/clock.ts'

/** Wall clock, boot clock and sleeping, all `speed` times as fast. At 1 it is the product's own clock. */
export function fastClock(speed: number): Clock {
  if (speed === 1) return systemClock
  const begun = performance.now()
  const wall = Date.now()
  const boot = () => (performance.now() - begun) * speed
  return {
    now: () => wall + boot(),
    boot,
    async sleep(ms, signal) {
      signal.throwIfAborted()
      const end = boot() + ms
      for (let left = ms; left > 0; left = end - boot())
        await delay(Math.ceil(left / speed), undefined, { signal }).catch((error: unknown) => {
          throw signal.aborted ? signal.reason : error
        })
    },
  }
}
