// A whole world for one laptop: an authority, an agent with one entry, and an AWS that trusts the authority.
import { join } from 'node:path'
import type { Clock } from '../../../src/core/clock.ts'
import type { Authority } from './authority.ts'
import { type AccountOptions, mintAt } from './aws-account.ts'

export interface WorldOptions {
  /** An existing private folder; the agent's socket goes there. */
  directory: string
  clock: Clock
  x509TtlSeconds: number
  jwtTtlSeconds: number
  /** How long AWS's sessions live. */
  sessionSeconds: number
}

// A name that nobody can mistake for a real one.
export const trustDomain = 'dev.local'
/** The one identity that there is. */
export const spiffeId: string = `spiffe://${trustDomain}/web`
/** The `iss` of the JWT-SVIDs. */
export const issuer: string = `https://oidc.${trustDomain}`
/** The `aud` that AWS accepts in a JWT-SVID. */
export const audience = 'sts.amazonaws.com'
const account = '123456789012'
export const region = 'us-east-1'
export const arns = {
  trustAnchor: `arn:aws:rolesanywhere:${region}:${account}:trust-anchor/00000000-0000-4000-8000-000000000001`,
  profile: `arn:aws:rolesanywhere:${region}:${account}:profile/00000000-0000-4000-8000-000000000002`,
  /** Through Roles Anywhere. */
  role: `arn:aws:iam::${account}:role/dev/web`,
  /** Through AssumeRoleWithWebIdentity. */
  webIdentityRole: `arn:aws:iam::${account}:role/dev/web-identity`,
}

/** As below an upstream authority, so that a certificate chain is always on the way. */
export const authorityOptions = (clock: Clock) => ({ trustDomain, intermediate: true, clock })

export type AgentOptions = ReturnType<typeof agentOptions>

export const agentOptions = (options: WorldOptions, authority: Authority) => ({
  ...options,
  path: join(options.directory, 'agent.sock'),
  authority,
  jwtIssuer: issuer,
  // With a common name in its certificate, or the daemon warns that the source identity changes with each serial.
  entry: { spiffeId, hint: 'web', dnsNames: ['web.dev.local'] },
})

export const accountOptions = ({ clock, sessionSeconds }: WorldOptions, authority: Authority): AccountOptions => ({
  clock,
  region,
  trustAnchors: [{ arn: arns.trustAnchor, roots: () => authority.bundle() }],
  profiles: [{ arn: arns.profile, roleArns: [arns.role] }],
  oidcProviders: [{ issuer, audiences: [audience], jwks: () => authority.jwks() }],
  roles: [arns.role, arns.webIdentityRole].map((roleArn) => ({ roleArn, spiffeIds: [spiffeId] })),
  mint: async () => mintAt(clock.now() + sessionSeconds * 1000),
})
