// Trust bundles from the agent, for whoever verifies others: X.509 authorities or JWT keys, by trust domain.
import type { Clock } from '../../core/clock.ts'
import { type Failure, failure } from '../../core/errors.ts'
import type { Emit } from '../../core/events.ts'
import type { Task } from '../../core/run.ts'
import type { Source } from '../../core/source.ts'
import { type JwtBundle, parseJwtBundles } from '../../spiffe/jwt-bundle.ts'
import type { TrustDomain } from '../../spiffe/spiffe-id.ts'
import type { X509Bundle } from '../../spiffe/x509-bundle.ts'
import { parseX509Bundles } from '../../spiffe/x509-context.ts'
import type { IdentityState } from '../sources.ts'
import { createIdentityCell } from '../state.ts'
import type { WorkloadApi } from './client.ts'
import { keepStream } from './stream.ts'

export interface BundleSourceOptions {
  readonly identity: string
  readonly api: WorkloadApi
  readonly clock: Clock
  readonly random: () => number
  readonly emit: Emit
  readonly explain: (failure: Failure) => Failure
}

type Bundles<B> = ReadonlyMap<TrustDomain, B>
type Kind<B> = {
  readonly stream: 'x509_bundles' | 'jwt_bundles'
  readonly open: (signal: AbortSignal) => AsyncIterable<Readonly<Record<string, Buffer>>>
  readonly parse: (bundles: Readonly<Record<string, Buffer>>) => Bundles<B>
  /** Equal for equal bundles. */
  readonly digest: (bundle: B) => string
}
export interface BundleSource<B> {
  readonly source: Source<IdentityState<Bundles<B>>>
  readonly run: Task
}

/** The X.509 bundles of the own and the federated trust domains; each message replaces all of them. */
export const createX509BundleSource = (options: BundleSourceOptions): BundleSource<X509Bundle> =>
  create(options, {
    stream: 'x509_bundles',
    open: options.api.x509Bundles,
    parse: (bundles) => parseX509Bundles(Object.entries(bundles)),
    digest: (bundle) => bundle.digest,
  })

/** The JWT bundles of the own and the federated trust domains; each message replaces all of them. */
export const createJwtBundleSource = (options: BundleSourceOptions): BundleSource<JwtBundle> =>
  create(options, { stream: 'jwt_bundles', open: options.api.jwtBundles, parse: parseJwtBundles, digest: (bundle) => bundle.canonical })

function create<B>(options: BundleSourceOptions, kind: Kind<B>): BundleSource<B> {
  const { identity, api, clock, random, emit } = options
  const { stream } = kind
  const cell = createIdentityCell<Bundles<B>>({ identity, stream, clock, emit })
  let seen = ''
  let value: Bundles<B> = new Map()
  const kept = keepStream({
    address: api.address,
    open: kind.open,
    clock,
    random,
    take(message) {
      const bundles = kind.parse(message)
      // Mandatory and empty: to be discarded (Workload API 4.5). A trust domain without keys is something else.
      if (bundles.size === 0)
        throw failure(stream === 'x509_bundles' ? 'x509_bundle_invalid' : 'jwt_bundle_invalid', 'the agent sent a message without any bundle')
      const digest = JSON.stringify([...bundles].map(([name, bundle]) => [name, kind.digest(bundle)].join(' ')).toSorted())
      if (digest !== seen) {
        seen = digest
        value = bundles
        emit({ type: 'bundles.updated', identity, stream, trustDomains: [...bundles.keys()].sort() })
      }
      cell.ready(value)
    },
    connected() {},
    rejected(problem) {
      emit({ type: 'identity.rejected', identity, stream, failure: problem })
      cell.failing(problem)
    },
    failed(problem) {
      cell.failing(options.explain(problem))
    },
  })
  return { source: cell.source, run: kept.run }
}
