// When to refresh and how long to wait after a failure: pure functions of now. The store only asks.
import type { Credentials } from '../aws/credentials.ts'
import { type Backoff, fullJitter } from '../core/backoff.ts'
import type { Failure } from '../core/errors.ts'
import { yields } from '../core/failures.ts'

const transient: Backoff = { baseMs: 1_000, capMs: 60_000 }
const refused: Backoff = { baseMs: 30_000, capMs: 300_000 }

/**
 * The instant, by the boot clock, at which a refresh starts: half of the life, less up to a tenth. A one-hour
 * session is renewed with 30 to 36 minutes left, above the widest window of any SDK (botocore's 25).
 */
export const refreshAt = ({ obtainedAt, deadline }: Pick<Credentials, 'obtainedAt' | 'deadline'>, random: () => number): number =>
  obtainedAt + (deadline - obtainedAt) * (0.5 - 0.1 * random())

/**
 * Milliseconds to wait after the `attempt`-th failure in a row (0 for the first); Infinity when only a change
 * helps. `remainingMs` is what the last good credentials still have, 0 when there are none.
 */
export function retryDelay(failure: Failure, attempt: number, remainingMs: number, random: () => number): number {
  const retry = effectiveRetry(failure, attempt)
  if (retry === 'never') return Number.POSITIVE_INFINITY
  if (retry === 'now') return 0
  if (retry === 'slow') return Math.max(refused.baseMs, fullJitter({ ...refused, baseMs: refused.baseMs * 2 }, attempt, random))
  // An overloaded service should hear most from whoever is nearest to expiry.
  const capMs = yields(failure.code) ? Math.max(transient.capMs, remainingMs / 4) : transient.capMs
  const asked = Math.min((failure.retryAfterSeconds ?? 0) * 1_000, capMs)
  return Math.max(asked, fullJitter({ ...transient, capMs }, attempt, random))
}

/** 'now' holds twice in a row; a token that was refused three times is a matter of configuration. */
function effectiveRetry({ code, retry }: Failure, attempt: number): Failure['retry'] {
  if (retry === 'now') return attempt < 2 ? 'now' : 'soon'
  if ((code === 'invalid_identity_token' || code === 'idp_communication') && attempt >= 3) return 'slow'
  return retry
}
