// Keeps one stream of the agent open for ever: dials again at the right pace, notices silence, replaces once.
import { type Backoff, steady } from '../../core/backoff.ts'
import type { Clock } from '../../core/clock.ts'
import { type Failure, type FailureCode, failure, toFailure } from '../../core/errors.ts'
import { linked, type Task } from '../../core/run.ts'
import type { SocketAddress } from '../../spiffe/socket-address.ts'

export interface StreamOptions<M> {
  readonly address: SocketAddress
  readonly open: (signal: AbortSignal) => AsyncIterable<M>
  readonly clock: Clock
  readonly random: () => number
  /** Takes a message; a Failure that it throws rejects this message and keeps the stream. */
  readonly take: (message: M) => void
  readonly rejected: (failure: Failure) => void
  /** The stream could not be opened, has ended, or is open and silent. */
  readonly failed: (failure: Failure) => void
  readonly connected: () => void
}

export interface KeptStream {
  readonly run: Task
  /** Opens a second stream; with its first message it takes the place of the open one. Once until then. */
  replace(): void
  /** The last replacement ended before it had a message. */
  readonly replacementFailed: boolean
}

const silentMs = 10_000
/** A stream that lived this long ended by the agent's own decision, and is dialled again at once. */
const settledMs = 1_000

const denied: Backoff = { baseMs: 250, capMs: 2_000 }
// The agent is there and says something that the next second will hardly change.
const deniedCodes = new Set<FailureCode>(['identity_not_issued', 'identity_missing', 'jwt_svid_invalid', 'jwt_svid_expired'])
const limited: Backoff = { baseMs: 1_000, capMs: 2_000 }
const pointless: Backoff = { baseMs: 60_000, capMs: 60_000 }
const nearby: Backoff = { baseMs: 50, capMs: 250 }
const remote: Backoff = { baseMs: 100, capMs: 2_000 }

/** Pace of the next attempt. A unix socket costs nothing to try, so a restarted agent is found within a quarter second. */
export function backoffFor(problem: Failure, address: SocketAddress): Backoff {
  if (problem.code === 'workload_api_rejected' || problem.code === 'workload_api_unimplemented') return pointless
  if (deniedCodes.has(problem.code)) return denied
  if (problem.retryAfterSeconds !== undefined) return limited
  return address.kind === 'unix' ? nearby : remote
}

interface Outcome {
  readonly failure: Failure
  readonly valid: boolean
  readonly livedMs: number
}

/** Supervises one stream. There is never a second one beside it, but for the one replacement. */
export function keepStream<M>(options: StreamOptions<M>): KeptStream {
  const { address, clock, random } = options
  let active: { stop: () => void } | undefined
  let successor: Promise<Outcome | undefined> | undefined
  let replacing = false
  let replacementFailed = false
  let running: AbortSignal | undefined

  async function once(signal: AbortSignal, replaces: boolean): Promise<Outcome | undefined> {
    const link = linked(signal)
    const begun = clock.boot()
    let valid = false
    if (!replaces) active = link
    const silence = linked(link.signal)
    reportSilence(silence.signal).catch(() => {})
    try {
      for await (const message of options.open(link.signal)) {
        silence.stop()
        if (replaces && active !== link) {
          active?.stop()
          active = link
          replacing = false
        }
        try {
          options.take(message)
          valid = true
          options.connected()
        } catch (error) {
          options.rejected(toFailure(error))
        }
      }
      return { failure: failure('workload_api_unavailable', `the agent at ${address.text} closed the stream`), valid, livedMs: clock.boot() - begun }
    } catch (error) {
      signal.throwIfAborted()
      if (link.signal.aborted) return undefined // replaced
      return { failure: toFailure(error), valid, livedMs: clock.boot() - begun }
    } finally {
      silence.stop()
      link.stop()
      if (active === link) active = undefined
    }
  }

  async function reportSilence(signal: AbortSignal): Promise<void> {
    await clock.sleep(silentMs, signal)
    options.failed(failure('workload_api_silent', `the agent at ${address.text} took the call and has not answered for ${silentMs / 1000} s`))
  }

  return {
    get replacementFailed() {
      return replacementFailed
    },
    async run(signal) {
      running = signal
      let attempt = 0
      for (;;) {
        let outcome = await once(signal, false)
        for (let next = successor; next !== undefined; next = successor) {
          successor = undefined
          outcome = (await next) ?? outcome
        }
        signal.throwIfAborted()
        if (outcome === undefined) continue
        options.failed(outcome.failure)
        if (outcome.valid) attempt = 0
        if (outcome.valid && outcome.livedMs >= settledMs && outcome.failure.code === 'workload_api_unavailable') continue
        await clock.sleep(steady(backoffFor(outcome.failure, address), attempt++, random), signal)
      }
    },
    replace() {
      if (running === undefined || running.aborted || active === undefined || replacing) return
      replacing = true
      replacementFailed = false
      const next = once(running, true)
      successor = next
      // One that fails before its first message leaves the old stream in place.
      const settle = () => {
        if (!replacing) return
        replacing = false
        replacementFailed = true
        if (successor === next) successor = undefined
      }
      next.then(settle, settle)
    },
  }
}
