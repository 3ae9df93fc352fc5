// A dev AWS with a trust anchor, profiles and roles, and somebody whom it trusts.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { type Authority, createAuthority, type IssuedX509 } from '../support/dev/authority.ts'
import { type DevAws, type DevAwsOptions, startDevAws } from '../support/dev/aws.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { type Answer, createSession, type Parts } from './create-session.ts'

export const hour: number = 3_600_000
export const spiffeId: string = 'spiffe://dev.local/web'
export const arns: Record<'trustAnchorArn' | 'profileArn' | 'roleArn', string> = {
  trustAnchorArn: 'arn:aws:rolesanywhere:eu-west-1:123456789012:trust-anchor/a',
  profileArn: 'arn:aws:rolesanywhere:eu-west-1:123456789012:profile/p',
  roleArn: 'arn:aws:iam::123456789012:role/team/web',
}

export interface Setup {
  clock: FakeClock
  authority: Authority
  aws: DevAws
  identity: IssuedX509
  create: (parts?: Partial<Parts>) => Promise<Answer>
}

export async function setup(t: TestContext, options: Partial<DevAwsOptions> = {}): Promise<Setup> {
  const clock = createFakeClock()
  const authority = await createAuthority({ trustDomain: 'dev.local', intermediate: true, clock })
  const other = { arn: `${arns.trustAnchorArn}-off`, enabled: false, roots: () => authority.bundle() }
  const aws = await startDevAws({
    clock,
    trustAnchors: [{ arn: arns.trustAnchorArn, roots: () => authority.bundle() }, other],
    profiles: [
      { arn: arns.profileArn, roleArns: [arns.roleArn, `${arns.roleArn}-theirs`, `${arns.roleArn}-gone`] },
      { arn: `${arns.profileArn}-off`, enabled: false, roleArns: [arns.roleArn] },
      { arn: arns.profileArn.replace('eu-west-1', 'eu-west-2'), roleArns: [arns.roleArn] },
      { arn: `${arns.profileArn}-named`, roleArns: [arns.roleArn], acceptRoleSessionName: true },
      { arn: `${arns.profileArn}-long`, roleArns: [arns.roleArn, `${arns.roleArn}-long`], durationSeconds: 43_200 },
    ],
    oidcProviders: [],
    roles: [
      { roleArn: arns.roleArn, spiffeIds: [spiffeId] },
      { roleArn: `${arns.roleArn}-theirs`, spiffeIds: ['spiffe://dev.local/other'] },
      { roleArn: `${arns.roleArn}-long`, maxSessionSeconds: 43_200 },
    ],
    ...options,
  })
  t.after(() => aws.stop())
  const identity = await authority.issueX509({ spiffeId, ttlSeconds: 3600 })
  const create: Setup['create'] = (parts) => createSession({ url: aws.issuingUrl, identity, ...arns, now: clock.now(), ...parts })
  return { clock, authority, aws, identity, create }
}

export interface Body {
  credentialSet: {
    assumedRoleUser: { arn: string }
    credentials: { accessKeyId: string; secretAccessKey: string; sessionToken: string; expiration: string }
    sourceIdentity: string
  }[]
  subjectArn: string
}
export const bodyOf = (answer: Answer): Body['credentialSet'][0] | undefined => (JSON.parse(answer.text) as Body).credentialSet[0]

/** Refused, as AWS does it: status, type in a header, message in JSON. */
export function refused({ status, headers, text }: Answer, expected: [number, string, RegExp]): void {
  const message = (JSON.parse(text) as { message?: string }).message ?? ''
  assert.deepEqual([status, headers['x-amzn-errortype']], expected.slice(0, 2), message)
  assert.match(message, expected[2])
}

export const queryOf = (parameters: Record<string, string>): string => new URLSearchParams(parameters).toString()

/** Status, code and message of the refusal that AWS gives for a certificate which it does not trust. */
export const untrusted: [number, string, RegExp] = [403, 'AccessDeniedException', /^Untrusted Signing Certificate$/]
