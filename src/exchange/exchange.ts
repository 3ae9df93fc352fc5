// An exchange turns an identity into AWS credentials. It is a function; whether to try again is written on what it throws.
import type { Arn } from '../aws/arn.ts'
import type { Credentials } from '../aws/credentials.ts'
import type { ProfileFacts, World } from '../core/events.ts'
import type { Call, Reply } from '../core/https.ts'

/** Waits for its identity as long as it takes, then makes one attempt. Throws a Failure, or the signal's reason. */
export type Exchange = (signal: AbortSignal) => Promise<Credentials>

/** Resolves when one more call may go out. Awaited once the identity is there: the attempt begins after it. */
export type Permit = (signal: AbortSignal) => Promise<void>

export interface ExchangeContext extends Pick<World, 'clock' | 'emit'> {
  readonly profile: string
  readonly permit: Permit
  readonly call: (call: Call, signal: AbortSignal) => Promise<Reply>
}

/** What every exchange is told of the credentials to get. */
export interface ExchangeOptions {
  readonly role: Arn
  readonly region: string
  /** Base URL; a path prefix is kept. */
  readonly endpoint: URL
  readonly durationSeconds: number
  readonly sessionName: string | undefined
  readonly ca: string | undefined
}

/**
 * One far service's clock, learnt from its replies. The difference of the two clocks is kept by the boot clock, so that a step of ours does not move theirs.
 */
export function createServerClock({ clock, profile, emit }: ExchangeContext, method: ProfileFacts['method']) {
  let base: number | undefined
  /** Their now, in wall-clock milliseconds; ours until they have answered once. */
  const now = () => (base === undefined ? clock.now() : base + clock.boot())
  /** Theirs minus ours: undefined until they have answered once. */
  const skewSeconds = () => (base === undefined ? undefined : (now() - clock.now()) / 1000)
  return {
    now,
    skewSeconds,
    /** Before the first reply nothing is over: the clock here may be the one that is wrong. Then AWS decides, and its Date tells. */
    isOver: (instant: number) => base !== undefined && instant <= now(),
    /** Takes a reply's Date, and tells the difference. */
    learn(reply: Reply) {
      if (reply.date !== undefined) {
        // Date is cut to the second: half a second is the better guess. Under two seconds it says nothing.
        const skew = reply.date + 500 - reply.receivedAt
        base = clock.now() - clock.boot() + (Math.abs(skew) < 2_000 ? 0 : skew)
      }
      const seconds = skewSeconds()
      if (seconds !== undefined) emit({ type: 'exchange.clock_skew', profile, method, seconds })
    },
  }
}
