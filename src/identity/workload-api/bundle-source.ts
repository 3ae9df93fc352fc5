// Trust bundles from the agent, for whoever verifies others: X.509 authorities or JWT keys, by trust domain.
import { failure } from '../../core/errors.ts'
import { parseJwtBundles } from '../../spiffe/jwt-bundle.ts'
import type { TrustDomain } from '../../spiffe/spiffe-id.ts'
import { digestOfBundles } from '../../spiffe/x509-bundle.ts'
import { parseX509Bundles } from '../../spiffe/x509-context.ts'
import { createIdentityCell, type SourceOptions } from '../state.ts'
import { keepStream } from './stream.ts'

type Message = Readonly<Record<string, Buffer>>
type Kind<B> = {
  readonly stream: 'x509_bundles' | 'jwt_bundles'
  readonly open: (signal: AbortSignal) => AsyncIterable<Message>
  readonly parse: (message: Message) => ReadonlyMap<TrustDomain, B>
  /** Equal for equal bundles. */
  readonly digest: (bundle: B) => string
}

/** The X.509 bundles of the own and the federated trust domains; each message replaces all of them. */
export const createX509BundleSource = (options: SourceOptions) =>
  create(options, {
    stream: 'x509_bundles',
    open: options.api.x509Bundles,
    parse: (message) => parseX509Bundles(Object.entries(message)),
    digest: (bundle) => bundle.digest,
  })

/** The JWT bundles of the own and the federated trust domains; each message replaces all of them. */
export const createJwtBundleSource = (options: SourceOptions) =>
  create(options, { stream: 'jwt_bundles', open: options.api.jwtBundles, parse: parseJwtBundles, digest: (bundle) => bundle.canonical })

function create<B>(options: SourceOptions, { stream, open, parse, digest }: Kind<B>) {
  const { identity, emit, explain } = options
  const cell = createIdentityCell<ReadonlyMap<TrustDomain, B>>(options, stream, (bundles) => digestOfBundles(bundles, digest))
  const { run } = keepStream(options, {
    open,
    take(message) {
      const bundles = parse(message)
      // Mandatory and empty: to be discarded (Workload API 4.5). A trust domain without keys is something else.
      if (bundles.size === 0)
        throw failure(stream === 'x509_bundles' ? 'x509_bundle_invalid' : 'jwt_bundle_invalid', 'the agent sent a message without any bundle')
      if (cell.ready(bundles)) emit({ type: 'bundles.updated', identity, stream, trustDomains: [...bundles.keys()].sort() })
    },
    rejected: cell.rejected,
    failed: (problem) => cell.failing(explain(problem)),
  })
  return { source: cell.source, run }
}
