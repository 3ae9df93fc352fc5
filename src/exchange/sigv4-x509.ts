// SigV4-X509: AWS Signature Version 4 made with a certificate's own key instead of a secret.
// IAM Roles Anywhere user guide, "The IAM Roles Anywhere credential helper", signing process.
import { hash, sign } from 'node:crypto'
import { isoSeconds } from '../aws/credentials.ts'
import type { X509Svid } from '../spiffe/x509-svid.ts'
import { signingKey } from './lint.ts'

/** RFC 3986, upper-case hex, with the five characters that encodeURIComponent leaves. */
const encode = (text: string): string => encodeURIComponent(text).replaceAll(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)

const canonicalQuery = (url: URL): string =>
  [...url.searchParams]
    .map(([key, value]) => `${encode(key)}=${encode(value)}`)
    .sort()
    .join('&')

/**
 * Headers of a signed request: certificate, chain without the leaf, date and Authorization. The algorithm follows
 * the leaf's key, not its issuer's; the serial is decimal; ECDSA signatures are DER. The key signs the string
 * itself: there is no derived signing key. `time` is AWS's, wall clock in milliseconds. The caller has linted the SVID.
 */
export function signX509(svid: X509Svid, { url, body, region, time }: { url: URL; body: string; region: string; time: number }): Record<string, string> {
  const date = isoSeconds(time).replaceAll(/[-:]/g, '')
  const scope = `${date.slice(0, 8)}/${region}/rolesanywhere/aws4_request`
  const chain = svid.intermediates.map((certificate) => certificate.raw.toString('base64')).join(',')
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    host: url.host,
    'x-amz-date': date,
    'x-amz-x509': svid.leaf.raw.toString('base64'),
    ...(chain === '' ? {} : { 'x-amz-x509-chain': chain }),
  }
  const names = Object.keys(headers).sort()
  const canonicalRequest = [
    'POST',
    url.pathname,
    canonicalQuery(url),
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    hash('sha256', body),
  ].join('\n')
  const algorithm = signingKey(svid.privateKey) === 'rsa' ? 'AWS4-X509-RSA-SHA256' : 'AWS4-X509-ECDSA-SHA256'
  const signature = sign('sha256', Buffer.from([algorithm, date, scope, hash('sha256', canonicalRequest)].join('\n')), svid.privateKey).toString('hex')
  return { ...headers, authorization: `${algorithm} Credential=${svid.serial}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}` }
}
