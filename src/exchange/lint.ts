// What AWS will refuse, found before AWS is asked. Here SPIFFE's vocabulary meets AWS's.
import type { KeyObject } from 'node:crypto'
import { failure } from '../core/errors.ts'
import type { IdentityToken } from '../identity/sources.ts'
import type { X509Svid } from '../spiffe/x509-svid.ts'

const maxChain = 5
// sha256WithRSA, sha384, sha512; ecdsa-with-SHA256, 384, 512.
const strongSignatures = /^1\.2\.840\.(113549\.1\.1\.1[123]|10045\.4\.3\.[234])$/
// The session tag x509SAN/URI holds the SPIFFE ID, and a tag's value has at most 256 characters (IAM guide, session tags).
const maxTagValue = 256
const maxSubject = 255

/** Which keys can sign: RSA, and EC on the curves that AWS takes. undefined: none of svidecar's. */
export function signingKey({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): 'rsa' | 'ec' | undefined {
  if (asymmetricKeyType === 'rsa') return 'rsa'
  return asymmetricKeyType === 'ec' && ['prime256v1', 'secp384r1'].includes(asymmetricKeyDetails?.namedCurve ?? '') ? 'ec' : undefined
}

/** Throws svid_unsuitable with every rule that is broken: by the code for the log, the words, or false where the rule holds. */
function refuse(what: string, rules: Readonly<Record<string, string | false>>): void {
  const broken = Object.entries(rules).filter(([, words]) => words !== false)
  if (broken.length > 0)
    throw failure('svid_unsuitable', `AWS would refuse ${what}: ${broken.map(([, words]) => words).join('; ')}`, {
      facts: { findings: broken.map(([code]) => code).join(' ') },
    })
}

/**
 * Rules of IAM Roles Anywhere for the end-entity certificate (user guide, "trust model" and "authentication").
 * Returns what works, and surprises. Throws svid_unsuitable.
 */
export function lintX509({ spiffeId, leafFacts, intermediates, privateKey }: X509Svid): { code: string; message: string } | undefined {
  const { subjectEmpty, version, signatureAlgorithm, commonName } = leafFacts
  const key = privateKey.asymmetricKeyDetails?.namedCurve ?? privateKey.asymmetricKeyType ?? 'unknown'
  refuse(`the X.509-SVID ${spiffeId}`, {
    empty_subject:
      subjectEmpty &&
      'its certificate has an empty subject, which Roles Anywhere refuses. SPIRE sets one by default; a credential composer or another issuer must do the same',
    key_type:
      signingKey(privateKey) === undefined && `its key is ${key}; svidecar signs with RSA, P-256 and P-384. Set the agent's workload_x509_svid_key_type`,
    version: version !== 3 && `its certificate is X.509 version ${version} instead of 3`,
    signature: !strongSignatures.test(signatureAlgorithm) && 'its certificate is signed with something weaker than SHA-256',
    chain_length: intermediates.length > maxChain && `it comes with ${intermediates.length} intermediates and Roles Anywhere takes ${maxChain}`,
    spiffe_id_length:
      spiffeId.length > maxTagValue && `its SPIFFE ID has ${spiffeId.length} characters, and the session tag that carries it takes ${maxTagValue}`,
  })
  if (commonName !== undefined) return undefined
  return {
    code: 'no_common_name',
    message: `the X.509-SVID ${spiffeId}: its certificate has no common name, so AWS takes the serial number as source identity, and that changes with every rotation. Match the tag x509SAN/URI in policies, or give the registration entry a DNS name`,
  }
}

/** Rules of STS for web identity tokens (IAM guide, "OIDC federation"; STS API). Throws svid_unsuitable. */
export function lintToken({ compact, subject, issuer, algorithm, issuedAt, expiresAt }: IdentityToken): void {
  const { length } = compact.reveal()
  const whole = [issuedAt ?? 0, expiresAt].every((ms) => Number.isInteger(ms / 1000))
  refuse(`the JWT-SVID ${subject}`, {
    no_issuer: issuer === undefined && 'it has no issuer claim, which STS requires. Set jwt_issuer on the SPIRE server',
    issuer:
      issuer !== undefined &&
      !/^https:\/\/[^?#]+$/.test(issuer) &&
      `its issuer ${JSON.stringify(issuer)} is not an https URL without query and fragment. Correct jwt_issuer on the SPIRE server`,
    algorithm:
      !/^(RS|ES)(256|384|512)$/.test(algorithm) &&
      `it is signed with ${algorithm}, and STS takes RS and ES 256 to 512 only. Change the SPIRE server's jwt_key_type`,
    no_issued_at: issuedAt === undefined && 'it has no iat claim, which STS requires',
    fractional_times: !whole && 'its iat or exp is not a whole number of seconds, which STS refuses',
    token_length: length > 20_000 && `it has ${length} characters, and STS takes 20000`,
    subject_length: subject.length > maxSubject && `its subject has ${subject.length} characters, and OIDC allows ${maxSubject}`,
  })
}
