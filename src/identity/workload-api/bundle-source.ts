// JWT bundles from the agent, for whoever verifies the tokens of others, by trust domain.
import { failure } from '../../core/errors.ts'
import { type JwtBundle, parseJwtBundles } from '../../spiffe/jwt-bundle.ts'
import type { TrustDomain } from '../../spiffe/spiffe-id.ts'
import { digestOfBundles } from '../../spiffe/x509-bundle.ts'
import { createIdentityCell, type SourceOptions } from '../state.ts'
import { keepStream } from './stream.ts'

/** The JWT bundles of the own and the federated trust domains; each message replaces all of them. */
export function createJwtBundleSource(options: SourceOptions) {
  const { identity, api, emit, explain } = options
  const stream = 'jwt_bundles'
  const cell = createIdentityCell<ReadonlyMap<TrustDomain, JwtBundle>>(options, stream, (bundles) => digestOfBundles(bundles, ({ canonical }) => canonical))
  const { run } = keepStream(options, {
    open: api.jwtBundles,
    take(message) {
      const bundles = parseJwtBundles(message)
      // Mandatory and empty: to be discarded (Workload API 4.5). A trust domain without keys is something else.
      if (bundles.size === 0) throw failure('jwt_bundle_invalid', 'the agent sent a message without any bundle')
      if (cell.ready(bundles)) emit({ type: 'bundles.updated', identity, stream, trustDomains: [...bundles.keys()].sort() })
    },
    rejected: cell.rejected,
    failed: (problem) => cell.failing(explain(problem)),
  })
  return { source: cell.source, run }
}
