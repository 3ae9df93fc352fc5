// Roles Anywhere, against an AWS that verifies every byte of the signature.
import assert from 'node:assert/strict'
import { createHash, verify } from 'node:crypto'
import { test } from 'node:test'
import { parseArn } from '../../src/aws/arn.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { FailureCode } from '../../src/core/errors.ts'
import { isFailure } from '../../src/core/errors.ts'
import { signX509 } from '../../src/exchange/sigv4-x509.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { anchor, failsWith, inWorld, never, profile, role, type SetUp, setUp, spiffeId } from './support.ts'

for (const leafKey of ['ec-p256', 'ec-p384', 'rsa-2048'] as const) {
  for (const caKey of ['ec-p256', 'rsa-2048'] as const) {
    for (const intermediate of [true, false]) {
      test(`a ${leafKey} leaf of a ${caKey} authority ${intermediate ? 'with' : 'without'} an intermediate gets credentials`, () =>
        inWorld({ leafKey, caKey, intermediate }, async ({ anywhere, last }) => {
          const credentials = await anywhere()(never)
          assert.match(credentials.accessKeyId, /^ASIA/)
          assert.equal(credentials.accountId, '111122223333')
          assert.equal(last()?.status, 201)
          assert.equal(last()?.spiffeId, spiffeId)
          assert.equal('x-amz-x509-chain' in (last()?.headers ?? {}), intermediate)
          const left = credentials.deadline - systemClock.boot()
          assert.ok(left > 3_590_000 && left < 3_600_000, `${left} ms of an hour`)
        }))
    }
  }
}

test('a path prefix of the endpoint is kept and signed', () =>
  inWorld({}, async ({ anywhere, aws, last }) => {
    await anywhere({ endpoint: new URL(`${aws.issuingUrl.replace(/\/$/, '')}/vpc/endpoint/`) })(never)
    assert.match(last()?.url ?? '', /^\/vpc\/endpoint\/sessions\?profileArn=arn%3Aaws%3A/)
  }))

test('an RSA signature is this one, byte for byte', () =>
  inWorld({ leafKey: 'rsa-2048' }, async ({ x509 }) => {
    const state = x509.current
    assert.ok(state.status === 'ready')
    const { svid } = state.value
    const request = {
      url: new URL(`https://rolesanywhere.eu-central-1.amazonaws.com/sessions?roleArn=b%3Ac&profileArn=a+b`),
      body: '{"durationSeconds":900}',
      region: 'eu-central-1',
      time: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    }
    const headers = signX509(svid, request)
    const names = 'content-type;host;x-amz-date;x-amz-x509;x-amz-x509-chain'
    const canonical = [
      'POST',
      '/sessions',
      'profileArn=a%20b&roleArn=b%3Ac',
      'content-type:application/json',
      'host:rolesanywhere.eu-central-1.amazonaws.com',
      'x-amz-date:20260102T030405Z',
      `x-amz-x509:${svid.leaf.raw.toString('base64')}`,
      `x-amz-x509-chain:${svid.intermediates.map((one) => one.raw.toString('base64')).join(',')}`,
      '',
      names,
      createHash('sha256').update(request.body).digest('hex'),
    ].join('\n')
    const toSign = `AWS4-X509-RSA-SHA256\n20260102T030405Z\n20260102/eu-central-1/rolesanywhere/aws4_request\n${createHash('sha256').update(canonical).digest('hex')}`
    const signature = /Signature=([0-9a-f]+)$/.exec(headers['authorization'] ?? '')?.[1] ?? ''
    assert.ok(verify('sha256', Buffer.from(toSign), svid.leaf.publicKey, Buffer.from(signature, 'hex')))
    assert.match(
      headers['authorization'] ?? '',
      new RegExp(
        `^AWS4-X509-RSA-SHA256 Credential=${BigInt(`0x${svid.leaf.serialNumber}`)}/20260102/eu-central-1/rolesanywhere/aws4_request, SignedHeaders=${names}, Signature=`,
      ),
    )
    assert.equal(signX509(svid, request)['authorization'], headers['authorization'], 'PKCS#1 v1.5 is deterministic')
  }))

const refusals: readonly (readonly [string, Omit<SetUp, 'clock'>, FailureCode, RegExp])[] = [
  ['an anchor that does not know the authority', { trustAnchors: [{ arn: anchor, roots: () => [] }] }, 'trust_anchor', /upstream root/],
  ['a role that the profile does not have', { profiles: [{ arn: profile, roleArns: [] }] }, 'access_denied', /trust policy/],
  ['a role that is for others', { roles: [{ roleArn: role, spiffeIds: ['spiffe://dev.local/other'] }] }, 'access_denied', /./],
  ['a profile that does not exist', { profiles: [] }, 'not_found', /ARNs and their region/],
  ['a disabled anchor', { trustAnchors: [{ arn: anchor, enabled: false, roots: () => [] }] }, 'profile_disabled', /Enable/],
  ['a session longer than the role allows', { roles: [{ roleArn: role, maxSessionSeconds: 900 }] }, 'validation', /duration/i],
]
for (const [what, options, code, pattern] of refusals) {
  test(`${what} is refused with cause, remedy and what an operator needs to compare`, () =>
    inWorld(options, async ({ anywhere, x509 }) => {
      await assert.rejects(anywhere()(never), (error) => {
        failsWith(code, pattern)(error)
        const facts = (isFailure(error) && error.facts) || {}
        const state = x509.current
        assert.ok(state.status === 'ready')
        assert.equal(facts['spiffe_id'], spiffeId)
        assert.deepEqual([facts['trust_anchor_arn'], facts['profile_arn'], facts['role_arn']], [anchor, profile, role])
        assert.equal(facts['certificate_serial'], state.value.svid.serial)
        assert.equal(facts['certificate_sha256'], state.value.svid.leaf.fingerprint256.replaceAll(':', '').toLowerCase())
        assert.equal(typeof facts['clock_skew_seconds'], 'number')
        return true
      })
    }))
}

test('a session name is sent only when configured, and a profile that refuses it is named', () =>
  inWorld({}, async ({ anywhere, last }) => {
    await anywhere()(never)
    assert.ok(!last()?.body.includes('roleSessionName'))
    await assert.rejects(anywhere({ sessionName: 'build-7' })(never), failsWith('session_name', /acceptRoleSessionName/))
  }))
test('a session name that the profile accepts becomes part of the assumed role', () =>
  inWorld({ profiles: [{ arn: profile, roleArns: [role], acceptRoleSessionName: true }] }, async ({ anywhere, last }) => {
    await anywhere({ sessionName: 'build-7' })(never)
    assert.deepEqual([last()?.status, last()?.sessionName], [201, 'build-7'])
  }))

test('an empty subject and a SPIFFE ID beyond 256 characters are found before AWS is asked', async () => {
  await inWorld({ subject: 'empty' }, async ({ anywhere, aws }) => {
    await assert.rejects(anywhere()(never), failsWith('svid_unsuitable', /empty subject/))
    assert.equal(aws.requests.length, 0)
  })
  await inWorld({ id: `spiffe://dev.local/${'x'.repeat(240)}` }, async ({ anywhere, aws }) => {
    await assert.rejects(anywhere()(never), failsWith('svid_unsuitable', /256/))
    assert.equal(aws.requests.length, 0)
  })
})

for (const skew of [3_600, -3_600, 86_400]) {
  test(`a clock that differs from AWS's by ${skew} s costs one attempt and nothing else`, () =>
    inWorld({ clockSkewSeconds: skew, authorityAgeMs: 7_200_000, x509TtlSeconds: 7 * 86_400 }, async ({ anywhere, authority, aws, x509 }) => {
      // The certificate is valid in both times: only the signature is off at first.
      const wide = await authority.issueX509({ spiffeId, ttlSeconds: 7 * 86_400, lifetimeStart: systemClock.now() - 3 * 86_400_000 })
      const { parseX509Svid } = await import('../../src/spiffe/x509-svid.ts')
      x509.set({
        status: 'ready',
        value: { svid: parseX509Svid({ spiffe_id: spiffeId, x509_svid: Buffer.concat(wide.chain), x509_svid_key: wide.key, hint: '' }), bundles: new Map() },
      })
      const exchange = anywhere()
      await assert.rejects(exchange(never), failsWith('clock_skew', /NTP/))
      const credentials = await exchange(never)
      assert.equal(aws.requests.length, 2)
      const left = credentials.deadline - systemClock.boot()
      assert.ok(left > 3_590_000 && left < 3_600_000, `${left} ms left of an hour, whatever the clock says`)
    }))
}

const badDays: readonly (readonly [string, Parameters<Awaited<ReturnType<typeof setUp>>['aws']['setFault']>[0], FailureCode])[] = [
  ['an empty 200', 'empty-200', 'reply_invalid'],
  ['a 200 that is no JSON', 'not-json-200', 'reply_invalid'],
  ['a 500', { status: 500, message: 'oops' }, 'aws_unavailable'],
  ['a 503 with Retry-After', { status: 503, headers: { 'retry-after': '9' } }, 'aws_unavailable'],
  ['a 429', { status: 429, code: 'ThrottlingException', message: 'Rate exceeded' }, 'throttled'],
]
for (const [what, fault, code] of badDays) {
  test(`${what} is ${code}, and the next attempt is as good as new`, () =>
    inWorld({}, async ({ anywhere, aws }) => {
      const exchange = anywhere()
      aws.setFault(fault)
      await assert.rejects(exchange(never), failsWith(code))
      aws.setFault(undefined)
      assert.match((await exchange(never)).accessKeyId, /^ASIA/)
    }))
}

test('an SVID that has ended is not signed with, once the clock is known', async () => {
  const clock = createFakeClock(Date.now())
  await inWorld({ clock, x509TtlSeconds: 900 }, async ({ anywhere, aws, x509, issue }) => {
    const exchange = anywhere()
    await exchange(never)
    clock.suspend(1_000_000)
    await assert.rejects(exchange(never), failsWith('x509_svid_expired'))
    assert.equal(aws.requests.length, 1, 'AWS was not asked with a dead certificate')
    x509.set({ status: 'ready', value: { svid: await issue(), bundles: new Map() } })
    await exchange(never)
  })
})

test('an exchange waits for its identity, and that wait is no attempt', () =>
  inWorld({}, async ({ anywhere, x509, aws }) => {
    const ready = x509.current
    x509.set({ status: 'waiting' })
    const pending = anywhere()(never)
    await createFakeClock().settle()
    assert.equal(aws.requests.length, 0)
    x509.set(ready)
    await pending
  }))

test('while the identity is withdrawn its SVID is not used, however long it would live', () =>
  inWorld({}, async ({ anywhere, x509, aws }) => {
    const { failure } = await import('../../src/core/errors.ts')
    x509.set({ status: 'withdrawn', failure: failure('identity_not_issued', 'gone') })
    const controller = new AbortController()
    const pending = anywhere()(controller.signal)
    await createFakeClock().settle()
    controller.abort(new Error('enough'))
    await assert.rejects(pending, /enough/)
    assert.equal(aws.requests.length, 0)
  }))

test('the region signed for is the one configured', () =>
  inWorld({}, async ({ anywhere }) => {
    await assert.rejects(anywhere({ region: 'us-east-1', trustAnchor: parseArn(anchor, 'trust-anchor') })(never))
  }))
