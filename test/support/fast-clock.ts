// A clock whose boot time runs faster than the world: fifteen seconds of grace in a blink.
import { type Clock, systemClock } from '../../src/core/clock.ts'

/** `factor` times faster in boot() and sleep(); the wall clock is the real one, for certificates and tokens. */
export const fastClock = (factor: number): Clock => ({
  now: systemClock.now,
  boot: () => systemClock.boot() * factor,
  sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
})
