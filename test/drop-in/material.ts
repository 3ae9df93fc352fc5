// What the agents of both programs serve: made once, so that both get the same bytes.
import type { KeyObject } from 'node:crypto'
import { type Authority, alternativeNames, basicConstraints, certificate, createAuthority, createKey, type KeyType, keyUsage, systemClock, uri } from './dev.ts'

export interface X509Svid {
  readonly spiffe_id: string
  readonly x509_svid: Buffer
  readonly x509_svid_key: Buffer
  readonly bundle: Buffer
  readonly hint: string
}

export interface JwtSvid {
  readonly spiffe_id: string
  readonly svid: string
  readonly hint: string
}

/** What ends a call. */
export interface Refusal {
  readonly code: number
  readonly details: string
}

/** What an agent answers. A buffer goes onto the wire as it is. */
export interface Serving {
  x509: { svids: readonly X509Svid[]; federated: Readonly<Record<string, Buffer>> } | Refusal | 'silent'
  jwtBundles: Readonly<Record<string, Buffer>> | Refusal | 'silent'
  /** `nth`: how often this agent has been asked for these audiences, from 0. */
  jwt: (audience: readonly string[], nth: number) => Promise<readonly JwtSvid[] | Refusal>
}

export const trustDomain = 'example.org'

/** The same promise for the same arguments, as far as JSON tells them apart. */
function once<A extends readonly unknown[], R>(make: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
  const made = new Map<string, Promise<R>>()
  return (...args) => {
    const key = JSON.stringify(args)
    const known = made.get(key) ?? make(...args)
    made.set(key, known)
    return known
  }
}

const day = 86_400_000
const agoClock = (ms: number) => ({ ...systemClock, now: () => systemClock.now() - ms })

/** plain: a self-signed root · intermediate: one below it · expired: a root of eleven years ago, which lived for ten. */
type Kind = 'plain' | 'intermediate' | 'expired' | 'rsa'

export const authority = once(
  (kind: Kind, domain: string = trustDomain): Promise<Authority> =>
    createAuthority({
      trustDomain: domain,
      intermediate: kind === 'intermediate',
      clock: kind === 'expired' ? agoClock(11 * 365 * day) : systemClock,
      keyType: kind === 'rsa' ? 'rsa-2048' : 'ec-p256',
    }),
)

export interface SvidRequest {
  readonly path?: string
  /** Another number is another rotation. */
  readonly number?: number
  readonly kind?: Kind
  readonly hint?: string
  readonly keyType?: KeyType
  readonly ttlSeconds?: number
  /** It was issued so long ago. */
  readonly ageSeconds?: number
}

/** An X.509-SVID. */
export const svid = once(async (request: SvidRequest = {}): Promise<X509Svid> => {
  const { path = '/web', kind = 'plain', hint = '', keyType = 'ec-p256', ttlSeconds = 3600, ageSeconds = 0 } = request
  const issuer = await authority(kind)
  const spiffeId = `spiffe://${trustDomain}${path}`
  const { chain, key } = await issuer.issueX509({ spiffeId, ttlSeconds, keyType, lifetimeStart: systemClock.now() - ageSeconds * 1000 })
  return { spiffe_id: spiffeId, x509_svid: Buffer.concat(chain), x509_svid_key: key, bundle: Buffer.concat(issuer.bundle()), hint }
})

/** A message with these SVIDs. */
export const x509 = async (...requests: readonly SvidRequest[]) => ({ svids: await Promise.all(requests.map((one) => svid(one))), federated: {} })

export const rootOf = async (kind: Kind, domain: string = trustDomain): Promise<Buffer> => Buffer.concat((await authority(kind, domain)).bundle())

/** What a certificate made by hand says. */
export interface Handmade {
  readonly ca?: boolean
  readonly usages?: Parameters<typeof keyUsage>
  readonly uris?: readonly string[]
  readonly notBefore?: number
  readonly notAfter?: number
}

/** An SVID whose leaf, or whose only intermediate, is made by hand; signed by a root of its own. */
export const handmade = once(async (leaf: Handmade, middle?: Handmade): Promise<X509Svid> => {
  const now = Math.floor(systemClock.now() / 1000) * 1000
  const [rootKey, middleKey, leafKey] = await Promise.all([createKey('ec-p256'), createKey('ec-p256'), createKey('ec-p256')])
  const make = (key: KeyObject, issuerKey: KeyObject, content: Handmade) => {
    const { ca = true, usages = ['keyCertSign', 'cRLSign'], uris = [`spiffe://${trustDomain}`], notBefore = now - day, notAfter = now + day } = content
    const names = uris.length === 0 ? [] : [alternativeNames(...uris.map(uri))]
    const extensions = [keyUsage(...usages), ca ? basicConstraints(true) : basicConstraints(), ...names]
    return certificate({ key, issuerKey, subject: 'SPIRE', issuer: 'SPIRE', notBefore, notAfter, extensions })
  }
  const root = make(rootKey, rootKey, {})
  const ordinaryLeaf: Handmade = { ca: false, usages: ['digitalSignature'], uris: [`spiffe://${trustDomain}/web`] }
  const end = make(leafKey, middle === undefined ? rootKey : middleKey, { ...ordinaryLeaf, ...leaf })
  const chain = middle === undefined ? [end] : [end, make(middleKey, rootKey, middle)]
  const key = leafKey.export({ type: 'pkcs8', format: 'der' })
  return { spiffe_id: `spiffe://${trustDomain}/web`, x509_svid: Buffer.concat(chain), x509_svid_key: key, bundle: root, hint: '' }
})

const jwksOf = async (domain: string): Promise<Buffer> => Buffer.from(JSON.stringify(await (await authority('plain', domain)).jwks()))

/** The JWT bundles of these trust domains. */
export const jwtBundles = async (...domains: readonly string[]): Promise<Record<string, Buffer>> =>
  Object.fromEntries(await Promise.all((domains.length === 0 ? [trustDomain] : domains).map(async (domain) => [`spiffe://${domain}`, await jwksOf(domain)])))

export interface TokenRequest {
  readonly path?: string
  readonly hint?: string
  readonly ttlSeconds?: number
  /** Signed by a trust domain of this name, while the subject is in ours. */
  readonly signer?: string
  /** Instead of what was asked for. */
  readonly audience?: readonly string[]
}

/** Answers requests for tokens with one token for each of these: the same one again, unless it is short-lived. */
export function tokens(...requests: readonly TokenRequest[]): Serving['jwt'] {
  const issue = once(async (asked: readonly string[], _nth: number, request: TokenRequest): Promise<JwtSvid> => {
    const { path = '/web', hint = '', ttlSeconds = 3600, signer = trustDomain, audience = asked } = request
    const spiffeId = `spiffe://${trustDomain}${path}`
    return { spiffe_id: spiffeId, svid: await (await authority('plain', signer)).issueJwt({ spiffeId, audience: [...audience], ttlSeconds }), hint }
  })
  return (asked, nth) =>
    Promise.all((requests.length === 0 ? [{}] : requests).map((request) => issue(asked, (request.ttlSeconds ?? 3600) < 60 ? nth : 0, request)))
}

export const denied: Refusal = { code: 7, details: 'no identity issued' }
export const unavailable: Refusal = { code: 14, details: 'the agent is stopping' }

/** One SVID, one trust domain, and a token for whoever asks. */
export async function ordinary(): Promise<Serving> {
  return { x509: await x509({}), jwtBundles: await jwtBundles(), jwt: tokens() }
}
