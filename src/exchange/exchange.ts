// An exchange turns an identity into AWS credentials. It is a function; whether to try again is written on what it throws.
import type { Credentials } from '../aws/credentials.ts'
import type { Clock } from '../core/clock.ts'
import type { Emit } from '../core/events.ts'
import type { Call, Reply } from '../core/https.ts'

/** Waits for its identity as long as it takes, then makes one attempt. Throws a Failure, or the signal's reason. */
export type Exchange = (signal: AbortSignal) => Promise<Credentials>

/** Resolves when one more call may go out. Awaited once the identity is there: the attempt begins after it. */
export type Permit = (signal: AbortSignal) => Promise<void>

export interface ExchangeContext {
  readonly profile: string
  readonly clock: Clock
  readonly permit: Permit
  readonly emit: Emit
  readonly call: (call: Call, signal: AbortSignal) => Promise<Reply>
}

/** What one far service's clock says, learnt from its replies. */
export interface ServerClock {
  /** Their now, in wall-clock milliseconds; ours until they have answered once. */
  now(): number
  /** Theirs minus ours, in seconds: undefined until they have answered once. */
  readonly skewSeconds: number | undefined
  learn(reply: Reply): void
}

/** Keeps the difference of two clocks by the boot clock, so that a step of ours does not move theirs. */
export function createServerClock(clock: Clock): ServerClock {
  let base: number | undefined
  return {
    now: () => (base === undefined ? clock.now() : base + clock.boot()),
    get skewSeconds() {
      return base === undefined ? undefined : (base + clock.boot() - clock.now()) / 1000
    },
    learn(reply) {
      // Date is cut to the second: half a second is the better guess. Under two seconds it says nothing.
      if (reply.date === undefined) return
      const skew = reply.date + 500 - reply.receivedAt
      base = Math.abs(skew) < 2_000 ? clock.now() - clock.boot() : clock.now() + skew - clock.boot()
    },
  }
}
