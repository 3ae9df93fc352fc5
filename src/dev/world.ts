// A whole world for one laptop: an authority, an agent with one entry, and an AWS that trusts the authority.
import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { type Agent, startAgent } from './agent.ts'
import { type Authority, createAuthority } from './authority.ts'
import { type DevAws, startDevAws } from './aws.ts'

export interface WorldOptions {
  /** An existing private folder; the agent's socket goes there. */
  directory: string
  clock: Clock
  x509TtlSeconds: number
  jwtTtlSeconds: number
  /** How long AWS's sessions live. */
  sessionSeconds: number
}

export interface World {
  readonly authority: Authority
  readonly agent: Agent
  readonly aws: DevAws
  /** unix:///… */
  readonly socket: string
  readonly arns: typeof arns
  /** The `aud` that AWS accepts in a JWT-SVID. */
  readonly audience: string
  /** The `iss` of the JWT-SVIDs. */
  readonly issuer: string
  /** The one identity that there is. */
  readonly spiffeId: string
  stop(): Promise<void>
}

// A name that nobody can mistake for a real one.
const trustDomain = 'dev.local'
const spiffeId = `spiffe://${trustDomain}/web`
const issuer = `https://oidc.${trustDomain}`
const audience = 'sts.amazonaws.com'
const account = '123456789012'
const region = 'us-east-1'
const arns = {
  trustAnchor: `arn:aws:rolesanywhere:${region}:${account}:trust-anchor/00000000-0000-4000-8000-000000000001`,
  profile: `arn:aws:rolesanywhere:${region}:${account}:profile/00000000-0000-4000-8000-000000000002`,
  /** Through Roles Anywhere. */
  role: `arn:aws:iam::${account}:role/dev/web`,
  /** Through AssumeRoleWithWebIdentity. */
  webIdentityRole: `arn:aws:iam::${account}:role/dev/web-identity`,
}

export async function startWorld(options: WorldOptions): Promise<World> {
  const { clock } = options
  // As below an upstream authority, so that a certificate chain is always on the way.
  const authority = await createAuthority({ trustDomain, intermediate: true, clock })
  const aws = await startDevAws({
    clock,
    region,
    trustAnchors: [{ arn: arns.trustAnchor, roots: () => authority.bundle() }],
    profiles: [{ arn: arns.profile, roleArns: [arns.role] }],
    oidcProviders: [{ issuer, audiences: [audience], jwks: () => authority.jwks() }],
    roles: [
      { roleArn: arns.role, spiffeIds: [spiffeId] },
      { roleArn: arns.webIdentityRole, spiffeIds: [spiffeId] },
    ],
    issueSeconds: options.sessionSeconds,
  })
  try {
    const agent = await startAgent({
      address: `unix://${join(options.directory, 'agent.sock')}`,
      authority,
      clock,
      x509TtlSeconds: options.x509TtlSeconds,
      jwtTtlSeconds: options.jwtTtlSeconds,
      jwtIssuer: issuer,
      entries: [{ id: 'web', spiffeId, hint: 'web' }],
    })
    const stop = async () => {
      await agent.stop()
      await aws.stop()
    }
    return { authority, agent, aws, socket: agent.address, arns, audience, issuer, spiffeId, stop }
  } catch (error) {
    await aws.stop()
    throw error
  }
}
