// A certificate and token authority of one trust domain that issues exactly what SPIRE would; keys stay in memory.
import { createPublicKey, generateKeyPair, type KeyObject, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { exportJWK, type JSONWebKeySet, SignJWT } from 'jose'
import { type CertificateContent, createCertificate, type Name, randomSerial } from './certificate.ts'

export interface AuthorityOptions {
  readonly trustDomain: string
  /** Issue leaves through an intermediate, as SPIRE does below an upstream authority. */
  readonly intermediate?: boolean
  readonly clock: { now(): number }
  /** Makes the keys of the certificate authorities, unless they are ec-p256 ones. */
  readonly createKey?: () => Promise<KeyObject>
}

export interface X509Request {
  readonly spiffeId: string
  readonly ttlSeconds: number
  readonly dnsNames?: readonly string[]
}

export interface IssuedX509 {
  /** DER, leaf first, then intermediates; never the root. */
  chain: Buffer[]
  /** PKCS#8 DER. */
  key: Buffer
}

export interface JwtRequest {
  readonly spiffeId: string
  readonly audience: string[]
  readonly ttlSeconds: number
  readonly issuer?: string | undefined
}

export type Authority = Awaited<ReturnType<typeof createAuthority>>

// Long enough that a test may let months pass without meeting the end of the root.
const authoritySeconds = 10 * 365 * 86_400
const cushionSeconds = 10

const country = ['C', 'US'] as const

const generate = promisify(generateKeyPair)
const createEcKey = async () => (await generate('ec', { namedCurve: 'P-256' })).privateKey

/** Makes an authority with a new root. */
export async function createAuthority({ trustDomain, intermediate, clock, createKey = createEcKey }: AuthorityOptions) {
  /** The validity of what is issued now, by an authority that lasts until `latest`. */
  const validity = (ttlSeconds: number, latest = Number.POSITIVE_INFINITY) => {
    const now = Math.floor(clock.now() / 1000) * 1000
    return { notBefore: now - cushionSeconds * 1000, notAfter: Math.min(now + ttlSeconds * 1000, latest) }
  }

  const certify = async (issuer?: CertificateContent) => {
    const serial = randomSerial()
    // The number keeps the subjects of two authorities apart, so that a chain is built by name alone.
    const subject: Name = [country, ['O', 'SPIFFE'], ['serialNumber', serial.toString()]]
    const content = { key: await createKey(), subject, serial, ...validity(authoritySeconds), ca: true, uris: [`spiffe://${trustDomain}`] }
    return { ...content, certificate: createCertificate({ ...content, ...(issuer && { issuer }) }) }
  }
  const root = await certify()
  const signing = intermediate ? await certify(root) : root
  const jwtKey = await createEcKey()
  const kid = randomBytes(24).toString('base64url')

  return {
    trustDomain,
    /** DER roots. */
    bundle: (): Buffer[] => [root.certificate],
    /** `otherwise`: what SPIRE would not do. */
    issueX509: async ({ spiffeId, ttlSeconds, dnsNames = [] }: X509Request, otherwise: Partial<CertificateContent> = {}): Promise<IssuedX509> => {
      if (!spiffeId.startsWith(`spiffe://${trustDomain}/`)) throw new Error(`${spiffeId} is not in the trust domain ${trustDomain}`)
      const content: CertificateContent = {
        key: otherwise.key ?? (await createEcKey()),
        subject: [country, ['O', 'SPIRE'], ...dnsNames.slice(0, 1).map((name) => ['CN', name] as const)],
        issuer: signing,
        ...validity(ttlSeconds, signing.notAfter),
        ca: false,
        uris: [spiffeId],
        dnsNames,
        ...otherwise,
      }
      const leaf = createCertificate(content)
      return { chain: intermediate ? [leaf, signing.certificate] : [leaf], key: content.key.export({ type: 'pkcs8', format: 'der' }) }
    },
    issueJwt: async ({ spiffeId, audience, ttlSeconds, issuer }: JwtRequest): Promise<string> => {
      const iat = Math.floor(clock.now() / 1000)
      const claims = { sub: spiffeId, aud: audience, exp: iat + ttlSeconds, iat, ...(issuer !== undefined && { iss: issuer }) }
      return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' }).sign(jwtKey)
    },
    /** A plain JWKS as SPIRE's: every key has a `kid`, none has a `use`. */
    jwks: async (): Promise<JSONWebKeySet> => ({ keys: [{ ...(await exportJWK(createPublicKey(jwtKey))), kid }] }),
  }
}
