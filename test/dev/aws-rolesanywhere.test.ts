// The dev AWS issues for a right CreateSession, and refuses each way of getting one wrong.
import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { createAuthority } from '../support/dev/authority.ts'
import type { Parts } from './create-session.ts'
import { arns, bodyOf, hour, queryOf, refused, type Setup, setup, spiffeId, untrusted } from './rolesanywhere.ts'

test('issues a session for a right request', async (t) => {
  const { clock, aws, create } = await setup(t)
  const answer = await create()
  assert.equal(answer.status, 201, answer.text)
  const one = bodyOf(answer)
  assert.ok(one)
  assert.match(one.credentials.accessKeyId, /^ASIA[A-Z2-7]{16}$/)
  assert.equal(one.credentials.secretAccessKey.length, 40)
  assert.ok(one.credentials.sessionToken.length > 300)
  assert.equal(one.credentials.expiration, new Date(clock.now() + 3600_000).toISOString().replace('.000', ''))
  const { sessionName } = aws.requests[0] ?? {}
  assert.match(sessionName ?? '', /^[0-9a-f]{2,32}$/)
  assert.equal(one.assumedRoleUser.arn, `arn:aws:sts::123456789012:assumed-role/web/${sessionName}`)
  assert.equal(one.sourceIdentity, `ID=${sessionName}`)
  assert.equal(answer.headers['date'], new Date(clock.now()).toUTCString())
  const [record] = aws.requests
  assert.deepEqual([record?.listener, record?.action, record?.status], ['issuing', 'CreateSession', 201])
  assert.deepEqual([record?.spiffeId, record?.roleArn, record?.error], [spiffeId, arns.roleArn, undefined])
})

test('takes RSA and P-384 keys, a path prefix, and a leaf right below the root', async (t) => {
  const { authority, aws, clock, create } = await setup(t)
  for (const keyType of ['rsa-2048', 'ec-p384'] as const) {
    const identity = await authority.issueX509({ spiffeId, ttlSeconds: 3600, keyType })
    assert.equal((await create({ identity })).status, 201)
  }
  assert.equal((await create({ url: `${aws.issuingUrl}/vpce/one` })).status, 201)
  const flat = await createAuthority({ trustDomain: 'dev.local', clock })
  const anchor = { arn: arns.trustAnchorArn, roots: () => flat.bundle() }
  const { create: createFlat } = await setup(t, { trustAnchors: [anchor] })
  const identity = await flat.issueX509({ spiffeId, ttlSeconds: 60, dnsNames: ['web.dev'] })
  const answer = await createFlat({ identity })
  assert.equal(bodyOf(answer)?.sourceIdentity, 'CN=web.dev', answer.text)
})

/** What is spoilt, and what the dev AWS notes that it found. */
const wrongSignatures: Record<string, [RegExp, (setup: Setup) => Partial<Parts>]> = {
  'a hexadecimal serial number': [/decimal serial number/, ({ identity }) => ({ serial: `0${new X509Certificate(identity.chain[0] ?? '').serialNumber}` })],
  'the algorithm of another key': [/with a key of type ec/, () => ({ algorithm: 'AWS4-X509-RSA-SHA256' })],
  'another region': [/is for us-east-1/, () => ({ region: 'us-east-1' })],
  'another service': [/is for sts/, () => ({ service: 'sts' })],
  'another day in the scope': [/another date/, () => ({ scopeDate: '20251231' })],
  'an unsigned date': [/x-amz-date is not signed/, () => ({ unsigned: ['x-amz-date'] })],
  'an unsigned host': [/host is not signed/, () => ({ unsigned: ['host'] })],
  'an unsigned content type': [/content-type is not signed/, () => ({ unsigned: ['content-type'] })],
  'an unsigned certificate': [/x-amz-x509 is not signed/, () => ({ unsigned: ['x-amz-x509'] })],
  'an unsigned chain': [/x-amz-x509-chain is not signed/, () => ({ unsigned: ['x-amz-x509-chain'] })],
  'another content type': [/Content-Type/, () => ({ contentType: 'text/plain' })],
  'another body than signed': [/does not verify/, () => ({ body: '{"durationSeconds":900}', sentBody: '{"durationSeconds":901}' })],
  'another path than signed': [/does not verify/, ({ aws }) => ({ url: `${aws.issuingUrl}/a`, sentPath: `/b/sessions?${queryOf(arns)}` })],
  'another query than signed': [/does not verify/, () => ({ sentPath: `/sessions?${queryOf({ ...arns, roleArn: `${arns.roleArn}x` })}` })],
  'another host than signed': [/does not verify/, () => ({ spoil: (headers) => (headers['host'] = 'rolesanywhere.eu-west-1.amazonaws.com') })],
  'SignedHeaders out of order': [
    /not sorted/,
    () => ({ spoil: (headers) => (headers['authorization'] = (headers['authorization'] ?? '').replace('content-type;host', 'host;content-type')) }),
  ],
  'a signed header that is not sent': [/was not sent/, () => ({ spoil: (headers) => delete headers['x-amz-x509-chain'] })],
  'a signature of another key': [
    /does not verify/,
    ({ identity }) => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      return { identity: { ...identity, key: privateKey.export({ type: 'pkcs8', format: 'der' }) } }
    },
  ],
}
for (const [name, [detail, spoil]] of Object.entries(wrongSignatures))
  test(`refuses ${name}`, async (t) => {
    const all = await setup(t)
    refused(await all.create(spoil(all)), [403, 'AccessDeniedException', /^Invalid signature$/])
    assert.match(all.aws.requests[0]?.error ?? '', detail)
    assert.equal((await all.create()).status, 201)
  })

test('takes the query in any order and encoding, as long as it is what was signed', async (t) => {
  const { create } = await setup(t)
  const { profileArn, roleArn, trustAnchorArn } = arns
  const sentPath = `/sessions?trustAnchorArn=${trustAnchorArn}&roleArn=${encodeURIComponent(roleArn)}&profileArn=${profileArn}`
  const answer = await create({ sentPath })
  assert.equal(answer.status, 201, answer.text)
})

test('refuses a date further than five minutes from its own clock', async (t) => {
  const { clock, create } = await setup(t)
  const at = (offset: number) => create({ now: clock.now() + offset })
  assert.equal((await at(-299_000)).status, 201)
  assert.equal((await at(299_000)).status, 201)
  refused(await at(-301_000), [403, 'AccessDeniedException', /^Signature expired/])
  refused(await at(301_000), [403, 'AccessDeniedException', /^Signature expired/])
  refused(await create({ amzDate: '2026-01-01T00:00:00Z' }), [403, 'AccessDeniedException', /./])
})

test('has a clock that can differ, and tells it in Date', async (t) => {
  const { clock, create } = await setup(t, { clockSkewSeconds: 600 })
  const answer = await create()
  refused(answer, [403, 'AccessDeniedException', /^Signature expired/])
  assert.equal(answer.headers['date'], new Date(clock.now() + 600_000).toUTCString())
  const right = await create({ now: clock.now() + 600_000 })
  assert.equal(bodyOf(right)?.credentials.expiration, new Date(clock.now() + 600_000 + hour).toISOString().replace('.000', ''))
})

test('refuses a missing or malformed Authorization', async (t) => {
  const { create } = await setup(t)
  const malformed: [number, string, RegExp] = [403, 'AccessDeniedException', /Authorization/]
  for (const change of [() => 'Bearer x', (text: string) => text.replace('/aws4_request', ''), (text: string) => text.replace(/Signature=.*/, 'Signature=zz')])
    refused(await create({ spoil: (headers) => (headers['authorization'] = change(headers['authorization'] ?? '')) }), malformed)
  refused(await create({ spoil: (headers) => delete headers['authorization'] }), malformed)
})

const resourceCases: [string, Partial<Parts>, [number, string, RegExp]][] = [
  ['no ARN', { trustAnchorArn: 'a' }, [400, 'ValidationException', /trustAnchorArn/]],
  ['an unknown trust anchor', { trustAnchorArn: `${arns.trustAnchorArn}x` }, [404, 'ResourceNotFoundException', /trustAnchorArn/]],
  ['a disabled trust anchor', { trustAnchorArn: `${arns.trustAnchorArn}-off` }, [403, 'AccessDeniedException', /disabled/]],
  ['an unknown profile', { profileArn: `${arns.profileArn}x` }, [404, 'ResourceNotFoundException', /profileArn/]],
  ['a disabled profile', { profileArn: `${arns.profileArn}-off` }, [403, 'AccessDeniedException', /disabled/]],
  ['a profile of another region', { profileArn: arns.profileArn.replace('eu-west-1', 'eu-west-2') }, [400, 'ValidationException', /same region/]],
  ['a role that is none', { roleArn: arns.profileArn }, [400, 'ValidationException', /roleArn/]],
  ['a role outside the profile', { roleArn: `${arns.roleArn}-long` }, [403, 'AccessDeniedException', /^Unable to assume role/]],
  ['a role that does not exist', { roleArn: `${arns.roleArn}-gone` }, [403, 'AccessDeniedException', /^Unable to assume role/]],
  ['a role of somebody else', { roleArn: `${arns.roleArn}-theirs` }, [403, 'AccessDeniedException', /^Unable to assume role/]],
  ['899 seconds', { body: '{"durationSeconds":899}' }, [400, 'ValidationException', /900/]],
  ['43201 seconds', { body: '{"durationSeconds":43201}' }, [400, 'ValidationException', /43200/]],
  ['half seconds', { body: '{"durationSeconds":1000.5}' }, [400, 'ValidationException', /900/]],
  ['seconds as text', { body: '{"durationSeconds":"1000"}' }, [400, 'ValidationException', /900/]],
  [
    'longer than the role allows',
    { profileArn: `${arns.profileArn}-long`, body: '{"durationSeconds":3601}' },
    [400, 'ValidationException', /MaxSessionDuration/],
  ],
  [
    'a session name that the profile does not accept',
    { body: '{"roleSessionName":"web"}' },
    [403, 'AccessDeniedException', /^Not authorized to set roleSessionName$/],
  ],
  [
    'a session name with a slash',
    { profileArn: `${arns.profileArn}-named`, body: '{"roleSessionName":"we/b"}' },
    [400, 'ValidationException', /roleSessionName/],
  ],
  ['a body that is not JSON', { body: 'x' }, [400, 'SerializationException', /JSON/]],
  ['a GET', { method: 'GET', body: '' }, [404, 'UnknownOperationException', /./]],
]
for (const [name, parts, expected] of resourceCases)
  test(`refuses ${name}`, async (t) => {
    const { aws, create } = await setup(t)
    refused(await create(parts), expected)
    const [record] = aws.requests
    assert.equal(record?.status, expected[0])
    assert.match(record?.error ?? '', new RegExp(`^${expected[1]}: `))
  })

test('issues for as long as profile, request and role allow', async (t) => {
  const { clock, create } = await setup(t)
  const seconds = async (parts: Partial<Parts>) => (Date.parse(bodyOf(await create(parts))?.credentials.expiration ?? '') - clock.now()) / 1000
  assert.equal(await seconds({ body: '{"durationSeconds":900}' }), 900)
  assert.equal(await seconds({ body: '{"durationSeconds":43200}' }), 3600) // the profile's default is the limit
  const long = { profileArn: `${arns.profileArn}-long`, roleArn: `${arns.roleArn}-long` }
  assert.equal(await seconds({ ...long, body: '{"durationSeconds":43200}' }), 43_200)
  const named = await create({ profileArn: `${arns.profileArn}-named`, body: '{"roleSessionName":"web@1"}' })
  assert.match(bodyOf(named)?.assumedRoleUser.arn ?? '', /assumed-role\/web\/web@1$/)
})

test('verifies first and then hands out what it was given', async (t) => {
  const minted: object[] = []
  const credentials = { accessKeyId: 'ASIAFROMELSEWHERE', secretAccessKey: 's', sessionToken: 't', expiration: 4e12 }
  const { create } = await setup(t, {
    mint: async (request) => {
      minted.push(request)
      return credentials
    },
  })
  refused(await create({ chain: [] }), untrusted)
  assert.equal(minted.length, 0)
  assert.equal(bodyOf(await create())?.credentials.accessKeyId, 'ASIAFROMELSEWHERE')
  assert.equal(minted.length, 1)
})

test('issues shorter sessions than asked, so that a demo can rotate', async (t) => {
  const { clock, create } = await setup(t, { issueSeconds: 5 })
  const expiration = bodyOf(await create({ body: '{"durationSeconds":900}' }))?.credentials.expiration ?? ''
  assert.equal(Date.parse(expiration), clock.now() + 5000)
  refused(await create({ body: '{"durationSeconds":5}' }), [400, 'ValidationException', /900/])
})
