// What the dev agent knows, put into the Workload API's messages.
import type { Clock } from '../core/clock.ts'
import type { Source } from '../core/source.ts'
import type { AgentState, Behaviour } from './agent-service.ts'
import type { Authority } from './authority.ts'
import type { Entries } from './entries.ts'
import { type JwtSvids, validateJwtSvid } from './jwt-svids.ts'

export interface AgentCall {
  readonly method: string
  readonly at: number
  readonly headerOk: boolean
}

export interface Foreign {
  readonly bundle: Buffer[]
  readonly jwks: { keys: object[] }
}

export interface AgentParts {
  readonly authority: Authority
  readonly clock: Clock
  readonly jwtTtlSeconds: number
  readonly behaviour: Source<Behaviour>
  readonly entries: Entries
  /** By trust domain. */
  readonly federated: ReadonlyMap<string, Foreign>
  readonly jwts: JwtSvids
  readonly calls: AgentCall[]
}

const rememberedCalls = 1000
const idOf = (trustDomain: string): string => `spiffe://${trustDomain}`
const jsonBytes = (json: object): Buffer => Buffer.from(JSON.stringify(json))

export function createAgentState(parts: AgentParts): AgentState {
  const { authority, clock, entries, federated, jwts, calls } = parts
  const foreign = () => {
    const wanted = entries.identities.flatMap(({ entry }) => entry.federatesWith ?? [...federated.keys()])
    return [...federated].filter(([trustDomain]) => wanted.includes(trustDomain))
  }
  const foreignBundles = () => foreign().map(([td, { bundle }]) => [idOf(td), Buffer.concat(bundle)] as const)
  const ownBundle = () => Buffer.concat(authority.bundle())

  return {
    behaviour: parts.behaviour,
    identified: () => entries.identities.length > 0,
    settled: entries.settled,
    record: (method, headerOk) => {
      calls.push({ method, at: clock.now(), headerOk })
      if (calls.length > rememberedCalls) calls.shift()
    },
    x509: () => {
      const bundle = ownBundle()
      const svids = entries.identities.flatMap(({ entry, hint, svid }) =>
        svid ? [{ spiffe_id: entry.spiffeId, x509_svid: Buffer.concat(svid.chain), x509_svid_key: svid.key, bundle, hint }] : [],
      )
      return { svids, federated_bundles: Object.fromEntries(foreignBundles()) }
    },
    x509Bundles: () => ({ bundles: Object.fromEntries([[idOf(authority.trustDomain), ownBundle()], ...foreignBundles()]) }),
    jwtBundles: async () => ({
      bundles: Object.fromEntries([
        [idOf(authority.trustDomain), jsonBytes(await authority.jwks())],
        ...foreign().map(([td, { jwks }]) => [idOf(td), jsonBytes(jwks)] as const),
      ]),
    }),
    jwtSvids: (request) => {
      const audience = request.audience.filter((one) => one !== '')
      const svids = entries.identities
        .filter(({ entry }) => request.spiffe_id === '' || entry.spiffeId === request.spiffe_id)
        .map(async ({ entry, hint }) => ({
          spiffe_id: entry.spiffeId,
          svid: await jwts.fetch(entry.spiffeId, audience, entry.jwtTtlSeconds ?? parts.jwtTtlSeconds),
          hint,
        }))
      return Promise.all(svids)
    },
    validate: async (token, audience) => {
      const own = await authority.jwks()
      const keysOf = (td: string) => (td === authority.trustDomain ? own : federated.get(td)?.jwks)
      return validateJwtSvid(token, audience, keysOf, clock.now())
    },
  }
}
