// The life of one identity: waiting, ready, withdrawn. Who moves it: messages, failures, and time without a break in denials.
import type { Failure } from '../core/errors.ts'
import type { Stream, World } from '../core/events.ts'
import { createCell, type Source } from '../core/source.ts'
import type { IdentityState } from './sources.ts'
import type { WorkloadApi } from './workload-api/client.ts'

/** What the sources of one identity have in common. */
export interface SourceOptions extends World {
  readonly identity: string
  readonly api: WorkloadApi
  /** Adds the remedy of this very process to "no identity issued". */
  readonly explain: (failure: Failure) => Failure
}

type CellOptions = Pick<SourceOptions, 'identity' | 'clock' | 'emit'>

export type IdentityCell<T> = ReturnType<typeof createIdentityCell<T>>

// During a CA change an agent may deny for a moment what it signs again in the next one, so a denial only
// counts when it has held for more than two of SPIRE's sync intervals.
const withdrawalGraceMs = 15_000

// What the own clock says of the SVID in hand: no word of the agent, so it neither makes nor breaks a denial.
const isOwn = (failure: Failure): boolean => ['x509_svid_expired', 'x509_rotation_late', 'jwt_svid_expired'].includes(failure.code)

const isDenial = (failure: Failure): boolean => failure.code === 'identity_not_issued' || failure.code === 'identity_missing'

const same = (a: Failure | undefined, b: Failure | undefined): boolean => a?.code === b?.code && a?.message === b?.message

/**
 * Creates the state of one identity in one of its forms. `digest` is equal for equal values: SPIRE sends equal
 * content again and again, and with every change of another identity, and that must wake nobody.
 */
export function createIdentityCell<T>({ identity, clock, emit }: CellOptions, stream: Stream, digest: (value: T) => string) {
  const cell = createCell<IdentityState<T>>({ status: 'waiting' })
  let known: { readonly value: T; readonly digest: string } | undefined
  let deniedSince: number | undefined
  const set = (state: IdentityState<T>) => cell.set(Object.freeze(state))

  const own = {
    source: cell as Source<IdentityState<T>>,
    /** A good message came: `value` is what counts now, and `still` is what is wrong with it all the same. True if it is another value than before. */
    ready(value: T, still?: Failure): boolean {
      const { current } = cell
      const print = digest(value)
      const fresh = known?.digest !== print
      if (known === undefined || fresh) known = { value, digest: print }
      deniedSince = undefined
      if (current.status === 'ready' && !fresh && same(current.failure, still)) return false
      if (still !== undefined) emit({ type: 'identity.failing', identity, stream, failure: still })
      else if (current.failure !== undefined) emit({ type: 'identity.recovered', identity, stream })
      set({ status: 'ready', value: known.value, ...(still === undefined ? {} : { failure: still }) })
      return fresh
    },
    /** Something is wrong. Good material stays; a denial that lasts withdraws it. */
    failing(failure: Failure): void {
      const { current } = cell
      if (isOwn(failure)) {
        if (current.failure !== undefined && isDenial(current.failure)) return
      } else deniedSince = isDenial(failure) ? (deniedSince ?? clock.boot()) : undefined
      if (current.status === 'ready' && deniedSince !== undefined && clock.boot() - deniedSince >= withdrawalGraceMs) {
        emit({ type: 'identity.withdrawn', identity, stream, failure })
        return set({ status: 'withdrawn', failure })
      }
      // What withdrew the identity remains the reason while the agent cannot be reached on top of it.
      if (current.status === 'withdrawn' || same(current.failure, failure)) return
      emit({ type: 'identity.failing', identity, stream, failure })
      set({ ...current, failure })
    },
    /** A message cannot be used. */
    rejected(failure: Failure): void {
      emit({ type: 'identity.rejected', identity, stream, failure })
      own.failing(failure)
    },
    /** The material in hand may be used no more, by its own dates: back to waiting. */
    ended(failure: Failure): void {
      if (cell.current.status === 'withdrawn') return
      emit({ type: 'identity.failing', identity, stream, failure })
      set({ status: 'waiting', failure })
    },
  }
  return own
}
