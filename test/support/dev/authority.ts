// The dev authority for tests: it rotates, and issues variants that SPIRE issues rarely or never.
import { createPublicKey, generateKeyPair, type KeyObject, X509Certificate } from 'node:crypto'
import { promisify } from 'node:util'
import { exportJWK, type JSONWebKeySet, SignJWT } from 'jose'
import type { Clock } from '../../../src/core/clock.ts'
import {
  createAuthority as createOne,
  type IssuedX509 as OneIssuedX509,
  type JwtRequest as OneJwtRequest,
  type X509Request as OneX509Request,
} from '../world/authority.ts'

export type KeyType = 'ec-p256' | 'ec-p384' | 'rsa-2048'

export interface AuthorityOptions {
  trustDomain: string
  /** The key of the authorities; leaves have ec-p256 keys unless asked otherwise, as in SPIRE. */
  keyType?: KeyType
  intermediate?: boolean
  clock: Clock
}

export interface X509Variant {
  keyType?: KeyType
  subject?: 'spire' | 'empty'
  /** Milliseconds since 1970: issue as if it were then. */
  lifetimeStart?: number
}

export type X509Request = OneX509Request & X509Variant

export interface JwtRequest extends OneJwtRequest {
  algorithm?: 'ES256' | 'RS256' | 'PS256'
}

export interface IssuedX509 extends OneIssuedX509 {
  /** Milliseconds since 1970, as the certificate says. */
  notBefore: number
  notAfter: number
}

export type Authority = Awaited<ReturnType<typeof createAuthority>>

/** Makes an authority with a new root. */
export async function createAuthority({ keyType = 'ec-p256', ...options }: AuthorityOptions) {
  const { clock } = options
  const add = () => createOne({ ...options, createKey: () => createKey(keyType) })
  let current = await add()
  const all = [current]
  const rsaKeys: { kid: string; key: KeyObject }[] = []
  const addRsaKey = async () => {
    const made = { kid: `rsa-${rsaKeys.length}`, key: await createKey('rsa-2048') }
    rsaKeys.push(made)
    return made
  }

  return {
    trustDomain: options.trustDomain,
    /** DER roots; several after rotate(). */
    bundle: (): Buffer[] => all.flatMap((one) => one.bundle()),
    rootPem: (): string => new X509Certificate(current.bundle()[0] ?? '').toString(),
    issueX509: async ({ keyType: leafType = 'ec-p256', subject, lifetimeStart, ...request }: X509Request): Promise<IssuedX509> => {
      const start = lifetimeStart === undefined ? undefined : Math.floor(lifetimeStart / 1000) * 1000
      const issued = await current.issueX509(request, {
        key: await createKey(leafType),
        ...(subject === 'empty' ? { subject: [] } : {}),
        ...(start === undefined ? {} : { notBefore: start - 10_000, notAfter: start + request.ttlSeconds * 1000 }),
      })
      const { validFromDate, validToDate } = new X509Certificate(issued.chain[0] ?? '')
      return { ...issued, notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() }
    },
    issueJwt: async ({ algorithm = 'ES256', ...request }: JwtRequest): Promise<string> => {
      if (algorithm === 'ES256') return current.issueJwt(request)
      const { kid, key } = rsaKeys.at(-1) ?? (await addRsaKey())
      const iat = Math.floor(clock.now() / 1000)
      const { spiffeId: sub, audience: aud, ttlSeconds, issuer } = request
      const claims = { sub, aud, exp: iat + ttlSeconds, iat, ...(issuer !== undefined && { iss: issuer }) }
      return new SignJWT(claims).setProtectedHeader({ alg: algorithm, kid, typ: 'JWT' }).sign(key)
    },
    /** A plain JWKS as SPIRE's: every key has a `kid`, none has a `use`. */
    jwks: async (): Promise<JSONWebKeySet> => {
      const rsa = rsaKeys.map(async ({ kid, key }) => ({ ...(await exportJWK(createPublicKey(key))), kid }))
      const sets = await Promise.all(all.map((one) => one.jwks()))
      return { keys: [...sets.flatMap(({ keys }) => keys), ...(await Promise.all(rsa))] }
    },
    /** Makes a new root and new JWT keys. The old ones stay in bundle() and jwks(). */
    rotate: async (): Promise<void> => {
      current = await add()
      all.push(current)
      if (rsaKeys.length > 0) await addRsaKey()
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
