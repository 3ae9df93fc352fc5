// What stands in the files: pure functions of identity material and the time.
import type { X509Certificate } from 'node:crypto'
import { failure } from '../core/errors.ts'
import type { X509Identity } from '../identity/sources.ts'
import type { JwtBundle } from '../spiffe/jwt-bundle.ts'
import { type TrustDomain, trustDomainOf } from '../spiffe/spiffe-id.ts'

export interface X509Names {
  readonly certificate?: string | undefined
  readonly key?: string | undefined
  readonly bundle?: string | undefined
  /** Private key, then the certificate and its chain, in one file. */
  readonly combined?: string | undefined
}

export interface X509Form {
  readonly names: X509Names
  /** Where intermediates go: behind the leaf, or into the bundle. */
  readonly intermediates: 'certificate' | 'bundle'
  /** Bundles of other trust domains: not at all, behind the own one, or in a file each. */
  readonly federated: 'none' | 'merged' | 'files'
  readonly omitExpired: boolean
}

export interface Content {
  readonly path: string
  readonly data: Buffer
  readonly secret: boolean
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)

/** The file of another trust domain's bundle: bundle.pem becomes bundle.example.org.pem. */
export const federatedName = (bundle: string, trustDomain: string): string => bundle.replace(/(\.[^./]+)?$/, (extension) => `.${trustDomain}${extension}`)

/**
 * The files of one X.509 identity: PEM with 64 columns and a final newline; the leaf first, then intermediates from its issuer
 * on; the key in PKCS#8. A bundle has the own authorities, then intermediates if they go there, then the federated
 * ones by name. `now` is the wall clock. Throws file_write when two files would have one name.
 */
export function x509Contents({ svid, bundles }: X509Identity, { names, intermediates, federated, omitExpired }: X509Form, now: number): Content[] {
  // An empty file would be no better than one with what has expired, and say less.
  const pem = (certificates: readonly X509Certificate[]): string => {
    const kept = certificates.filter((certificate) => !omitExpired || certificate === svid.leaf || Date.parse(certificate.validTo) >= now)
    return (kept.length > 0 ? kept : certificates).join('')
  }
  const own = trustDomainOf(svid.spiffeId)
  const others = [...bundles].filter(([name]) => name !== own).toSorted(byName)
  const chain = pem([svid.leaf, ...svid.intermediates])
  const leaf = intermediates === 'certificate' ? chain : String(svid.leaf)
  const key = svid.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const trusted = pem([
    ...(bundles.get(own)?.authorities ?? []),
    ...(intermediates === 'bundle' ? svid.intermediates : []),
    ...(federated === 'merged' ? others.flatMap(([, { authorities }]) => authorities) : []),
  ])
  const file = (path: string | undefined, text: string, secret = false): Content[] => (path === undefined ? [] : [{ path, data: Buffer.from(text), secret }])
  const { bundle } = names
  const contents = [
    ...file(names.certificate, leaf),
    ...file(names.key, key, true),
    ...file(names.combined, key + chain, true),
    ...file(bundle, trusted),
    ...(bundle !== undefined && federated === 'files' ? others.flatMap(([name, { authorities }]) => file(federatedName(bundle, name), pem(authorities))) : []),
  ]
  const twice = contents.find(({ path }, index) => contents.some((other, position) => position < index && other.path === path))
  if (twice !== undefined)
    throw failure('file_write', `two files would be called ${twice.path}`, {
      remedy: 'Give each file a name of its own; a federated bundle has the name of its trust domain in it.',
    })
  return contents
}

/**
 * jwks: the keys of one trust domain, which must be named where there are several, because a verifier must not mix them.
 * spiffe-helper: every trust domain's JWKS in base64, in one JSON object by name. Throws jwt_bundle_invalid.
 */
export function jwtBundleContent(bundles: ReadonlyMap<TrustDomain, JwtBundle>, format: 'jwks' | 'spiffe-helper', trustDomain: string | undefined): Buffer {
  const sorted = [...bundles].toSorted(byName)
  if (format === 'spiffe-helper') return Buffer.from(JSON.stringify(Object.fromEntries(sorted.map(([name, bundle]) => [name, base64(helperJwks(bundle))]))))
  const found = trustDomain === undefined && sorted.length === 1 ? sorted[0] : sorted.find(([name]) => name === trustDomain)
  if (found !== undefined) return Buffer.from(found[1].canonical)
  const offered = sorted.map(([name]) => name).join(', ')
  throw failure('jwt_bundle_invalid', `the agent has JWT keys of ${offered}, and ${trustDomain ?? 'no trust domain'} is asked for`, {
    remedy: "Name one of them with the file's trust_domain.",
  })
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** spiffe-helper passes on what a key is, and nothing of what it is for. */
function helperJwks({ keys }: JwtBundle): string {
  const plain = [...keys].map(([kid, { kty, crv, x, y, n, e }]) => ({ kty, kid, crv, x, y, n, e }))
  return JSON.stringify({ keys: plain })
}
