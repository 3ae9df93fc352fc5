// One Workload API message as one consistent snapshot: all SVIDs and all bundles together.
import { failure } from '../core/errors.ts'
import { parseTrustDomain, type TrustDomain, trustDomainOf } from './spiffe-id.ts'
import { parseX509Bundle, type X509Bundle } from './x509-bundle.ts'
import { parseX509Svid, type X509Svid, type X509SvidMessage } from './x509-svid.ts'

export interface X509Context {
  /** In the agent's order, never empty. */
  readonly svids: readonly X509Svid[]
  /** By trust domain: never merged, because a peer is verified with its own domain's bundle only (Workload API 4.6). */
  readonly bundles: ReadonlyMap<TrustDomain, X509Bundle>
}

export interface X509ContextMessage {
  readonly svids: readonly (X509SvidMessage & { readonly bundle: Buffer })[]
  readonly federated_bundles: Readonly<Record<string, Buffer>>
}

const limits = { svids: 2_000, bundles: 1_000, bundleBytes: 4 << 20 }

const tooLarge = (what: string, most: number) => failure('workload_api_too_large', `the agent sent ${what}, and svidecar takes at most ${most}`)

/**
 * Parses a whole X509SVIDResponse. A message counts as a whole or not at all (Workload API 4.4, 4.5): one bad SVID rejects it, and the caller keeps what it
 * had. Throws x509_svid_invalid, x509_bundle_invalid, spiffe_id_invalid, workload_api_too_large.
 */
export function parseX509Context(message: X509ContextMessage): X509Context {
  if (message.svids.length === 0) throw failure('x509_svid_invalid', 'the agent sent a message without any X.509-SVID')
  if (message.svids.length > limits.svids) throw tooLarge(`${message.svids.length} X.509-SVIDs`, limits.svids)
  const svids = message.svids.map(parseX509Svid)
  // The trust domain's bundle comes with each of its SVIDs: equal bytes are parsed once, others must at least be a bundle.
  const own = svids.map(({ spiffeId }, index) => [trustDomainOf(spiffeId), message.svids[index]?.bundle ?? Buffer.alloc(0)] as const)
  const distinct = new Map(own.map(([name, der]) => [`${name} ${der.toString('latin1')}`, [name, der] as const]))
  const bundles = parseX509Bundles([...Object.entries(message.federated_bundles), ...distinct.values()])
  return Object.freeze({ svids: Object.freeze(svids), bundles })
}

/** Parses a map of bundles; a later entry of the same trust domain wins. Throws x509_bundle_invalid, spiffe_id_invalid, workload_api_too_large. */
export function parseX509Bundles(entries: readonly (readonly [string, Buffer])[]): ReadonlyMap<TrustDomain, X509Bundle> {
  if (entries.length > limits.bundles) throw tooLarge(`${entries.length} bundles`, limits.bundles)
  const bundles = new Map<TrustDomain, X509Bundle>()
  for (const [key, der] of entries) {
    const trustDomain = parseTrustDomain(key)
    if (der.length > limits.bundleBytes) throw tooLarge(`${der.length} bytes of bundle for ${trustDomain}`, limits.bundleBytes)
    bundles.set(trustDomain, parseX509Bundle(trustDomain, der))
  }
  return bundles
}
