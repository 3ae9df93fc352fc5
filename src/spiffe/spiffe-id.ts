// SPIFFE IDs and trust domains: parse, validate, take apart. SPIFFE-ID standard, sections 2.1 to 2.4.
import { failure } from '../core/errors.ts'

/** A validated SPIFFE ID, such as spiffe://example.org/web. */
export type SpiffeId = string & { readonly __spiffeId: true }
/** A validated trust domain name, such as example.org. */
export type TrustDomain = string & { readonly __trustDomain: true }

const scheme = 'spiffe://'

// Bytes are scanned as they are: a WHATWG URL would lower-case, decode and collapse dots, and so accept texts that the standard (2.1, 2.2) forbids.
function problem(text: string): string | undefined {
  if (text === '') return 'it is empty'
  if (!text.startsWith(scheme)) return 'its scheme is missing or is not spiffe://'
  const [trustDomain = '', ...segments] = text.slice(scheme.length).split('/')
  if (trustDomain === '') return 'its trust domain is missing'
  if (trustDomain.length > 255) return 'its trust domain is longer than 255 bytes'
  if (!/^[a-z0-9._-]+$/.test(trustDomain)) return 'a trust domain has only lower-case letters, digits, dots, dashes and underscores'
  if (segments.at(-1) === '') return 'its path ends with a slash'
  if (segments.includes('')) return 'its path has an empty segment'
  if (segments.includes('.') || segments.includes('..')) return 'its path has a dot segment'
  if (!segments.every((segment) => /^[A-Za-z0-9._-]+$/.test(segment))) return 'a path has only letters, digits, dots, dashes and underscores'
  return undefined
}

/** Parses a SPIFFE ID, with or without a path. Throws spiffe_id_invalid. */
export function parseSpiffeId(text: string): SpiffeId {
  const wrong = problem(text)
  if (wrong !== undefined) throw failure('spiffe_id_invalid', `${JSON.stringify(text.slice(0, 300))} is not a SPIFFE ID: ${wrong}`)
  return text as SpiffeId
}

/** Parses the key of a bundle map: the SPIFFE ID of a trust domain, or its bare name. Throws spiffe_id_invalid. */
export function parseTrustDomain(text: string): TrustDomain {
  const id = parseSpiffeId(text.startsWith(scheme) ? text : scheme + text)
  if (pathOf(id) !== '') throw failure('spiffe_id_invalid', `${JSON.stringify(text.slice(0, 300))} names a workload, not a trust domain`)
  return trustDomainOf(id)
}

/** The trust domain of a SPIFFE ID. */
export const trustDomainOf = (id: SpiffeId): TrustDomain => (id.slice(scheme.length).split('/', 1)[0] ?? '') as TrustDomain

/** The path of a SPIFFE ID: empty, or with its leading slash. */
export const pathOf = (id: SpiffeId): string => id.slice(scheme.length + trustDomainOf(id).length)
