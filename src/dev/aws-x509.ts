// The certificates of a CreateSession: what AWS demands of the signing one, and its path to a trust anchor.
import { type AwsRequest, refuse } from './aws-request.ts'
import { type ReadCertificate, readCertificate } from './certificate.ts'

const longestChain = 5
const untrusted = (detail: string) => refuse(403, 'AccessDeniedException', 'Untrusted Signing Certificate', detail)
const invalid = (message: string, detail?: string) => refuse(400, 'ValidationException', message, detail)

function readOne(base64: string): ReadCertificate {
  try {
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw new Error('not base64')
    const raw = Buffer.from(base64, 'base64')
    const certificate = readCertificate(raw)
    if (certificate.x509.raw.length !== raw.length) throw new Error('more than one certificate')
    return certificate
  } catch (error) {
    throw invalid('Invalid certificate', String(error))
  }
}

/** The signing certificate, with the rules that AWS has for one. */
export function readLeaf(request: AwsRequest): ReadCertificate {
  const leaf = readOne(request.headers['x-amz-x509'] ?? '')
  const insufficient = (detail: string) => refuse(403, 'AccessDeniedException', 'Untrusted certificate. Insufficient certificate', detail)
  if (leaf.version !== 3) throw insufficient('not X.509 version 3')
  if (leaf.ca) throw insufficient('the certificate is a CA')
  if (!leaf.keyUsage.has('digitalSignature')) throw insufficient('key usage lacks digitalSignature')
  if (!leaf.x509.subject) throw insufficient('the subject is empty')
  return leaf
}

/** X-Amz-X509-Chain: up to five certificates, without the signing one. */
export function readChain(request: AwsRequest, leaf: ReadCertificate): ReadCertificate[] {
  const header = request.headers['x-amz-x509-chain']
  if (header === undefined) return []
  const chain = header.split(',').map(readOne)
  if (chain.length > longestChain) throw invalid(`X-Amz-X509-Chain exceeds the maximum depth of ${longestChain}`)
  if (chain.some(({ x509 }) => x509.raw.equals(leaf.x509.raw))) throw invalid('X-Amz-X509-Chain must not contain the signing certificate')
  return chain
}

/** RFC 5280 as far as it matters here: names, signatures, validity and CA flags up to one of the roots. */
export function verifyPath(leaf: ReadCertificate, chain: readonly ReadCertificate[], roots: readonly Buffer[], now: number): void {
  const anchors = roots.map(readCertificate)
  let current = leaf
  // One certificate of the chain is used up in each round, so this ends.
  for (let left = [...chain]; ; left = left.filter((one) => one !== current)) {
    const { validFromDate, validToDate } = current.x509
    if (now < validFromDate.getTime()) throw untrusted(`not valid before ${validFromDate.toISOString()}`)
    if (now > validToDate.getTime()) throw untrusted(`expired at ${validToDate.toISOString()}`)
    if (current !== leaf && !(current.ca && current.keyUsage.has('keyCertSign'))) throw untrusted('a certificate of the chain is not a CA')
    const signedBy = (issuer: ReadCertificate) => current.x509.issuer === issuer.x509.subject && current.x509.verify(issuer.x509.publicKey)
    const root = anchors.find(signedBy)
    if (root) {
      if (now > root.x509.validToDate.getTime()) throw untrusted('the root has expired')
      return
    }
    const next = left.find(signedBy)
    if (!next) throw untrusted(`no certificate for the issuer ${current.x509.issuer.replaceAll('\n', ', ')}`)
    current = next
  }
}
