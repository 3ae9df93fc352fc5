// The part of IAM Roles Anywhere that SPIRE's bundle publisher calls: UpdateTrustAnchor, with the signature and the rules that AWS has for it.
import { createHmac, X509Certificate } from 'node:crypto'
import { openListener } from '../support/world/aws.ts'
import type { mintAt } from '../support/world/aws-account.ts'
import { isAwsError, refuse } from '../support/world/aws-request.ts'
import { readSignature, verifySignature } from '../support/world/aws-sigv4.ts'
import { readCertificate } from '../support/world/certificate.ts'

export interface TrustAnchorOptions {
  readonly arn: string
  /** What it was created with. */
  readonly roots: readonly Buffer[]
  /** Sessions that may update it, by access key ID. */
  readonly sessions: ReadonlyMap<string, ReturnType<typeof mintAt>>
}

export interface Update {
  readonly status: number
  readonly accessKeyId: string
  /** Of the certificates that were sent. */
  readonly roots: number
  /** Why it was refused. */
  readonly error?: string
}

const limits = { certificates: 2, bytes: 8000 }
const hmac = (key: Buffer | string, data: string): Buffer => createHmac('sha256', key).update(data).digest()

export async function startTrustAnchor({ arn, roots, sessions }: TrustAnchorOptions) {
  const clock = { now: Date.now }
  const [, , , region = '', , anchor = ''] = arn.split(':')
  const path = `/trustanchor/${anchor.replace('trust-anchor/', '')}`
  const updates: Update[] = []
  let current = roots

  const server = await openListener(clock.now, async (request) => {
    const signature = readSignature(request)
    const accessKeyId = signature?.credential ?? ''
    const sent: Buffer[] = []
    try {
      const session = sessions.get(accessKeyId)
      if (signature?.algorithm !== 'AWS4-HMAC-SHA256' || !session || request.headers['x-amz-security-token'] !== session.sessionToken)
        throw refuse(403, 'UnrecognizedClientException', 'The security token included in the request is invalid.')
      if (session.expiration <= clock.now()) throw refuse(403, 'ExpiredTokenException', 'The security token included in the request is expired')
      const key = signature.scope.split('/').reduce<Buffer | string>(hmac, `AWS4${session.secretAccessKey}`)
      verifySignature(signature, 'rolesanywhere', { region, clock }, signature.signature.equals(hmac(key, signature.signed)))
      if (request.method !== 'PATCH' || request.path !== path) throw refuse(404, 'ResourceNotFoundException', `no ${request.method} ${request.path}`)
      sent.push(...readBundle(request.body))
      current = sent
      updates.push({ status: 200, accessKeyId, roots: sent.length })
      return { status: 200, type: 'application/json', body: JSON.stringify({ trustAnchor: { trustAnchorArn: arn, name: 'spire', enabled: true } }) }
    } catch (thrown) {
      if (!isAwsError(thrown)) throw thrown
      const { status, code, message, detail = '' } = thrown
      updates.push({ status, accessKeyId, roots: sent.length, error: `${code}: ${message} ${detail}` })
      return { status, type: 'application/json', body: JSON.stringify({ __type: code, message }) }
    }
  })
  return {
    url: server.url,
    /** DER: what the anchor trusts now. */
    roots: (): Buffer[] => [...current],
    updates: updates as readonly Update[],
    stop: server.close,
  }
}

/** The certificates of a source, as far as AWS takes them for a trust anchor. */
function readBundle(body: Buffer): Buffer[] {
  const invalid = (message: string) => refuse(400, 'ValidationException', message)
  const { source } = JSON.parse(body.toString()) as { source?: { sourceType?: string; sourceData?: { x509CertificateData?: string } } }
  const pem = source?.sourceData?.x509CertificateData ?? ''
  if (source?.sourceType !== 'CERTIFICATE_BUNDLE') throw invalid(`sourceType ${source?.sourceType}`)
  if (pem.length > limits.bytes) throw invalid(`more than ${limits.bytes} bytes`)
  const certificates = (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((one) => new X509Certificate(one).raw)
  if (certificates.length === 0 || certificates.length > limits.certificates) throw invalid(`${certificates.length} certificates, and 1 or 2 are taken`)
  for (const certificate of certificates) {
    const { version, ca, keyCertSign } = readCertificate(certificate)
    if (version !== 3 || !ca || !keyCertSign) throw invalid('not the certificate of a CA')
  }
  return certificates
}
