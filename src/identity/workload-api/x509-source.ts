// X.509 identities from the agent: one stream, coalesced, compared, chosen, and watched for the rotation that does not come.
import type { Clock } from '../../core/clock.ts'
import { type Failure, failure, toFailure } from '../../core/errors.ts'
import type { Emit } from '../../core/events.ts'
import { run, type Task } from '../../core/run.ts'
import { createCell, nextWithin } from '../../core/source.ts'
import { digestOf } from '../../spiffe/x509-bundle.ts'
import { parseX509Context, type X509Context } from '../../spiffe/x509-context.ts'
import { type X509Svid, x509Facts } from '../../spiffe/x509-svid.ts'
import type { Choice } from '../choice.ts'
import type { X509Identity, X509Source } from '../sources.ts'
import { createIdentityCell } from '../state.ts'
import type { WorkloadApi } from './client.ts'
import { keepStream } from './stream.ts'

export interface X509SourceOptions {
  readonly identity: string
  readonly api: WorkloadApi
  readonly choice: Choice
  readonly clock: Clock
  readonly random: () => number
  readonly emit: Emit
  /** Adds the remedy of this very process to "no identity issued". */
  readonly explain: (failure: Failure) => Failure
}

const coalesceMs = 250
const shareReplaceStream = 0.4
const shareUnhealthy = 0.1
const missingCheckMs = 1_000

/** Creates the source and the task that feeds it; one FetchX509SVID stream in all. */
export function createX509Source(options: X509SourceOptions): { source: X509Source; run: Task } {
  const { identity, api, clock, random, emit } = options
  const cell = createIdentityCell<X509Identity>({ identity, stream: 'x509', clock, emit })
  const pending = createCell<X509Context | undefined>(undefined)
  let appliedAt = Number.NEGATIVE_INFINITY
  let digest = ''
  let value: X509Identity | undefined
  let connected = false

  function apply(next: X509Context): void {
    appliedAt = clock.boot()
    try {
      const chosen = options.choice.pick(next.svids.map((svid) => ({ spiffe_id: svid.spiffeId, hint: svid.hint, svid }))).svid
      // SPIRE sends equal content again and again, and with every change of another identity: that must wake nobody.
      const own = digestOf([chosen.hint, next.bundlesDigest, ...[chosen.leaf, ...chosen.intermediates].map((certificate) => certificate.raw)])
      if (value === undefined || own !== digest) {
        const fresh = value?.svid.leaf.fingerprint256 !== chosen.leaf.fingerprint256
        digest = own
        value = Object.freeze({ svid: chosen, bundles: next.bundles })
        if (fresh)
          emit({ type: 'x509.updated', identity, hint: chosen.hint, svids: next.svids.length, bundles: [...next.bundles.keys()], ...x509Facts(chosen) })
      }
      cell.ready(value, lateness(chosen, clock.now()))
    } catch (error) {
      cell.failing(toFailure(error))
    }
  }

  const stream = keepStream({
    address: api.address,
    open: (signal) => api.x509Contexts(signal),
    clock,
    random,
    take(message) {
      const next = parseX509Context(message)
      // What waits is older than this, also when its timer is late.
      const due = clock.boot() - appliedAt >= coalesceMs
      pending.set(due ? undefined : next)
      if (due) apply(next)
    },
    connected() {
      if (!connected) emit({ type: 'identity.connected', identity, stream: 'x509' })
      connected = true
    },
    rejected(problem) {
      emit({ type: 'identity.rejected', identity, stream: 'x509', failure: problem })
      cell.failing(problem)
    },
    failed(problem) {
      // What waits to be applied came before this. A denial takes it back; anything else leaves it the newest there is.
      const waiting = pending.current
      pending.set(undefined)
      if (waiting !== undefined && problem.code !== 'identity_not_issued') apply(waiting)
      const explained = options.explain(problem)
      emit({ type: 'identity.disconnected', identity, stream: 'x509', failure: explained, wasConnected: connected })
      connected = false
      cell.failing(explained)
    },
  })

  // The first message of a burst is applied at once; of those that follow within a quarter second the newest counts.
  const coalesce: Task = async (signal) => {
    for (;;) {
      if (pending.current === undefined) await pending.next(undefined, signal)
      await clock.sleep(appliedAt + coalesceMs - clock.boot(), signal)
      const newest = pending.current
      pending.set(undefined)
      if (newest !== undefined) apply(newest)
    }
  }

  const watchRotation: Task = async (signal) => {
    // By fingerprint: the same SVID comes again whenever another identity of the agent is renewed.
    let warned = ''
    let told = ''
    for (;;) {
      const state = cell.source.current
      if (state.status !== 'ready') {
        await cell.source.next(state, signal)
        continue
      }
      const { svid } = state.value
      const left = svid.notAfter - clock.now()
      const share = left / (svid.notAfter - svid.notBefore)
      const leaf = svid.leaf.fingerprint256
      if (share <= shareReplaceStream && warned !== leaf) {
        warned = leaf
        emit({
          type: 'identity.warning',
          identity,
          code: 'x509_rotation_late',
          message: `${svid.spiffeId} should have been rotated: ${Math.round(left / 1000)} s of its life are left. Asking the agent again on a new stream`,
        })
        stream.replace()
      } else if (share <= shareReplaceStream && stream.replacementFailed) stream.replace()
      const late = lateness(svid, clock.now())
      // Told once, and again when something else has covered it and gone: an agent that is away is one story, not two in turns.
      if (late !== undefined && (state.failure === undefined || told !== leaf + late.code)) {
        told = leaf + late.code
        cell.failing(late)
      }
      await nextWithin(cell.source, cell.source.current, untilNextMark(left, svid), clock, signal)
    }
  }

  // A chosen identity that is missing from a message that stays the last one: nothing else would end the grace.
  const watchMissing: Task = async (signal) => {
    for (;;) {
      const state = cell.source.current
      if (state.status === 'ready' && state.failure?.code === 'identity_missing') {
        await nextWithin(cell.source, state, missingCheckMs, clock, signal)
        const { current } = cell.source
        if (current.status === 'ready' && current.failure?.code === 'identity_missing') cell.failing(current.failure)
      } else await cell.source.next(state, signal)
    }
  }

  return { source: cell.source, run: (signal) => run([stream.run, coalesce, watchRotation, watchMissing], signal) }
}

/** What the dates of an SVID in hand are a reason to complain of. */
function lateness(svid: X509Svid, now: number): Failure | undefined {
  const left = svid.notAfter - now
  const share = left / (svid.notAfter - svid.notBefore)
  const end = new Date(svid.notAfter).toISOString()
  if (left <= 0) return failure('x509_svid_expired', `the X.509-SVID ${svid.spiffeId} expired at ${end} by this machine's clock`)
  if (share <= shareUnhealthy) return failure('x509_rotation_late', `the X.509-SVID ${svid.spiffeId} ends at ${end} and has not been rotated`)
  return undefined
}

/** Milliseconds until the next of 40 %, 10 % and the end; a minute at most, because somebody may set the wall clock meanwhile. */
function untilNextMark(left: number, svid: X509Svid): number {
  const life = svid.notAfter - svid.notBefore
  const marks = [shareReplaceStream, shareUnhealthy, 0].map((share) => left - share * life).filter((ms) => ms > 0)
  return Math.min(60_000, ...marks.map((ms) => ms + 1))
}
