// The registration entries of the tests' dev agent, and one X.509-SVID for each, renewed when half of its life is left.

import type { Clock } from '../../../src/core/clock.ts'
import { type Running, start } from '../../../src/core/run.ts'
import { renewalDelayMs } from '../world/agent.ts'
import type { IssuedX509 } from '../world/authority.ts'
import type { Authority, X509Variant } from './authority.ts'

export interface Entry extends X509Variant {
  id: string
  spiffeId: string
  hint?: string
  x509TtlSeconds?: number
  jwtTtlSeconds?: number
  dnsNames?: readonly string[]
  /** Foreign trust domains whose bundles this entry's callers get; left out, all that the agent federates with. */
  federatesWith?: string[]
}

export interface EntriesOptions {
  authority: Pick<Authority, 'issueX509'>
  clock: Clock
  x509TtlSeconds: number
  jwtTtlSeconds: number
  random: () => number
  /** Called when every entry has its SVID after a change or a renewal. */
  changed: () => Promise<void>
}

interface Row {
  /** Served until a new one is signed. */
  svid?: IssuedX509 | undefined
  /** Set as soon as the SVID is this row's own. */
  renewal?: Running
}

export function createEntries({ authority, clock, random, x509TtlSeconds, jwtTtlSeconds, changed }: EntriesOptions) {
  let rows = new Map<Entry, Row>() // in the order of creation
  let settling: Promise<void> | undefined
  let again = false
  let stopped = false

  // One pass at a time signs whatever lacks an SVID; changes that come meanwhile join it, so that a thousand
  // new entries are one announcement.
  const pass = async () => {
    try {
      while (again && !stopped) {
        again = false
        await Promise.all([...rows].filter(([, { renewal }]) => !renewal).map(sign))
        if (!again) await changed()
      }
    } finally {
      settling = undefined
    }
  }

  const sign = async ([entry, row]: [Entry, Row]) => {
    const ttlSeconds = entry.x509TtlSeconds ?? x509TtlSeconds
    const svid = await authority.issueX509({ ...entry, ttlSeconds })
    if (rows.get(entry) !== row || stopped) return // deleted or changed while it was signed
    row.svid = svid
    const delayMs = renewalDelayMs(ttlSeconds, random)
    row.renewal = start(async (signal) => {
      await clock.sleep(delayMs, signal)
      void set([...rows.keys()].map((one) => (one === entry ? { ...one } : one)))
    })
  }

  /** Serves these from now on: an entry that is not the same object as before gets a new SVID. */
  const set = (entries: readonly Entry[]): Promise<void> => {
    const svids = new Map(Array.from(rows, ([{ id, spiffeId }, { svid }]) => [`${id} ${spiffeId}`, svid]))
    const next = new Map(entries.map((entry) => [entry, rows.get(entry) ?? { svid: svids.get(`${entry.id} ${entry.spiffeId}`) }]))
    for (const [entry, { renewal }] of rows) if (!next.has(entry)) void renewal?.stop()
    rows = next
    again = true
    settling ??= pass()
    return settling
  }

  return {
    set,
    /** In the order of creation. */
    get all(): readonly Entry[] {
      return [...rows.keys()]
    },
    /**
     * What is served: by entry ID, as SPIRE sorts them; without an SVID until the first one is signed, and with an
     * empty hint also when an older entry has the same, as in SPIRE.
     */
    get identities() {
      const hints = [...rows.keys()].map(({ hint = '' }) => hint)
      return Array.from(rows, ([entry, { svid }], at) => ({ entry, svid, hint: hints.indexOf(hints[at] ?? '') === at ? (hints[at] ?? '') : '' }))
        .sort((one, other) => (one.entry.id < other.entry.id ? -1 : 1))
        .map(({ entry, ...one }) => ({ ...one, spiffeId: entry.spiffeId, jwtTtlSeconds: entry.jwtTtlSeconds ?? jwtTtlSeconds }))
    },
    /** Resolves when every change made so far has been announced. */
    settled: async () => settling,
    stop: () => {
      stopped = true
      for (const { renewal } of rows.values()) void renewal?.stop()
    },
  }
}
