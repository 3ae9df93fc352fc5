// X.509-SVIDs: a leaf with its chain and key, checked as one. X509-SVID standard, sections 2 to 5.
import { createPrivateKey } from 'node:crypto'
import { errorText, failure } from '../core/errors.ts'
import type { X509Facts } from '../core/events.ts'
import { type CertificateFacts, readCertificate } from './der.ts'
import { parseSpiffeId, pathOf, type SpiffeId } from './spiffe-id.ts'
import { splitCertificates } from './x509-bundle.ts'

export type X509Svid = ReturnType<typeof parseX509Svid>

export interface X509SvidMessage {
  readonly spiffe_id: string
  readonly x509_svid: Buffer
  readonly x509_svid_key: Buffer
  readonly hint: string
}

/**
 * Parses one SVID of a Workload API message and checks what a consumer must check before it uses it: leaf and intermediates by the standard, the key against
 * the leaf, the field against the certificate. Expiry is not checked: that is a matter of when it is used. Throws x509_svid_invalid.
 */
export function parseX509Svid(message: X509SvidMessage) {
  const what = `the X.509-SVID ${JSON.stringify(message.spiffe_id.slice(0, 300))}`
  const [leaf, ...intermediates] = splitCertificates(message.x509_svid, 'x509_svid_invalid', what)
  try {
    if (leaf === undefined) throw new Error('it has no certificate')
    const leafFacts = readCertificate(leaf.raw)
    const spiffeId = checkLeaf(leafFacts)
    if (spiffeId !== message.spiffe_id) throw new Error(`its certificate names ${spiffeId}`)
    for (const [index, certificate] of intermediates.entries()) checkIntermediate(readCertificate(certificate.raw), index + 1)
    if (message.x509_svid_key.length === 0) throw new Error('it has no private key')
    const privateKey = createPrivateKey({ key: message.x509_svid_key, format: 'der', type: 'pkcs8' })
    if (!leaf.checkPrivateKey(privateKey)) throw new Error('its private key does not belong to its certificate')
    // From the text: of a date that no calendar has, Node's own validToDate is left-over memory.
    const [notBefore, notAfter] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)]
    if (!(Number.isFinite(notBefore) && Number.isFinite(notAfter))) throw new Error('its dates are none that a calendar has')
    return Object.freeze({
      spiffeId,
      hint: message.hint,
      leaf,
      leafFacts,
      /** Issuer of the leaf first; the root is normally absent. */
      intermediates: Object.freeze(intermediates),
      /** A KeyObject prints no key. */
      privateKey,
      /** Decimal, as AWS writes it. */
      serial: BigInt(`0x${leaf.serialNumber}`).toString(10),
      /** Wall clock, milliseconds. */
      notBefore,
      notAfter,
    })
  } catch (error) {
    throw failure('x509_svid_invalid', `${what}: ${errorText(error)}`, { cause: error })
  }
}

function checkLeaf(facts: CertificateFacts): SpiffeId {
  const [uri, ...more] = facts.uris
  if (uri === undefined || more.length > 0) throw new Error(`its leaf has ${facts.uris.length} URI names instead of one (X509-SVID 2)`)
  const spiffeId = parseSpiffeId(uri)
  if (pathOf(spiffeId) === '') throw new Error('its SPIFFE ID has no path, so it names a trust domain (X509-SVID 5.2)')
  if (facts.ca) throw new Error('its leaf is a CA (X509-SVID 4.1)')
  if (!facts.keyUsage?.has('digitalSignature')) throw new Error('its leaf lacks the key usage digitalSignature (X509-SVID 4.3)')
  if (facts.keyUsage.has('keyCertSign')) throw new Error('its leaf may sign certificates (X509-SVID 4.3)')
  if (facts.keyUsage.has('cRLSign')) throw new Error('its leaf may sign revocation lists (X509-SVID 4.3)')
  return spiffeId
}

function checkIntermediate(facts: CertificateFacts, position: number): void {
  if (!facts.ca) throw new Error(`intermediate ${position} is not a CA (X509-SVID 4.1)`)
  if (!facts.keyUsage?.has('keyCertSign')) throw new Error(`intermediate ${position} may not sign certificates (X509-SVID 4.3)`)
}

/** What may be printed about an SVID. */
export const x509Facts = ({ spiffeId, serial, leaf, notBefore, notAfter }: X509Svid): X509Facts => {
  const fingerprint = leaf.fingerprint256.replaceAll(':', '').toLowerCase()
  return { spiffeId, serial, fingerprint, notBefore, notAfter }
}
