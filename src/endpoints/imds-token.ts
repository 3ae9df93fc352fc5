// IMDSv2 session tokens without a table: expiry and listener under an HMAC, so nothing grows and a restart with the same key breaks none.
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../core/clock.ts'

const expiryBytes = 8
export const longestTtlSeconds = 21_600
const tokenPattern = /^[A-Za-z0-9_-]{54}$/
const cached = 256

/** Tokens of one listener. Times are of the boot clock, which neither jumps nor starts again with the daemon. */
export function createImdsTokens(key: Buffer, listener: string, clock: Clock) {
  const seal = (expiry: Buffer) => createHmac('sha256', key).update(listener).update('\0').update(expiry).digest()
  // An HMAC costs more than the answer it opens. Only tokens of ours get in, and the oldest leaves.
  const verified = new Map<string, number>()
  return {
    /** A new token for 1 to 21600 seconds. */
    issue(ttlSeconds: number): string {
      const expiry = Buffer.alloc(expiryBytes)
      expiry.writeBigUInt64BE(BigInt(Math.floor(clock.boot()) + ttlSeconds * 1_000))
      return Buffer.concat([expiry, seal(expiry)]).toString('base64url')
    },
    /** Seconds that the token still has, undefined when it is not valid on this listener. */
    remainingSeconds(token: string): number | undefined {
      let expiresAt = verified.get(token)
      if (expiresAt === undefined) {
        if (!tokenPattern.test(token)) return undefined
        const bytes = Buffer.from(token, 'base64url')
        const expiry = bytes.subarray(0, expiryBytes)
        if (!timingSafeEqual(bytes.subarray(expiryBytes), seal(expiry))) return undefined
        expiresAt = Number(expiry.readBigUInt64BE())
        if (verified.size >= cached) verified.delete(verified.keys().next().value ?? '')
        verified.set(token, expiresAt)
      }
      const left = Math.ceil((expiresAt - clock.boot()) / 1_000)
      // More life than any token gets: it comes from before a reboot, which started the boot clock again.
      return left > 0 && left <= longestTtlSeconds ? left : undefined
    },
  }
}
