// The registration entries of the dev agent, and one X.509-SVID for each, renewed when half of its life is left.
import type { Clock } from '../core/clock.ts'
import { type Running, start } from '../core/run.ts'
import type { Authority, IssuedX509, KeyType } from './authority.ts'

export interface Entry {
  id: string
  spiffeId: string
  hint?: string
  x509TtlSeconds?: number
  jwtTtlSeconds?: number
  keyType?: KeyType
  /** Foreign trust domains whose bundles this entry's callers get; left out, all that the agent federates with. */
  federatesWith?: string[]
  dnsNames?: string[]
  subject?: 'spire' | 'empty'
}

export interface EntriesOptions {
  authority: Authority
  clock: Clock
  x509TtlSeconds: number
  random: () => number
  /** Resolves as soon as renewals are not held back. */
  mayRenew: (signal: AbortSignal) => Promise<void>
  /** Called when every entry has its SVID after a change or a renewal. */
  changed: () => Promise<void>
}

export type Entries = ReturnType<typeof createEntries>

interface Row {
  entry: Entry
  svid?: IssuedX509
  /** The SVID is served until a new one is signed. */
  stale: boolean
  renewal?: Running
}

export function createEntries(options: EntriesOptions) {
  const { authority, clock, random, mayRenew } = options
  const rows = new Map<string, Row>() // in the order of creation
  let settling: Promise<void> | undefined
  let again = false
  let stopped = false

  // One pass at a time signs whatever lacks an SVID; changes that come meanwhile join it, so that a thousand
  // new entries are one announcement.
  const settle = (): Promise<void> => {
    again = true
    settling ??= pass()
    return settling
  }
  const pass = async () => {
    try {
      while (again && !stopped) {
        again = false
        await Promise.all([...rows.values()].filter(({ stale }) => stale).map(sign))
        if (!again) await options.changed()
      }
    } finally {
      settling = undefined
    }
  }

  const sign = async (row: Row) => {
    const { entry } = row
    const ttlSeconds = entry.x509TtlSeconds ?? options.x509TtlSeconds
    const svid = await authority.issueX509({ ...entry, ttlSeconds })
    if (rows.get(entry.id) !== row || stopped) return // deleted or changed while it was signed
    row.svid = svid
    row.stale = false
    // As SPIRE: when half of the certificate's life is left, 10 % more or less; that life is ten seconds longer than the TTL.
    const delayMs = Math.max(ttlSeconds * 250, ttlSeconds * 1000 - (ttlSeconds + 10) * 500 * (0.9 + 0.2 * random()))
    row.renewal = start(async (signal) => {
      await clock.sleep(delayMs, signal)
      await mayRenew(signal)
      replace(row, row.entry)
      void settle()
    })
  }

  // A new row rather than a changed one: whoever still signs for the old one sees that it is gone.
  const replace = ({ entry: before, svid, renewal }: Row, entry: Entry) => {
    void renewal?.stop()
    rows.set(entry.id, { entry, stale: true, ...(svid && before.spiffeId === entry.spiffeId ? { svid } : {}) })
  }

  const mustBelong = ({ spiffeId }: Entry) => {
    if (!spiffeId.startsWith(`spiffe://${authority.trustDomain}/`)) throw new Error(`${spiffeId} is not in the trust domain ${authority.trustDomain}`)
  }

  const rowOf = (id: string): Row => {
    const row = rows.get(id)
    if (!row) throw new Error(`the dev agent has no entry ${id}`)
    return row
  }

  return {
    /**
     * What is served: by entry ID, as SPIRE sorts them; without an SVID until the first one is signed, and with an
     * empty hint also when an older entry has the same, as in SPIRE.
     */
    get identities() {
      const owners = new Map<string, Entry>()
      for (const { entry } of rows.values()) if (entry.hint && !owners.has(entry.hint)) owners.set(entry.hint, entry)
      return [...rows.values()]
        .map(({ entry, svid }) => ({ entry, svid, hint: owners.get(entry.hint ?? '') === entry ? (entry.hint ?? '') : '' }))
        .sort((one, other) => (one.entry.id < other.entry.id ? -1 : 1))
    },
    add: (entry: Entry) => {
      mustBelong(entry)
      if (rows.has(entry.id)) throw new Error(`the dev agent already has an entry ${entry.id}`)
      rows.set(entry.id, { entry, stale: true })
      void settle()
    },
    update: (id: string, change: Partial<Entry>) => {
      const row = rowOf(id)
      const entry = { ...row.entry, ...change, id }
      mustBelong(entry)
      replace(row, entry)
      void settle()
    },
    delete: (id: string) => {
      void rowOf(id).renewal?.stop()
      rows.delete(id)
      void settle()
    },
    /** Renews every SVID now. */
    renewAll: () => {
      for (const row of rows.values()) replace(row, row.entry)
      return settle()
    },
    /** Resolves when every change made so far has been announced. */
    settled: async () => settling,
    stop: async () => {
      stopped = true
      await Promise.all([...rows.values()].map(async (row) => row.renewal?.stop()))
    },
  }
}
