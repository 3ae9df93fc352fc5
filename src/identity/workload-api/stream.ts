// Keeps one stream of the agent open for ever: dials again at the right pace, notices silence, replaces once.
import { type Backoff, steady } from '../../core/backoff.ts'
import { type Failure, type FailureCode, failure, toFailure } from '../../core/errors.ts'
import { linked } from '../../core/run.ts'
import type { SocketAddress } from '../../spiffe/socket-address.ts'
import type { SourceOptions } from '../state.ts'

export interface StreamHandlers<M> {
  readonly open: (signal: AbortSignal) => AsyncIterable<M>
  /** Takes a message; a Failure that it throws rejects this message and keeps the stream. */
  readonly take: (message: M) => void
  readonly rejected: (failure: Failure) => void
  /** The stream could not be opened, has ended, or is open and silent. */
  readonly failed: (failure: Failure) => void
}

const silentMs = 10_000
/** A stream that lived this long ended by the agent's own decision, and is dialled again at once. */
const settledMs = 1_000

// The agent is there and says something that the next second will hardly change.
const deniedCodes = new Set<FailureCode>(['identity_not_issued', 'identity_missing', 'jwt_svid_invalid', 'jwt_svid_expired'])

/** Pace of the next attempt. A unix socket costs nothing to try, so a restarted agent is found within a quarter second. */
export function backoffFor(problem: Failure, address: SocketAddress): Backoff {
  if (problem.code === 'workload_api_rejected' || problem.code === 'workload_api_unimplemented') return { baseMs: 60_000, capMs: 60_000 }
  if (deniedCodes.has(problem.code)) return { baseMs: 250, capMs: 2_000 }
  if (problem.retryAfterSeconds !== undefined) return { baseMs: 1_000, capMs: 2_000 }
  return address.kind === 'unix' ? { baseMs: 50, capMs: 250 } : { baseMs: 100, capMs: 2_000 }
}

/** How a stream ended; `settled` if it had brought something good and lived for a while. */
type Outcome = { readonly failure: Failure; readonly settled: boolean }

interface Opened extends ReturnType<typeof linked> {
  /** Reads the one that is to take its place. */
  readonly succeed: () => Promise<Outcome>
  successor?: Promise<Outcome> | undefined
}

/** Supervises one stream. There is never a second one beside it, but for the one replacement. */
export function keepStream<M>({ api, clock, random }: Pick<SourceOptions, 'api' | 'clock' | 'random'>, { open, take, rejected, failed }: StreamHandlers<M>) {
  const { address } = api
  let active: Opened | undefined
  let attempt = 0
  let replacedFor: string | undefined

  /** Reads one stream to its end, and then its successor. Until its own first message, the `old` one stays in its place. */
  async function read(signal: AbortSignal, old?: Opened): Promise<Outcome> {
    using own: Opened = { ...linked(signal), succeed: () => read(signal, own) }
    const begun = clock.boot()
    let waiting = old !== undefined
    let valid = false
    if (!waiting) active = own
    using silence = linked(own.signal)
    const silent = failure('workload_api_silent', `the agent at ${address.text} took the call and has not answered for ${silentMs / 1000} s`)
    clock
      .sleep(silentMs, silence.signal)
      .then(() => failed(silent))
      .catch(() => {})
    try {
      for await (const message of open(own.signal)) {
        silence.stop()
        if (waiting) {
          waiting = false
          old?.stop()
          active = own
        }
        try {
          take(message)
          valid = true
          attempt = 0
        } catch (error) {
          rejected(toFailure(error))
        }
      }
      throw failure('workload_api_unavailable', `the agent at ${address.text} closed the stream`)
    } catch (error) {
      signal.throwIfAborted()
      if (old !== undefined && waiting) {
        replacedFor = undefined
        old.successor = undefined
      }
      return own.successor ?? { failure: toFailure(error), settled: valid && clock.boot() - begun >= settledMs }
    } finally {
      if (active === own) active = undefined
    }
  }

  return {
    async run(signal: AbortSignal) {
      for (;;) {
        const { failure: problem, settled } = await read(signal)
        failed(problem)
        if (settled && problem.code === 'workload_api_unavailable') continue
        await clock.sleep(steady(backoffFor(problem, address), attempt++, random), signal)
      }
    },
    /** Opens a second stream; with its first message it takes the place of the open one. Once for a `reason`, or again if it ended before that. */
    replace(reason: string) {
      if (replacedFor === reason) return
      replacedFor = reason
      if (active === undefined || active.successor !== undefined) return
      active.successor = active.succeed()
      active.successor.catch(() => {}) // only the end of the task rejects it
    },
  }
}
