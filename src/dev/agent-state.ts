// What the dev agent knows, put into the Workload API's messages.
import type { Clock } from '../core/clock.ts'
import type { Authority } from './authority.ts'
import type { Entries } from './entries.ts'
import { type JwtSvids, validateJwtSvid } from './jwt-svids.ts'
import type { RawX509Message } from './workload-definition.ts'

/** What there is of another trust domain. */
export interface Foreign {
  readonly bundle: Buffer[]
  readonly jwks: { keys: object[] }
}

export interface AgentParts {
  readonly authority: Authority
  readonly clock: Clock
  readonly jwtTtlSeconds: number
  readonly entries: Entries
  /** By trust domain. */
  readonly federated: ReadonlyMap<string, Foreign>
  readonly jwts: JwtSvids
}

export type AgentState = ReturnType<typeof createAgentState>

const idOf = (trustDomain: string): string => `spiffe://${trustDomain}`

export function createAgentState({ authority, clock, jwtTtlSeconds, entries, federated, jwts }: AgentParts) {
  const foreign = () => {
    const wanted = entries.identities.flatMap(({ entry }) => entry.federatesWith ?? [...federated.keys()])
    return [...federated].filter(([trustDomain]) => wanted.includes(trustDomain))
  }
  const foreignBundles = () => foreign().map(([trustDomain, { bundle }]) => [idOf(trustDomain), Buffer.concat(bundle)] as const)
  const ownBundle = () => Buffer.concat(authority.bundle())

  return {
    /** False: no entry matches, so the caller has no identity. */
    identified: (): boolean => entries.identities.length > 0,
    /** Resolves when every matching entry has its SVID. */
    settled: entries.settled,
    x509: (): RawX509Message => {
      const bundle = ownBundle()
      const svids = entries.identities.flatMap(({ entry, hint, svid }) =>
        svid ? [{ spiffe_id: entry.spiffeId, x509_svid: Buffer.concat(svid.chain), x509_svid_key: svid.key, bundle, hint }] : [],
      )
      return { svids, federated_bundles: Object.fromEntries(foreignBundles()) }
    },
    x509Bundles: () => ({ bundles: Object.fromEntries([[idOf(authority.trustDomain), ownBundle()], ...foreignBundles()]) }),
    jwtBundles: async () => {
      const all = [[authority.trustDomain, await authority.jwks()] as const, ...foreign().map(([trustDomain, { jwks }]) => [trustDomain, jwks] as const)]
      return { bundles: Object.fromEntries(all.map(([trustDomain, jwks]) => [idOf(trustDomain), Buffer.from(JSON.stringify(jwks))])) }
    },
    jwtSvids: (spiffeId: string, audience: string[]) => {
      const wanted = entries.identities.filter(({ entry }) => spiffeId === '' || entry.spiffeId === spiffeId)
      const svids = wanted.map(async ({ entry, hint }) => ({
        spiffe_id: entry.spiffeId,
        svid: await jwts.fetch(entry.spiffeId, audience, entry.jwtTtlSeconds ?? jwtTtlSeconds),
        hint,
      }))
      return Promise.all(svids)
    },
    validate: async (token: string, audience: string) => {
      const own = await authority.jwks()
      const keysOf = (trustDomain: string) => (trustDomain === authority.trustDomain ? own : federated.get(trustDomain)?.jwks)
      return validateJwtSvid(token, audience, keysOf, clock.now())
    },
  }
}
