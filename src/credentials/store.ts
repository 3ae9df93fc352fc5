// One profile's credentials: an exchange keeps them fresh, everybody else reads the newest state.
import type { Credentials } from '../aws/credentials.ts'
import { type Failure, toFailure } from '../core/errors.ts'
import type { ProfileFacts, World } from '../core/events.ts'
import { run, type Task } from '../core/run.ts'
import { createCell, nextWithin, type Source } from '../core/source.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { refreshAt, retryDelay } from './refresh-policy.ts'

/**
 * Moved by: success → fresh; refreshAt → stale (still usable); the deadline → expired; drop() → empty. A failure
 * changes only `failure`. Whoever gives credentials out compares their deadline with the boot clock, because
 * a timer may be late after a suspend. `since` is the wall clock in milliseconds.
 */
export type CredentialState =
  | { readonly status: 'empty'; readonly since: number; readonly failure?: Failure }
  | { readonly status: 'fresh'; readonly credentials: Credentials; readonly since: number; readonly refreshAt: number; readonly failure?: Failure }
  | { readonly status: 'stale'; readonly credentials: Credentials; readonly since: number; readonly failure?: Failure }
  | { readonly status: 'expired'; readonly since: number; readonly failure?: Failure }

/** What may be given out at this instant, or undefined. */
export const usable = (state: CredentialState, bootNow: number): Credentials | undefined =>
  'credentials' in state && bootNow < state.credentials.deadline ? state.credentials : undefined

/** Creates a store; run() is its only writer but for drop(). */
export function createStore({ profile, method, exchange, clock, random, emit }: ProfileFacts & World & { readonly exchange: Exchange }) {
  const state = createCell<CredentialState>({ status: 'empty', since: clock.now() })
  // Counts what a wait between attempts ends for besides its time; `finished` counts the attempts made.
  const asked = createCell(0)
  const finished = createCell(0)
  const ask = () => asked.set(asked.current + 1)
  let nudged = false
  const set = (next: CredentialState) => state.set(Object.freeze(next))
  let attempts = 0
  // Why the credentials were dropped last: what an exchange that was under way then brings is dropped, too.
  let dropReason: Failure | undefined

  async function attempt(signal: AbortSignal): Promise<number> {
    const begun = clock.boot()
    const before = dropReason
    try {
      const credentials = await exchange(signal)
      if (dropReason !== before) throw dropReason
      attempts = 0
      const due = refreshAt(credentials, random)
      emit({ type: 'exchange.succeeded', profile, method, seconds: (clock.boot() - begun) / 1000 })
      const { accessKeyId, roleArn, expiration, deadline } = credentials
      emit({ type: 'credentials.fresh', profile, accessKeyId, roleArn, expiresAt: expiration, deadline, refreshAt: due })
      set({ status: 'fresh', credentials, since: clock.now(), refreshAt: due })
      return due - clock.boot()
    } catch (error) {
      signal.throwIfAborted()
      const failed = toFailure(error)
      const now = clock.boot()
      const held = usable(state.current, now)
      const delay = retryDelay(failed, attempts, held === undefined ? 0 : held.deadline - now, random)
      attempts++
      const facts = { profile, method, seconds: (now - begun) / 1000, attempt: attempts, ...(held && { expiresAt: held.expiration }) }
      emit({ type: 'exchange.failed', failure: failed, retryInSeconds: delay / 1000, ...facts })
      set({ ...state.current, failure: failed })
      return delay
    }
  }

  const refresher: Task = async (signal) => {
    for (;;) {
      nudged = false
      const delay = await attempt(signal)
      finished.set(finished.current + 1)
      // A refresh that was asked for during the attempt was answered by it; an identity that changed during a
      // failed one was not.
      if (!nudged || state.current.status === 'fresh') await nextWithin(asked, asked.current, delay, clock, signal)
      if (state.current.status === 'fresh' && clock.boot() >= state.current.refreshAt) {
        emit({ type: 'credentials.stale', profile })
        set({ status: 'stale', credentials: state.current.credentials, since: clock.now() })
      }
    }
  }

  const expirer: Task = async (signal) => {
    for (;;) {
      const { current } = state
      const left = 'credentials' in current ? current.credentials.deadline - clock.boot() : Number.POSITIVE_INFINITY
      if (left > 0) await nextWithin(state, current, left, clock, signal)
      else {
        emit({ type: 'credentials.expired', profile })
        set({ status: 'expired', since: clock.now(), ...(current.failure && { failure: current.failure }) })
      }
    }
  }

  return {
    state: state as Source<CredentialState>,
    run: (signal: AbortSignal) => run([refresher, expirer], signal),
    /** Ends a wait between attempts; good credentials that are not due are left alone. For a changed identity. */
    nudge() {
      if (state.current.status === 'fresh') return
      nudged = true
      ask()
    },
    /** Makes an attempt now, or joins the one in flight; resolves with the state after it. */
    async refresh(signal: AbortSignal): Promise<CredentialState> {
      const before = finished.current
      ask()
      await finished.next(before, signal)
      return state.current
    },
    /** Forgets the credentials: the identity was withdrawn and the configuration says so. */
    drop(failure: Failure) {
      dropReason = failure
      emit({ type: 'credentials.dropped', profile, failure })
      set({ status: 'empty', since: clock.now(), failure })
      ask()
    },
  }
}
