// What AWS will refuse, found before AWS is asked. Here SPIFFE's vocabulary meets AWS's.

import type { Failure } from '../core/errors.ts'
import { failure } from '../core/errors.ts'
import type { IdentityToken } from '../identity/sources.ts'
import type { X509Svid } from '../spiffe/x509-svid.ts'

export interface Finding {
  /** fatal: AWS refuses it for certain. warning: it works, and surprises. */
  readonly level: 'fatal' | 'warning'
  readonly code: string
  readonly message: string
}

const fatal = (code: string, message: string): Finding => ({ level: 'fatal', code, message })
const warning = (code: string, message: string): Finding => ({ level: 'warning', code, message })

const maxChain = 5
// sha256WithRSA, sha384, sha512; ecdsa-with-SHA256, 384, 512.
const strongSignatures = new Set([
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
])
// The session tag x509SAN/URI holds the SPIFFE ID, and a tag's value has at most 256 characters (IAM guide, session tags).
const maxTagValue = 256
const maxSubject = 255

/** Which keys can sign: RSA, and EC on the curves that AWS takes. undefined: none of svidecar's. */
export function signingKey(svid: X509Svid): 'rsa' | 'ec' | undefined {
  const { asymmetricKeyType, asymmetricKeyDetails } = svid.privateKey
  if (asymmetricKeyType === 'rsa') return 'rsa'
  if (asymmetricKeyType === 'ec' && ['prime256v1', 'secp384r1'].includes(asymmetricKeyDetails?.namedCurve ?? '')) return 'ec'
  return undefined
}

/** Rules of IAM Roles Anywhere for the end-entity certificate (user guide, "trust model" and "authentication"). */
export function lintX509(svid: X509Svid): readonly Finding[] {
  const { leafFacts } = svid
  const key = svid.privateKey.asymmetricKeyDetails?.namedCurve ?? svid.privateKey.asymmetricKeyType ?? 'unknown'
  return [
    ...(leafFacts.subjectEmpty
      ? [
          fatal(
            'empty_subject',
            'its certificate has an empty subject, which Roles Anywhere refuses. SPIRE sets one by default; a credential composer or another issuer must do the same',
          ),
        ]
      : []),
    ...(signingKey(svid) === undefined
      ? [fatal('key_type', `its key is ${key}; svidecar signs with RSA, P-256 and P-384. Set the agent's workload_x509_svid_key_type`)]
      : []),
    ...(leafFacts.version === 3 ? [] : [fatal('version', `its certificate is X.509 version ${leafFacts.version} instead of 3`)]),
    ...(strongSignatures.has(leafFacts.signatureAlgorithm) ? [] : [fatal('signature', 'its certificate is signed with something weaker than SHA-256')]),
    ...(svid.intermediates.length > maxChain
      ? [fatal('chain_length', `it comes with ${svid.intermediates.length} intermediates and Roles Anywhere takes ${maxChain}`)]
      : []),
    ...(svid.spiffeId.length > maxTagValue
      ? [fatal('spiffe_id_length', `its SPIFFE ID has ${svid.spiffeId.length} characters, and the session tag that carries it takes ${maxTagValue}`)]
      : []),
    ...(leafFacts.commonName === undefined
      ? [
          warning(
            'no_common_name',
            'its certificate has no common name, so AWS takes the serial number as source identity, and that changes with every rotation. Match the tag x509SAN/URI in policies, or give the registration entry a DNS name',
          ),
        ]
      : []),
  ]
}

/** Rules of STS for web identity tokens (IAM guide, "OIDC federation"; STS API). */
export function lintToken(token: IdentityToken): readonly Finding[] {
  const { issuer } = token
  const length = token.compact.reveal().length
  return [
    ...(issuer === undefined ? [fatal('no_issuer', 'it has no issuer claim, which STS requires. Set jwt_issuer on the SPIRE server')] : []),
    ...(issuer !== undefined && !/^https:\/\/[^?#]+$/.test(issuer)
      ? [fatal('issuer', `its issuer ${JSON.stringify(issuer)} is not an https URL without query and fragment. Correct jwt_issuer on the SPIRE server`)]
      : []),
    ...(/^(RS|ES)(256|384|512)$/.test(token.algorithm)
      ? []
      : [fatal('algorithm', `it is signed with ${token.algorithm}, and STS takes RS and ES 256 to 512 only. Change the SPIRE server's jwt_key_type`)]),
    ...(token.issuedAt === undefined ? [fatal('no_issued_at', 'it has no iat claim, which STS requires')] : []),
    ...([token.issuedAt ?? 0, token.expiresAt].every((ms) => Number.isInteger(ms / 1000))
      ? []
      : [fatal('fractional_times', 'its iat or exp is not a whole number of seconds, which STS refuses')]),
    ...(length > 20_000 ? [fatal('token_length', `it has ${length} characters, and STS takes 20000`)] : []),
    ...(token.subject.length > maxSubject
      ? [fatal('subject_length', `its subject has ${token.subject.length} characters, and OIDC allows ${maxSubject}`)]
      : []),
  ]
}

/** The Failure of the fatal findings, or undefined. */
export function lintFailure(what: string, findings: readonly Finding[]): Failure | undefined {
  const stops = findings.filter((finding) => finding.level === 'fatal')
  if (stops.length === 0) return undefined
  return failure('svid_unsuitable', `AWS would refuse ${what}: ${stops.map((finding) => finding.message).join('; ')}`, {
    facts: { findings: stops.map((finding) => finding.code).join(' ') },
  })
}
