// The session name that CloudTrail will show, made from a SPIFFE ID within the rules of STS.
import { createHash } from 'node:crypto'

const longest = 64

/**
 * RoleSessionName is 2 to 64 of [\w+=,.@-] (STS API). A SPIFFE ID has slashes and colons and may be long: take
 * trust domain and path with dots for slashes, keep the end, which tells workloads apart, and let eight hex
 * digits of its hash keep cut names distinct.
 */
export function sessionName(spiffeId: string): string {
  const readable = spiffeId
    .replace(/^spiffe:\/\//, '')
    .replaceAll('/', '.')
    .replaceAll(/[^\w+=,.@-]/g, '-')
  if (readable.length >= 2 && readable.length <= longest) return readable
  const hash = createHash('sha256').update(spiffeId).digest('hex').slice(0, 8)
  return `${readable.slice(-(longest - 9))}-${hash}`
}
