// X.509 bundles: the authorities of one trust domain. Trust Domain and Bundle standard, section 4.
import { hash, X509Certificate } from 'node:crypto'
import { errorText, type FailureCode, failure } from '../core/errors.ts'
import { readElement } from './der.ts'
import type { TrustDomain } from './spiffe-id.ts'

export type X509Bundle = ReturnType<typeof parseX509Bundle>

/**
 * Splits concatenated DER into certificates, in order. Node's constructor reads the first one and silently
 * ignores what follows, so each is cut out by its own length. Throws `code` on anything else, trailing bytes included.
 */
export function splitCertificates(der: Buffer, code: FailureCode, what: string): X509Certificate[] {
  const certificates: X509Certificate[] = []
  try {
    for (let offset = 0; offset < der.length; ) {
      const { end } = readElement(der, offset)
      certificates.push(new X509Certificate(der.subarray(offset, end)))
      offset = end
    }
  } catch (error) {
    throw failure(code, `${what}: certificate ${certificates.length + 1} cannot be read: ${errorText(error)}`, { cause: error })
  }
  return certificates
}

/** Equal for equal maps of bundles, in whatever order they came; `digest` is equal for equal bundles. */
export const digestOfBundles = <B>(bundles: ReadonlyMap<TrustDomain, B>, digest: (bundle: B) => string): string =>
  JSON.stringify([...bundles].map(([name, bundle]) => `${name} ${digest(bundle)}`).sort())

/** Parses one bundle of the Workload API: concatenated DER, possibly empty. Throws x509_bundle_invalid. */
export function parseX509Bundle(trustDomain: TrustDomain, der: Buffer) {
  const authorities = splitCertificates(der, 'x509_bundle_invalid', `the bundle of ${trustDomain}`)
  return Object.freeze({
    trustDomain,
    /** May be empty: then nothing of this trust domain is trusted. */
    authorities: Object.freeze(authorities),
    /** Equal for equal sets of authorities, in whatever order they came. */
    digest: hash('sha256', [...new Set(authorities.map((authority) => authority.fingerprint256))].toSorted().join(' ')),
  })
}
