// X.509 identities from the agent: one stream, coalesced, compared, chosen, and watched for the rotation that does not come.
import { type Failure, failure, toFailure } from '../../core/errors.ts'
import { run, type Task } from '../../core/run.ts'
import { createCell, nextWithin } from '../../core/source.ts'
import { digestOfBundles } from '../../spiffe/x509-bundle.ts'
import { parseX509Context, type X509Context } from '../../spiffe/x509-context.ts'
import { type X509Svid, x509Facts } from '../../spiffe/x509-svid.ts'
import type { Choice } from '../choice.ts'
import type { X509Identity, X509Source } from '../sources.ts'
import { createIdentityCell, type SourceOptions } from '../state.ts'
import { keepStream } from './stream.ts'

const coalesceMs = 250
const shareReplaceStream = 0.4
const shareUnhealthy = 0.1
const missingCheckMs = 1_000

const digestOf = (svids: readonly X509Svid[], bundles: X509Context['bundles']): string =>
  JSON.stringify([
    digestOfBundles(bundles, ({ digest }) => digest),
    svids.map(({ hint, leaf, intermediates }) => [hint, ...[leaf, ...intermediates].map((one) => one.fingerprint256)]),
  ])

// Of equal hints the first counts (Workload API 5.2.1).
const firstOfItsHint = ({ hint }: X509Svid, index: number, all: readonly X509Svid[]): boolean =>
  hint === '' || all.findIndex((other) => other.hint === hint) === index

/** Creates the source and the task that feeds it; one FetchX509SVID stream in all. */
export function createX509Source(options: SourceOptions & { readonly choice: Choice }): { source: X509Source; run: Task } {
  const { identity, api, choice, clock, emit } = options
  const cell = createIdentityCell<X509Identity>(options, 'x509', ({ svid, bundles }) => digestOf([svid], bundles))
  const pending = createCell<X509Context | undefined>(undefined)
  let appliedAt = Number.NEGATIVE_INFINITY
  let announced = ''
  let heard = ''
  let connected = false

  /** Makes the newest message that came count, if it does not already. */
  function apply(): void {
    const next = pending.current
    if (next === undefined) return
    pending.set(undefined)
    appliedAt = clock.boot()
    const whole = digestOf(next.svids, next.bundles)
    if (whole !== heard) emit({ type: 'x509.received', identity, spiffeIds: next.svids.filter(firstOfItsHint).map(({ spiffeId }) => spiffeId) })
    heard = whole
    try {
      const { svid } = choice.pick(next.svids.map((one) => ({ spiffe_id: one.spiffeId, hint: one.hint, svid: one })))
      if (announced !== svid.leaf.fingerprint256) {
        announced = svid.leaf.fingerprint256
        emit({ type: 'x509.updated', identity, hint: svid.hint, svids: next.svids.length, bundles: [...next.bundles.keys()], ...x509Facts(svid) })
      }
      cell.ready(Object.freeze({ svid, bundles: next.bundles }), lateness(svid, clock.now()))
    } catch (error) {
      cell.failing(toFailure(error))
    }
  }

  const stream = keepStream(options, {
    open: api.x509Contexts,
    take(message) {
      pending.set(parseX509Context(message))
      if (clock.boot() - appliedAt >= coalesceMs) apply()
      if (!connected) emit({ type: 'identity.connected', identity, stream: 'x509' })
      connected = true
    },
    rejected: cell.rejected,
    failed(problem) {
      // What waits to be applied came before this. A denial takes it back; anything else leaves it the newest there is.
      if (problem.code === 'identity_not_issued') pending.set(undefined)
      apply()
      const explained = options.explain(problem)
      emit({ type: 'identity.disconnected', identity, stream: 'x509', failure: explained, wasConnected: connected })
      connected = false
      cell.failing(explained)
    },
  })

  // The first message of a burst is applied at once; of those that follow within a quarter second the newest counts.
  const coalesce: Task = async (signal) => {
    for (;;) {
      await pending.next(undefined, signal)
      await clock.sleep(appliedAt + coalesceMs - clock.boot(), signal)
      apply()
    }
  }

  const watch: Task = async (signal) => {
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
      const now = clock.now()
      const leaf = svid.leaf.fingerprint256
      if (now >= whenLeft(svid, shareReplaceStream)) {
        const seconds = Math.round((svid.notAfter - now) / 1000)
        const message = `${svid.spiffeId} should have been rotated: ${seconds} s of its life are left. Asking the agent again on a new stream`
        if (warned !== leaf) emit({ type: 'identity.warning', identity, code: 'x509_rotation_late', message })
        warned = leaf
        stream.replace(leaf)
      }
      const late = lateness(svid, now)
      // Told once, and again when something else has covered it and gone: an agent that is away is one story, not two in turns.
      if (late !== undefined && (state.failure === undefined || told !== leaf + late.code)) {
        told = leaf + late.code
        cell.failing(late)
      }
      // A chosen identity that is missing from a message that stays the last one: nothing else would end the grace.
      const missing = state.failure?.code === 'identity_missing'
      if (missing) cell.failing(state.failure)
      // A minute at most, because somebody may set the wall clock meanwhile.
      const next = [shareReplaceStream, shareUnhealthy, 0].map((share) => whenLeft(svid, share) - now).find((ms) => ms > 0) ?? 60_000
      await nextWithin(cell.source, cell.source.current, missing ? missingCheckMs : Math.min(60_000, next + 1), clock, signal)
    }
  }

  return { source: cell.source, run: (signal) => run([stream.run, coalesce, watch], signal) }
}

/** When only this share of an SVID's life is left, by the wall clock. */
const whenLeft = ({ notBefore, notAfter }: X509Svid, share: number): number => notAfter - share * (notAfter - notBefore)

/** What the dates of an SVID in hand are a reason to complain of. */
function lateness(svid: X509Svid, now: number): Failure | undefined {
  const end = new Date(svid.notAfter).toISOString()
  if (now >= svid.notAfter) return failure('x509_svid_expired', `the X.509-SVID ${svid.spiffeId} expired at ${end} by this machine's clock`)
  if (now >= whenLeft(svid, shareUnhealthy)) return failure('x509_rotation_late', `the X.509-SVID ${svid.spiffeId} ends at ${end} and has not been rotated`)
  return undefined
}
