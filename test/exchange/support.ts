// An identity and an AWS for tests of exchanges: the real exchange in between.
import assert from 'node:assert/strict'
import { parseArn } from '../../src/aws/arn.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { type FailureCode, isFailure } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/events.ts'
import { callHttps } from '../../src/core/https.ts'
import { createCell } from '../../src/core/source.ts'
import type { Exchange, ExchangeContext } from '../../src/exchange/exchange.ts'
import { type RolesAnywhereOptions, rolesAnywhere } from '../../src/exchange/roles-anywhere.ts'
import { type WebIdentityOptions, webIdentity } from '../../src/exchange/web-identity.ts'
import type { IdentityState, IdentityToken, JwtSource, X509Identity } from '../../src/identity/sources.ts'
import { parseJwtSvid } from '../../src/spiffe/jwt-svid.ts'
import { parseX509Svid } from '../../src/spiffe/x509-svid.ts'
import { createAuthority, type KeyType } from '../support/dev/authority.ts'
import { type DevAwsOptions, startDevAws } from '../support/dev/aws.ts'

export const anchor = 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/a1'
export const profile = 'arn:aws:rolesanywhere:eu-central-1:111122223333:profile/p1'
export const role = 'arn:aws:iam::111122223333:role/apps/web'
export const issuer = 'https://oidc.example.test'
export const audience = 'sts.amazonaws.com'
export const spiffeId = 'spiffe://dev.local/web'
export const never = new AbortController().signal

export interface SetUp extends Partial<DevAwsOptions> {
  readonly clock: Clock
  readonly leafKey?: KeyType
  readonly caKey?: KeyType
  readonly intermediate?: boolean
  readonly subject?: 'spire' | 'empty'
  readonly id?: string
  readonly x509TtlSeconds?: number
  /** The authority was made so long ago. */
  readonly authorityAgeMs?: number
  readonly jwt?: { algorithm?: 'ES256' | 'RS256' | 'PS256'; issuer?: string | undefined; ttlSeconds?: number }
}

/** Starts an AWS that trusts an authority, and gives the exchanges of a workload of that authority. */
export async function setUp(options: SetUp) {
  const { clock } = options
  const past: Clock = { ...clock, now: () => clock.now() - (options.authorityAgeMs ?? 0) }
  const authority = await createAuthority({
    trustDomain: 'dev.local',
    clock: past,
    ...(options.caKey === undefined ? {} : { keyType: options.caKey }),
    intermediate: options.intermediate ?? true,
  })
  const aws = await startDevAws({
    trustAnchors: [{ arn: anchor, roots: () => authority.bundle() }],
    profiles: [{ arn: profile, roleArns: [role] }],
    oidcProviders: [{ issuer, audiences: [audience], jwks: () => authority.jwks() }],
    roles: [{ roleArn: role }],
    ...options,
  })
  const id = options.id ?? spiffeId
  const issue = async () => {
    const { chain, key } = await authority.issueX509({
      spiffeId: id,
      ttlSeconds: options.x509TtlSeconds ?? 3_600,
      ...(options.leafKey === undefined ? {} : { keyType: options.leafKey }),
      ...(options.subject === undefined ? {} : { subject: options.subject }),
    })
    return parseX509Svid({ spiffe_id: id, x509_svid: Buffer.concat(chain), x509_svid_key: key, hint: '' })
  }
  const x509 = createCell<IdentityState<X509Identity>>({ status: 'ready', value: { svid: await issue(), bundles: new Map() } })
  let fetches = 0
  const jwt: JwtSource = {
    async fetch(wanted): Promise<IdentityToken> {
      fetches++
      const { algorithm, issuer: iss, ttlSeconds } = { issuer, ttlSeconds: 300, ...options.jwt }
      const svid = await authority.issueJwt({
        spiffeId: id,
        audience: [...wanted],
        ttlSeconds,
        ...(iss === undefined ? {} : { issuer: iss }),
        ...(algorithm === undefined ? {} : { algorithm }),
      })
      return parseJwtSvid({ spiffe_id: id, svid, hint: '' })
    },
    retain() {},
    watch: () => createCell<IdentityState<IdentityToken>>({ status: 'waiting' }),
  }
  const events: Event[] = []
  const context: ExchangeContext = {
    profile: 'app',
    clock,
    permit: async () => {},
    emit: (event) => events.push(event),
    call: (call, signal) => callHttps(call, clock, signal),
  }
  const common = {
    role: parseArn(role, 'role'),
    region: 'eu-central-1',
    endpoint: new URL(aws.issuingUrl),
    durationSeconds: 3_600,
    sessionName: undefined,
    ca: undefined,
  }
  return {
    authority,
    aws,
    x509,
    issue,
    events,
    fetches: () => fetches,
    anywhere: (more: Partial<RolesAnywhereOptions> = {}): Exchange =>
      rolesAnywhere(x509, context, { ...common, trustAnchor: parseArn(anchor, 'trust-anchor'), profile: parseArn(profile, 'profile'), ...more }),
    web: (more: Partial<WebIdentityOptions> = {}): Exchange => webIdentity(jwt, context, { ...common, audience, ...more }),
    last: () => aws.requests.at(-1),
    stop: () => aws.stop(),
  }
}

/** Checks code and words of a failure, and that no token is in it. */
export const failsWith =
  (code: FailureCode, pattern = /./) =>
  (error: unknown) => {
    assert.ok(isFailure(error), String(error))
    assert.equal(error.code, code, error.message)
    assert.match(`${error.message} ${error.remedy}`, pattern)
    assert.ok(!`${error.message}${JSON.stringify(error)}`.includes('eyJ'), 'no token in the failure')
    return true
  }

/** Sets up, plays, and stops whatever happens. */
export async function inWorld(
  options: Omit<SetUp, 'clock'> & { clock?: SetUp['clock'] },
  body: (world: Awaited<ReturnType<typeof setUp>>) => Promise<void>,
): Promise<void> {
  const world = await setUp({ clock: systemClock, ...options })
  try {
    await body(world)
  } finally {
    await world.stop()
  }
}
