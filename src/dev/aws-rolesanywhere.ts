// IAM Roles Anywhere's CreateSession, verified as AWS documents it: signature, certificate path, profile and role.
import { randomUUID, verify } from 'node:crypto'
import { type Account, isoSeconds } from './aws-account.ts'
import { type AwsRequest, parseArn, refuse } from './aws-request.ts'
import { dateProblem, parseAuthorization, problemOf, stringToSign } from './aws-sigv4.ts'
import { readChain, readLeaf, verifyPath } from './aws-x509.ts'
import type { ReadCertificate } from './certificate.ts'

const denied = (message: string, detail?: string) => refuse(403, 'AccessDeniedException', message, detail)
const invalid = (message: string) => refuse(400, 'ValidationException', message)
const algorithms: Record<string, string> = { rsa: 'AWS4-X509-RSA-SHA256', ec: 'AWS4-X509-ECDSA-SHA256' }

/** Answers a CreateSession with the JSON body of its 201. */
export async function createSession(request: AwsRequest, account: Account): Promise<string> {
  const now = account.clock.now()
  const leaf = readLeaf(request)
  const chain = readChain(request, leaf)
  const [spiffeId = ''] = leaf.uris
  const query = new URLSearchParams(request.query)
  const anchor = find(account.trustAnchors, query.get('trustAnchorArn'), 'trustAnchorArn')
  verifySignature(request, leaf, parseArn(anchor.arn)?.region ?? '', now)
  verifyPath(leaf, chain, anchor.roots(), now)

  const profile = find(account.profiles, query.get('profileArn'), 'profileArn')
  if (parseArn(profile.arn)?.region !== parseArn(anchor.arn)?.region) throw invalid('Trust anchor and profile must be in the same region')
  const roleArn = query.get('roleArn') ?? ''
  if (parseArn(roleArn)?.service !== 'iam') throw invalid('Invalid roleArn')
  const role = account.roles.find((one) => one.roleArn === roleArn)
  const mayNot = (detail: string) => denied(`Unable to assume role for ${roleArn}`, detail)
  if (!profile.roleArns.includes(roleArn)) throw mayNot('the role is not in the profile')
  if (!role) throw mayNot('there is no such role')
  if (role.spiffeIds && !role.spiffeIds.includes(spiffeId)) throw mayNot(`the role's trust policy does not name ${spiffeId}`)

  const wanted = readBody(request)
  if (wanted.roleSessionName !== undefined && !profile.acceptRoleSessionName) throw denied('Not authorized to set roleSessionName')
  const durationSeconds = Math.min(profile.durationSeconds ?? 3600, wanted.durationSeconds ?? 43_200)
  if (durationSeconds > (role.maxSessionSeconds ?? 3600)) throw invalid('The requested DurationSeconds exceeds the MaxSessionDuration set for this role.')
  const serial = leaf.x509.serialNumber.toLowerCase()
  const sessionName = wanted.roleSessionName ?? serial
  const { accessKeyId, secretAccessKey, sessionToken, expiration, ...assumed } = await account.issue({ roleArn, sessionName, durationSeconds })
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

function verifySignature(request: AwsRequest, { x509 }: ReadCertificate, region: string, now: number): void {
  const authorization = parseAuthorization(request.headers['authorization'] ?? '')
  if (!authorization) throw denied('Missing or malformed Authorization header')
  const wrong = (detail: string) => denied('Invalid signature', detail)
  const type = x509.publicKey.asymmetricKeyType ?? ''
  if (authorization.algorithm !== algorithms[type]) throw wrong(`${authorization.algorithm} with a key of type ${type}`)
  if (authorization.credential !== BigInt(`0x${x509.serialNumber}`).toString())
    throw wrong('Credential does not begin with the decimal serial number of the certificate')
  const expired = dateProblem(request, now, 5)
  if (expired !== undefined) throw denied(expired)
  if (!request.headers['content-type']?.startsWith('application/json')) throw wrong('Content-Type is not JSON')
  const chain = request.headers['x-amz-x509-chain'] === undefined ? [] : ['x-amz-x509-chain']
  const signedHeaders = ['host', 'content-type', 'x-amz-date', 'x-amz-x509', ...chain]
  const problem = problemOf(request, authorization, 'rolesanywhere', region, signedHeaders)
  if (problem !== undefined) throw wrong(problem)
  const signed = Buffer.from(stringToSign(request, authorization))
  // node:crypto reads DER for ECDSA and PKCS#1 v1.5 for RSA, which is what AWS wants of each.
  if (!verify('sha256', signed, x509.publicKey, authorization.signature)) throw wrong('the signature does not verify')
}

function readBody(request: AwsRequest): { durationSeconds?: number; roleSessionName?: string } {
  let body: unknown
  try {
    body = JSON.parse(request.body.toString() || '{}')
  } catch {
    throw refuse(400, 'SerializationException', 'The body is not JSON')
  }
  if (typeof body !== 'object' || body === null) throw invalid('The body is not an object')
  const { durationSeconds, roleSessionName } = body as Record<string, unknown>
  if (durationSeconds !== undefined) {
    const whole = typeof durationSeconds === 'number' && Number.isInteger(durationSeconds) ? durationSeconds : 0
    if (whole < 900 || whole > 43_200) throw invalid('durationSeconds must be between 900 and 43200')
  }
  if (roleSessionName !== undefined && !/^[\w+=,.@-]{2,64}$/.test(typeof roleSessionName === 'string' ? roleSessionName : ''))
    throw invalid('Invalid roleSessionName')
  return body
}
