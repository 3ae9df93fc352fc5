// A certificate and token authority of one trust domain that issues exactly what SPIRE would; keys stay in memory.
import { createPublicKey, generateKeyPair, type KeyObject, randomBytes, X509Certificate } from 'node:crypto'
import { promisify } from 'node:util'
import { SignJWT } from 'jose'
import type { Clock } from '../core/clock.ts'
import { createCertificate, type Name, randomSerial } from './certificate.ts'

export type KeyType = 'ec-p256' | 'ec-p384' | 'rsa-2048'

export interface AuthorityOptions {
  trustDomain: string
  /** The key of the authorities; leaves have ec-p256 keys unless asked otherwise, as in SPIRE. */
  keyType?: KeyType
  /** Issue leaves through an intermediate, as SPIRE does below an upstream authority. */
  intermediate?: boolean
  clock: Clock
}

export interface IssuedX509 {
  /** DER, leaf first, then intermediates; never the root. */
  chain: Buffer[]
  /** PKCS#8 DER. */
  key: Buffer
  /** Milliseconds since 1970, as the certificate says. */
  notBefore: number
  notAfter: number
}

export interface X509Request {
  spiffeId: string
  ttlSeconds: number
  keyType?: KeyType
  dnsNames?: string[]
  subject?: 'spire' | 'empty'
  /** Milliseconds since 1970: issue as if it were then. */
  lifetimeStart?: number
}

export interface JwtRequest {
  spiffeId: string
  audience: string[]
  ttlSeconds: number
  issuer?: string | undefined
  algorithm?: 'ES256' | 'RS256' | 'PS256'
}

export interface Authority {
  readonly trustDomain: string
  /** DER roots; several after rotate(). */
  bundle(): Buffer[]
  rootPem(): string
  issueX509(request: X509Request): Promise<IssuedX509>
  issueJwt(request: JwtRequest): Promise<string>
  /** A plain JWKS as SPIRE's: every key has a `kid`, none has a `use`. */
  jwks(): Promise<{ keys: object[] }>
  /** Makes a new root and new JWT keys. The old ones stay in bundle() and jwks(). */
  rotate(): Promise<void>
}

// Long enough that a test may let months pass without meeting the end of the root.
const authoritySeconds = 10 * 365 * 86_400
const cushionSeconds = 10

const wholeSeconds = (milliseconds: number): number => Math.floor(milliseconds / 1000) * 1000

/** Makes an authority with a new root. */
export async function createAuthority(options: AuthorityOptions): Promise<Authority> {
  const { trustDomain, clock } = options
  const jwtKeys: { kid: string; type: KeyType; key: KeyObject }[] = []
  let signing = await createSigning(options)
  const roots = [signing.root]

  const addJwtKey = async (type: KeyType) => {
    const made = { kid: randomBytes(24).toString('base64url'), type, key: await createKey(type) }
    jwtKeys.push(made)
    return made
  }
  await addJwtKey('ec-p256')

  return {
    trustDomain,
    bundle: () => [...roots],
    rootPem: () => new X509Certificate(signing.root).toString(),
    issueX509: async (request) => {
      if (!request.spiffeId.startsWith(`spiffe://${trustDomain}/`)) throw new Error(`${request.spiffeId} is not in the trust domain ${trustDomain}`)
      return issueX509(signing, request, clock)
    },
    issueJwt: async (request) => {
      const { spiffeId, audience, ttlSeconds, issuer, algorithm = 'ES256' } = request
      const type = algorithm === 'ES256' ? 'ec-p256' : 'rsa-2048'
      const { kid, key } = jwtKeys.findLast((one) => one.type === type) ?? (await addJwtKey(type))
      const iat = Math.floor(clock.now() / 1000)
      const claims = { sub: spiffeId, aud: audience, exp: iat + ttlSeconds, iat, ...(issuer !== undefined && { iss: issuer }) }
      return new SignJWT(claims).setProtectedHeader({ alg: algorithm, kid, typ: 'JWT' }).sign(key)
    },
    jwks: async () => ({ keys: jwtKeys.map(({ kid, key }) => ({ ...createPublicKey(key).export({ format: 'jwk' }), kid })) }),
    rotate: async () => {
      signing = await createSigning(options)
      roots.push(signing.root)
      await Promise.all([...new Set(jwtKeys.map(({ type }) => type))].map(addJwtKey))
    },
  }
}

const generate = promisify(generateKeyPair)

/** Makes a private key. */
export async function createKey(type: KeyType): Promise<KeyObject> {
  const pair =
    type === 'rsa-2048' ? await generate('rsa', { modulusLength: 2048 }) : await generate('ec', { namedCurve: type === 'ec-p384' ? 'P-384' : 'P-256' })
  return pair.privateKey
}

type SigningAuthority = Awaited<ReturnType<typeof createSigning>>

/** `intermediates`: what a leaf's chain carries after the leaf. */
async function createSigning({ trustDomain, keyType, intermediate, clock }: AuthorityOptions) {
  const now = wholeSeconds(clock.now())
  const notAfter = now + authoritySeconds * 1000
  const certify = (key: KeyObject, issuer?: { key: KeyObject; subject: Name }) => {
    const serial = randomSerial()
    // The number keeps the subjects of two authorities apart, so that a chain is built by name alone.
    const subject: Name = [
      ['C', 'US'],
      ['O', 'SPIFFE'],
      ['serialNumber', BigInt(`0x${serial.toString('hex')}`).toString()],
    ]
    const certificate = createCertificate({
      publicKey: createPublicKey(key),
      subject,
      issuer: issuer?.subject ?? subject,
      issuerKey: issuer?.key ?? key,
      serial,
      notBefore: now - cushionSeconds * 1000,
      notAfter,
      ca: true,
      keyUsage: ['keyCertSign', 'cRLSign'],
      uris: [`spiffe://${trustDomain}`],
    })
    return { key, subject, certificate }
  }
  const root = certify(await createKey(keyType ?? 'ec-p256'))
  if (!intermediate) return { ...root, root: root.certificate, intermediates: [], notAfter }
  const below = certify(await createKey(keyType ?? 'ec-p256'), root)
  return { ...below, root: root.certificate, intermediates: [below.certificate], notAfter }
}

const leafSubject: Name = [
  ['C', 'US'],
  ['O', 'SPIRE'],
]

async function issueX509(signing: SigningAuthority, request: X509Request, clock: Clock): Promise<IssuedX509> {
  const key = await createKey(request.keyType ?? 'ec-p256')
  const start = wholeSeconds(request.lifetimeStart ?? clock.now())
  const notBefore = start - cushionSeconds * 1000
  const notAfter = Math.min(start + request.ttlSeconds * 1000, signing.notAfter)
  const commonName = request.dnsNames?.[0]
  const leaf = createCertificate({
    publicKey: createPublicKey(key),
    subject: [...(request.subject === 'empty' ? [] : leafSubject), ...(commonName === undefined ? [] : [['CN', commonName] as const])],
    issuer: signing.subject,
    issuerKey: signing.key,
    notBefore,
    notAfter,
    ca: false,
    keyUsage: ['digitalSignature', 'keyEncipherment', 'keyAgreement'],
    uris: [request.spiffeId],
    dnsNames: request.dnsNames ?? [],
  })
  return { chain: [leaf, ...signing.intermediates], key: key.export({ type: 'pkcs8', format: 'der' }), notBefore, notAfter }
}
