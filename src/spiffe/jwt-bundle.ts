// JWT bundles: the public keys of a trust domain, as a plain JWKS. Trust Domain and Bundle standard, section 4.
import { failure } from '../core/errors.ts'
import { parseTrustDomain, type TrustDomain } from './spiffe-id.ts'

export interface JwtBundle {
  readonly trustDomain: TrustDomain
  /** By key ID. May be empty: then no token of this trust domain is trusted. */
  readonly keys: ReadonlyMap<string, Readonly<Record<string, unknown>>>
  /** The JWKS with its keys in order of their IDs: equal text for equal bundles, because the agent's order is random. */
  readonly canonical: string
}

const keyTypes = new Set(['RSA', 'EC'])
const order = (a: string, b: string): number => Number(a > b) - Number(a < b)

/**
 * Parses a JWKS of the Workload API. SPIRE's keys carry no `use` there; keys for other uses, of unknown types
 * or without an ID are passed over (4.2). Throws jwt_bundle_invalid.
 */
export function parseJwtBundle(trustDomain: TrustDomain, jwks: Buffer): JwtBundle {
  const invalid = (why: string) => failure('jwt_bundle_invalid', `the JWT bundle of ${trustDomain}: ${why}`)
  let document: unknown
  try {
    document = JSON.parse(jwks.toString('utf8'))
  } catch {
    throw invalid('it is not JSON')
  }
  const list = typeof document === 'object' && document !== null && 'keys' in document ? document.keys : undefined
  if (!Array.isArray(list)) throw invalid('it has no list of keys')
  const usable = list.filter((key): key is Record<string, unknown> & { kid: string } => {
    if (typeof key !== 'object' || key === null) return false
    const { kty, use, kid } = key as Record<string, unknown>
    return typeof kty === 'string' && keyTypes.has(kty) && (use === undefined || use === 'jwt-svid') && typeof kid === 'string' && kid !== ''
  })
  const ordered = usable.map((key) => Object.fromEntries(Object.entries(key).sort(([a], [b]) => order(a, b))) as typeof key)
  // By ID and then by the whole text: two keys may share an ID.
  const sorted = ordered.toSorted((a, b) => order(a.kid, b.kid) || order(JSON.stringify(a), JSON.stringify(b)))
  return Object.freeze({ trustDomain, keys: new Map(sorted.map((key) => [key.kid, Object.freeze(key)])), canonical: JSON.stringify({ keys: sorted }) })
}

/** Parses a JWTBundlesResponse. Throws jwt_bundle_invalid, spiffe_id_invalid. */
export function parseJwtBundles(bundles: Readonly<Record<string, Buffer>>): ReadonlyMap<TrustDomain, JwtBundle> {
  const parsed = Object.entries(bundles).map(([key, jwks]) => parseJwtBundle(parseTrustDomain(key), jwks))
  return new Map(parsed.map((bundle) => [bundle.trustDomain, bundle]))
}
