// A clock that a test moves. Timers run in order, and what they wake runs before the next one.
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../src/core/clock.ts'

export interface FakeClock extends Clock {
  /** Lets `ms` pass: wakes every sleeper on the way at its own time. */
  advance(ms: number): Promise<void>
  /** Time passes and no timer runs, as in a suspend: sleepers wake with the next advance(). */
  suspend(ms: number): void
  /** Moves the wall clock alone, as somebody who sets it. */
  stepWall(ms: number): void
  /** Lets everything run that is ready to. */
  settle(): Promise<void>
  /** Work of the real world (a signature, a key) that time has to wait for. */
  hold<T>(work: Promise<T>): Promise<T>
  readonly sleeping: number
}

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** Starts at a fixed instant; boot and wall clock differ, so that nobody can mistake one for the other. */
export function createFakeClock(start: number = Date.UTC(2026, 0, 1)): FakeClock {
  let boot = 1_000_000
  let wall = start
  const sleepers = new Set<Sleeper>()
  const held = new Set<Promise<unknown>>()
  const settle = async () => {
    do {
      await Promise.allSettled(held)
      for (let round = 0; round < 4; round++) await setImmediate()
    } while (held.size > 0)
  }
  const pass = (ms: number) => {
    boot += ms
    wall += ms
  }
  return {
    now: () => wall,
    boot: () => boot,
    sleep(ms, signal) {
      if (signal.aborted) return Promise.reject(signal.reason)
      if (!(ms > 0)) return Promise.resolve()
      return new Promise((resolve, reject) => {
        const sleeper: Sleeper = {
          at: boot + ms,
          wake: () => {
            sleepers.delete(sleeper)
            signal.removeEventListener('abort', abort)
            resolve()
          },
        }
        const abort = () => {
          sleepers.delete(sleeper)
          reject(signal.reason)
        }
        sleepers.add(sleeper)
        signal.addEventListener('abort', abort, { once: true })
      })
    },
    async advance(ms) {
      const end = boot + ms
      await settle()
      for (;;) {
        let next: Sleeper | undefined
        for (const sleeper of sleepers) if (sleeper.at <= end && (next === undefined || sleeper.at < next.at)) next = sleeper
        if (next === undefined) break
        if (next.at > boot) pass(next.at - boot)
        next.wake()
        await settle()
      }
      pass(end - boot)
      await settle()
    },
    suspend: pass,
    stepWall(ms) {
      wall += ms
    },
    settle,
    hold(work) {
      const ended: Promise<unknown> = work.then<unknown, unknown>(
        () => held.delete(ended),
        () => held.delete(ended),
      )
      held.add(ended)
      return work
    },
    get sleeping() {
      return sleepers.size
    },
  }
}
