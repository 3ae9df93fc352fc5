// IAM Roles Anywhere's CreateSession, verified as AWS documents it: signature, certificate path, profile and role.
import { randomUUID, verify } from 'node:crypto'
import { type Account, isDuration, isoSeconds, sessionNames } from './aws-account.ts'
import { type AwsRequest, parseArn, refuse } from './aws-request.ts'
import { readSignature, verifySignature } from './aws-sigv4.ts'
import { type ReadCertificate, readCertificate } from './certificate.ts'

const denied = (message: string, detail?: string) => refuse(403, 'AccessDeniedException', message, detail)
const untrusted = (detail: string) => denied('Untrusted Signing Certificate', detail)
const invalid = (message: string, detail?: string) => refuse(400, 'ValidationException', message, detail)
const algorithms: Record<string, string> = { rsa: 'AWS4-X509-RSA-SHA256', ec: 'AWS4-X509-ECDSA-SHA256' }
const longestChain = 5

/** Answers a CreateSession with the JSON body of its 201. */
export async function createSession(request: AwsRequest, account: Account): Promise<string> {
  const now = account.clock.now()
  const leaf = readLeaf(request)
  const chain = readChain(request, leaf)
  const [spiffeId = ''] = leaf.uris
  const query = new URLSearchParams(request.query)
  const anchor = find(account.trustAnchors, query.get('trustAnchorArn'), 'trustAnchorArn')
  verifySigner(request, leaf, { ...account, region: parseArn(anchor.arn)?.region ?? '' })
  verifyPath(leaf, chain, anchor.roots(), now)

  const profile = find(account.profiles, query.get('profileArn'), 'profileArn')
  if (parseArn(profile.arn)?.region !== parseArn(anchor.arn)?.region) throw invalid('Trust anchor and profile must be in the same region')
  const roleArn = query.get('roleArn') ?? ''
  if (parseArn(roleArn)?.service !== 'iam') throw invalid('Invalid roleArn')
  const mayNot = (detail: string) => denied(`Unable to assume role for ${roleArn}`, detail)
  if (!profile.roleArns.includes(roleArn)) throw mayNot('the role is not in the profile')

  const wanted = readBody(request)
  if (wanted.roleSessionName !== undefined && !profile.acceptRoleSessionName) throw denied('Not authorized to set roleSessionName')
  const durationSeconds = Math.min(profile.durationSeconds ?? 3600, wanted.durationSeconds)
  const serial = leaf.x509.serialNumber.toLowerCase()
  const session = { roleArn, sessionName: wanted.roleSessionName ?? serial, durationSeconds }
  const { accessKeyId, secretAccessKey, sessionToken, expiration, ...assumed } = await account.assume(spiffeId, session, mayNot, invalid)
  const commonName = /^CN=(.*)$/m.exec(leaf.x509.subject)?.[1]
  return JSON.stringify({
    credentialSet: [
      {
        assumedRoleUser: { arn: assumed.assumedRoleArn, assumedRoleId: assumed.assumedRoleId },
        credentials: { accessKeyId, secretAccessKey, sessionToken, expiration: isoSeconds(expiration) },
        packedPolicySize: 10,
        roleArn,
        sourceIdentity: commonName === undefined ? `ID=${serial}` : `CN=${commonName}`,
      },
    ],
    subjectArn: anchor.arn.replace(/:trust-anchor\/.*/, `:subject/${randomUUID()}`),
  })
}

function find<T extends { arn: string; enabled?: boolean }>(all: readonly T[], arn: string | null, name: string): T {
  if (parseArn(arn ?? '')?.service !== 'rolesanywhere') throw invalid(`Invalid ${name}`)
  const found = all.find((one) => one.arn === arn)
  if (!found) throw refuse(404, 'ResourceNotFoundException', `${name} not found`)
  if (found.enabled === false) throw denied(`${name} is disabled`)
  return found
}

function verifySigner(request: AwsRequest, { x509 }: ReadCertificate, account: Pick<Account, 'region' | 'clock'>): void {
  const signature = readSignature(request)
  if (!signature) throw denied('Missing or malformed Authorization header')
  const wrong = (detail: string) => denied('Invalid signature', detail)
  const type = x509.publicKey.asymmetricKeyType ?? ''
  if (signature.algorithm !== algorithms[type]) throw wrong(`${signature.algorithm} with a key of type ${type}`)
  if (signature.credential !== BigInt(`0x${x509.serialNumber}`).toString())
    throw wrong('Credential does not begin with the decimal serial number of the certificate')
  if (!request.headers['content-type']?.startsWith('application/json')) throw wrong('Content-Type is not JSON')
  // node:crypto reads DER for ECDSA and PKCS#1 v1.5 for RSA, which is what AWS wants of each.
  const genuine = verify('sha256', Buffer.from(signature.signed), x509.publicKey, signature.signature)
  verifySignature(signature, 'rolesanywhere', account, genuine)
}

function readBody(request: AwsRequest) {
  let body: unknown
  try {
    body = JSON.parse(request.body.toString() || '{}')
  } catch {
    throw refuse(400, 'SerializationException', 'The body is not JSON')
  }
  if (typeof body !== 'object' || body === null) throw invalid('The body is not an object')
  const { durationSeconds = 43_200, roleSessionName } = body as Record<string, unknown>
  if (!isDuration(durationSeconds)) throw invalid('durationSeconds must be between 900 and 43200')
  if (roleSessionName === undefined) return { durationSeconds }
  if (typeof roleSessionName !== 'string' || !sessionNames.test(roleSessionName)) throw invalid('Invalid roleSessionName')
  return { durationSeconds, roleSessionName }
}

function readOne(base64: string): ReadCertificate {
  try {
    const certificate = readCertificate(Buffer.from(base64, 'base64'))
    if (certificate.x509.raw.toString('base64') !== base64) throw new Error('more than one certificate, or not base64')
    return certificate
  } catch (error) {
    throw invalid('Invalid certificate', String(error))
  }
}

/** The signing certificate, with the rules that AWS has for one. */
function readLeaf(request: AwsRequest): ReadCertificate {
  const leaf = readOne(request.headers['x-amz-x509'] ?? '')
  const insufficient = (detail: string) => denied('Untrusted certificate. Insufficient certificate', detail)
  if (leaf.version !== 3) throw insufficient('not X.509 version 3')
  if (leaf.ca) throw insufficient('the certificate is a CA')
  if (!leaf.digitalSignature) throw insufficient('key usage lacks digitalSignature')
  if (!leaf.x509.subject) throw insufficient('the subject is empty')
  return leaf
}

/** X-Amz-X509-Chain: up to five certificates, without the signing one. */
function readChain(request: AwsRequest, leaf: ReadCertificate): ReadCertificate[] {
  const header = request.headers['x-amz-x509-chain']
  if (header === undefined) return []
  const chain = header.split(',').map(readOne)
  if (chain.length > longestChain) throw invalid(`X-Amz-X509-Chain exceeds the maximum depth of ${longestChain}`)
  if (chain.some(({ x509 }) => x509.raw.equals(leaf.x509.raw))) throw invalid('X-Amz-X509-Chain must not contain the signing certificate')
  return chain
}

/** RFC 5280 as far as it matters here: names, signatures, validity and CA flags up to one of the roots. */
function verifyPath(leaf: ReadCertificate, chain: readonly ReadCertificate[], roots: readonly Buffer[], now: number): void {
  const anchors = roots.map(readCertificate)
  let current = leaf
  // One certificate of the chain is used up in each round, so this ends.
  for (let left = [...chain]; ; left = left.filter((one) => one !== current)) {
    const { validFromDate, validToDate } = current.x509
    if (now < validFromDate.getTime()) throw untrusted(`not valid before ${validFromDate.toISOString()}`)
    if (now > validToDate.getTime()) throw untrusted(`expired at ${validToDate.toISOString()}`)
    if (current !== leaf && !(current.ca && current.keyCertSign)) throw untrusted('a certificate of the chain is not a CA')
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
