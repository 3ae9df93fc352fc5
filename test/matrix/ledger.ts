// What AWS saw of each cell, kept for longer than AWS remembers, and the keys that svidecar served one after the other.
import { decodeJwt } from 'jose'
import type { DevAws, RecordedRequest } from '../support/dev/aws.ts'

export interface Entry {
  /** When it was first seen, by performance.now(): up to a fifth of a second late. */
  readonly at: number
  readonly status: number
  readonly error: string | undefined
  /** Of a signed call. */
  readonly key: string | undefined
  /** When the token of a web identity was issued, in seconds since 1970. */
  readonly tokenIssued: number | undefined
}

export function openLedger({ requests }: DevAws, currentKey: () => Promise<string>) {
  const seen = new WeakSet<Readonly<RecordedRequest>>()
  const entries = new Map<string, Entry[]>()
  const issuing: number[] = []
  const served: { key: string; at: number }[] = []
  const look = async () => {
    for (const request of requests) {
      // One that is not answered yet is looked at later.
      if (request.status === 0 || seen.has(request)) continue
      seen.add(request)
      if (request.listener === 'issuing') {
        issuing.push(request.status)
        continue
      }
      const [, cell = ''] = request.url.split(/[/?]/)
      const token = new URLSearchParams(request.body).get('WebIdentityToken')
      const entry: Entry = {
        at: performance.now(),
        status: request.status,
        error: request.error,
        key: /Credential=([^/]+)\//.exec(request.headers['authorization'] ?? '')?.[1],
        tokenIssued: token === null ? undefined : decodeJwt(token).iat,
      }
      entries.set(cell, [...(entries.get(cell) ?? []), entry])
    }
    const key = await currentKey().catch(() => '')
    if (key !== '' && key !== served.at(-1)?.key) served.push({ key, at: performance.now() })
  }
  let turn: Promise<void> = Promise.resolve()
  const timer = setInterval(() => {
    turn = turn.then(look)
  }, 200)
  return {
    /** What a cell asked of AWS, oldest first. */
    of: (cell: string): readonly Entry[] => entries.get(cell) ?? [],
    /** What svidecar was answered. */
    issuing: issuing as readonly number[],
    served: served as readonly { key: string; at: number }[],
    close: async () => {
      clearInterval(timer)
      await turn
      await look()
    },
  }
}
