// Which of several identities is ours: the configured one, or the first one and then no other.
import { failure } from '../core/errors.ts'
import type { JwtSvidMessage } from '../spiffe/jwt-svid.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'

export interface Wanted {
  readonly spiffeId?: SpiffeId | undefined
  readonly hint?: string | undefined
  /** Follow whichever identity comes first, as spiffe-helper does, instead of staying with the first one. */
  readonly followFirst?: boolean | undefined
}

type Offered = Pick<JwtSvidMessage, 'spiffe_id' | 'hint'>

export type Choice = ReturnType<typeof createChoice>

const list = (offered: readonly Offered[]): string => {
  const shown = offered.slice(0, 10).map(({ spiffe_id, hint }) => (hint === '' ? spiffe_id : `${spiffe_id} (hint ${JSON.stringify(hint)})`))
  return offered.length > 10 ? `${shown.join(', ')} and ${offered.length - 10} more` : shown.join(', ')
}

/**
 * One per identity, shared by its X.509 and JWT sources so that both mean the same workload. Without a wish the
 * agent's first SPIFFE ID is taken once: SPIRE orders by registration entry ID, so a new entry may come first
 * at any time, and nobody wants to become somebody else by that. Of equal hints the first counts (Workload API 5.2.1).
 */
export function createChoice({ spiffeId, hint, followFirst }: Wanted, warn: (code: string, message: string) => void) {
  let chosen: string | undefined
  const told = new Set<string>()
  const ours = () => spiffeId ?? (hint === undefined ? chosen : undefined)
  const wish = [spiffeId && `spiffe_id ${spiffeId}`, hint !== undefined && `hint ${JSON.stringify(hint)}`].filter(Boolean).join(' and ')
  return {
    /** What to name when asking for a token: undefined while nothing has been chosen, or when a hint decides. */
    get spiffeId(): string | undefined {
      return ours()
    },
    /** The one of `offered` that is ours. Throws identity_missing, with the list of those offered. */
    pick<T extends Offered>(offered: readonly T[]): T {
      const id = ours()
      const found = offered.find((one) => (id === undefined || one.spiffe_id === id) && (hint === undefined || one.hint === hint))
      if (found === undefined) {
        const asked = wish || (chosen === undefined ? 'any identity' : `the identity ${chosen} chosen at first`)
        throw failure('identity_missing', `the agent does not offer ${asked}; it offers ${offered.length === 0 ? 'none' : list(offered)}`)
      }
      if (followFirst) return found
      const [first = '', ...others] = new Set(offered.map((one) => one.spiffe_id))
      if (wish === '' && chosen === undefined && others.length > 0) {
        warn(
          'several_identities',
          `several identities match this process; ${first} came first and stays chosen. Set spiffe_id to be sure. Offered: ${list(offered)}`,
        )
      } else if (wish === '' && chosen !== undefined && first !== chosen && !told.has(first)) {
        told.add(first)
        warn('order_changed', `${first} now comes first among the identities, but ${chosen} was chosen and stays. Set spiffe_id to choose another`)
      }
      chosen ??= found.spiffe_id
      return found
    },
  }
}
