// AWS's nouns: ARNs, hosts, credentials and what error answers mean.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseArn, roleName } from '../../src/aws/arn.ts'
import { acceptCredentials, isoSeconds } from '../../src/aws/credentials.ts'
import { refusalFailure } from '../../src/aws/faults.ts'
import { serviceUrl } from '../../src/aws/hosts.ts'
import { type FailureCode, isFailure } from '../../src/core/errors.ts'

const fails = (code: FailureCode) => (error: unknown) => isFailure(error) && error.code === code

test('ARNs are taken for what they are and for nothing else', () => {
  const role = parseArn('arn:aws:iam::111122223333:role/path/to/app', 'role')
  assert.deepEqual([role.partition, role.account, roleName(role)], ['aws', '111122223333', 'app'])
  assert.equal(parseArn('arn:aws-cn:rolesanywhere:cn-north-1:111122223333:profile/a-b', 'profile').region, 'cn-north-1')
  assert.equal(parseArn('arn:aws-us-gov:rolesanywhere:us-gov-west-1:111122223333:trust-anchor/a', 'trust-anchor').partition, 'aws-us-gov')
  for (const [text, kind] of [
    ['arn:aws:iam::111122223333:user/app', 'role'],
    ['arn:aws:iam::11112222333:role/app', 'role'],
    ['arn:aws:iam:eu-west-1:111122223333:role/app', 'role'],
    ['arn:aws:iam::111122223333:role/app/', 'role'],
    ['arn:aws:iam::111122223333:role/a b', 'role'],
    ['arn:aws:rolesanywhere::111122223333:profile/a', 'profile'],
    ['arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/a', 'profile'],
    ['arn:aws:rolesanywhere:eu-west-1:111122223333:profile/a', 'trust-anchor'],
    ['', 'role'],
    [`arn:aws:iam::111122223333:role/${'x'.repeat(2048)}`, 'role'],
  ] as const) {
    assert.throws(() => parseArn(text, kind), fails('config_invalid'), text)
  }
})

test('each partition has its own hosts, and STS is asked in the region', () => {
  assert.equal(serviceUrl('rolesanywhere', 'eu-central-1', 'aws').href, 'https://rolesanywhere.eu-central-1.amazonaws.com/')
  assert.equal(serviceUrl('sts', 'cn-north-1', 'aws-cn').href, 'https://sts.cn-north-1.amazonaws.com.cn/')
  assert.equal(serviceUrl('sts', 'us-iso-east-1', 'aws-iso').href, 'https://sts.us-iso-east-1.c2s.ic.gov/')
})

const issued = { accessKeyId: 'ASIA', secretAccessKey: 's', sessionToken: 't', expiration: '2026-01-01T01:00:00Z' }
const role = 'arn:aws:iam::111122223333:role/app'
const midnight = Date.UTC(2026, 0, 1)

test("life is counted by AWS's clock and from before the request, whatever the clock here says", () => {
  fc.assert(
    fc.property(fc.integer({ min: -86_400_000 * 365, max: 86_400_000 * 365 }), fc.integer({ min: 0, max: 1e12 }), (wrong, sentAt) => {
      const accepted = acceptCredentials(issued, role, { date: midnight, sentAt, receivedAt: midnight + wrong })
      assert.equal(accepted.deadline - sentAt, 3_599_000)
      assert.equal(accepted.expiration, midnight + 3_600_000)
    }),
  )
})

test('an answer with anything empty, unreadable or over is no credentials', () => {
  const reply = { date: midnight, sentAt: 0, receivedAt: midnight }
  for (const broken of [
    { accessKeyId: '' },
    { secretAccessKey: undefined },
    { sessionToken: '' },
    { expiration: 'soon' },
    { expiration: undefined },
    { expiration: '0001-01-01T00:00:00Z' },
    { expiration: '2026-01-01T00:00:00Z' },
    { accessKeyId: 7 },
  ]) {
    assert.throws(() => acceptCredentials({ ...issued, ...broken }, role, reply), fails('reply_invalid'), JSON.stringify(broken))
  }
  assert.equal(acceptCredentials(issued, role, reply).accountId, '111122223333')
  assert.equal(acceptCredentials({ ...issued, expiration: new Date(midnight + 5_000) }, role, reply).accountId, '111122223333')
})

test('times are printed in whole seconds with Z, never later than the truth', () => {
  assert.equal(isoSeconds(midnight + 999), '2026-01-01T00:00:00Z')
})

// aws-protocol facts: status, code, message → our code.
const refusals: readonly (readonly [number, string, string, FailureCode])[] = [
  [400, 'ValidationException', 'bad ARN', 'validation'],
  [403, 'AccessDeniedException', 'Untrusted Signing Certificate', 'trust_anchor'],
  [403, 'AccessDeniedException', 'Not authorized to set roleSessionName', 'session_name'],
  [403, 'AccessDeniedException', 'Unable to assume role for arn', 'access_denied'],
  [403, 'AccessDeniedException', 'The profile is disabled', 'profile_disabled'],
  [403, 'AccessDeniedException', 'Signature expired: 20260101T000000Z is now earlier than', 'clock_skew'],
  [404, 'ResourceNotFoundException', 'no such anchor', 'not_found'],
  [429, 'ThrottlingException', 'Rate exceeded', 'throttled'],
  [400, 'Throttling', 'Rate exceeded', 'throttled'],
  [400, 'ThrottlingException', 'slow down', 'throttled'],
  [500, 'InternalServerException', '', 'aws_unavailable'],
  [503, '', 'the trust anchor is disabled, says a proxy', 'aws_unavailable'],
  [400, 'ExpiredTokenException', 'Token expired', 'expired_token'],
  [400, 'IDPCommunicationError', '', 'idp_communication'],
  [400, 'InvalidIdentityToken', "Couldn't retrieve verification key from your identity provider", 'invalid_identity_token'],
  [403, 'IDPRejectedClaim', '', 'idp_rejected_claim'],
  [403, 'AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity', 'access_denied'],
  [403, 'RegionDisabledException', '', 'region_disabled'],
  [400, 'ValidationError', 'The requested DurationSeconds exceeds the MaxSessionDuration', 'validation'],
  [400, 'MalformedPolicyDocument', '', 'validation'],
  [418, 'Teapot', '', 'validation'],
  [403, '', '', 'access_denied'],
]

for (const [status, code, message, expected] of refusals) {
  test(`${status} ${code} ${JSON.stringify(message)} means ${expected}`, () => {
    const found = refusalFailure('X', { status, headers: {} }, { code, message }, { seconds: undefined, corrected: false }, { role_arn: 'r' })
    assert.equal(found.code, expected)
    assert.equal(found.facts?.['role_arn'], 'r')
    assert.match(found.message, new RegExp(`X refused with ${status}`))
  })
}

test('a clock more than five minutes off is the reason of every refusal, but of throttling and their failures', () => {
  const refuse = (status: number, code: string, skew: number) =>
    refusalFailure('X', { status, headers: { 'retry-after': '3' } }, { code, message: '' }, { seconds: skew, corrected: false }, {})
  assert.equal(refuse(403, 'AccessDeniedException', 3_600).code, 'clock_skew')
  assert.equal(refuse(403, 'AccessDeniedException', -3_600).facts?.['clock_skew_seconds'], -3_600)
  assert.equal(refuse(403, 'AccessDeniedException', 100).code, 'access_denied')
  assert.equal(refuse(429, 'ThrottlingException', 3_600).code, 'throttled')
  assert.equal(refuse(500, '', 3_600).code, 'aws_unavailable')
  assert.equal(refuse(500, '', 0).retryAfterSeconds, 3)
  const inTheirTime = refusalFailure('X', { status: 403, headers: {} }, { code: 'AccessDenied', message: '' }, { seconds: 3_600, corrected: true }, {})
  assert.equal(inTheirTime.code, 'access_denied')
  assert.equal(inTheirTime.facts?.['clock_skew_seconds'], 3_600, 'the skew is told all the same')
})
