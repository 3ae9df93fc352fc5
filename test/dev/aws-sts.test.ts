// The dev AWS's STS, called by the real SDK.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { AssumeRoleWithWebIdentityCommand, type AssumeRoleWithWebIdentityCommandInput, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { SignJWT } from 'jose'
import { type Authority, createAuthority } from '../support/dev/authority.ts'
import { type DevAws, type DevAwsOptions, startDevAws } from '../support/dev/aws.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { post } from './create-session.ts'
import { callerIdentity, type SignedCall } from './sigv4.ts'

const spiffeId = 'spiffe://dev.local/web'
const issuer = 'https://oidc.dev.local'
const roleArn = 'arn:aws:iam::123456789012:role/web'

interface Keys {
  accessKeyId: string
  secretAccessKey: string
  sessionToken?: string
}

interface Setup {
  clock: FakeClock
  authority: Authority
  aws: DevAws
  token: (change?: Partial<Parameters<Authority['issueJwt']>[0]>) => Promise<string>
  assume: (input?: Partial<AssumeRoleWithWebIdentityCommandInput>) => Promise<Keys & { expiresAt: number; arn: string }>
  client: (url: string, credentials: Keys, region?: string) => STSClient
}

async function setup(t: TestContext, options: Partial<DevAwsOptions> = {}): Promise<Setup> {
  const clock = createFakeClock(Date.now()) // the SDK signs with the real time
  const authority = await createAuthority({ trustDomain: 'dev.local', clock })
  const aws = await startDevAws({
    clock,
    region: 'eu-west-1',
    trustAnchors: [],
    profiles: [],
    oidcProviders: [{ issuer, audiences: ['sts', 'other'], jwks: () => authority.jwks() }],
    roles: [
      { roleArn, spiffeIds: [spiffeId] },
      { roleArn: `${roleArn}-any`, maxSessionSeconds: 43_200 },
    ],
    ...options,
  })
  t.after(() => aws.stop())
  const client: Setup['client'] = (endpoint, credentials, region = 'eu-west-1') => {
    const made = new STSClient({ endpoint, region, credentials, maxAttempts: 1 })
    t.after(() => made.destroy())
    return made
  }
  const unsigned = client(aws.issuingUrl, { accessKeyId: 'unused', secretAccessKey: 'unused' })
  const token: Setup['token'] = (change) => authority.issueJwt({ spiffeId, audience: ['sts'], ttlSeconds: 60, issuer, ...change })
  const assume: Setup['assume'] = async (input) => {
    const WebIdentityToken = input?.WebIdentityToken ?? (await token())
    const command = { RoleArn: roleArn, RoleSessionName: 'web', ...input, WebIdentityToken }
    const { Credentials: keys, AssumedRoleUser: user } = await unsigned.send(new AssumeRoleWithWebIdentityCommand(command))
    assert.ok(keys?.AccessKeyId && keys.SecretAccessKey && keys.SessionToken && keys.Expiration)
    const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: sessionToken } = keys
    return { accessKeyId, secretAccessKey, sessionToken, expiresAt: keys.Expiration.getTime(), arn: user?.Arn ?? '' }
  }
  return { clock, authority, aws, token, assume, client }
}

const sdkError = (status: number, name: string, message?: RegExp) => (error: unknown) => {
  const { name: actual, message: text, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } }
  assert.deepEqual([$metadata?.httpStatusCode, actual], [status, name], text)
  if (message) assert.match(text, message)
  return true
}

test('exchanges a token for credentials with which the SDK is known', async (t) => {
  const { clock, aws, assume, client } = await setup(t)
  const keys = await assume()
  assert.equal(keys.arn, 'arn:aws:sts::123456789012:assumed-role/web/web')
  assert.equal(keys.expiresAt, Math.floor((clock.now() + 3600_000) / 1000) * 1000)
  const caller = await client(aws.checkingUrl, keys).send(new GetCallerIdentityCommand({}))
  assert.deepEqual([caller.Arn, caller.Account], [keys.arn, '123456789012'])
  assert.match(caller.UserId ?? '', /^AROA[A-Z2-7]{17}:web$/)
  const [issued, checked] = aws.requests
  assert.deepEqual(
    [issued?.listener, issued?.action, issued?.spiffeId, issued?.roleArn, issued?.sessionName],
    ['issuing', 'AssumeRoleWithWebIdentity', spiffeId, roleArn, 'web'],
  )
  assert.deepEqual([checked?.listener, checked?.action, checked?.status], ['checking', 'GetCallerIdentity', 200])
})

test('knows who signed, and who did not', async (t) => {
  const { clock, aws, assume, client } = await setup(t)
  const keys = await assume()
  const ask = (change: Partial<Keys>, region?: string) => client(aws.checkingUrl, { ...keys, ...change }, region).send(new GetCallerIdentityCommand({}))
  await assert.rejects(ask({ secretAccessKey: 'wrong' }), sdkError(403, 'SignatureDoesNotMatch'))
  await assert.rejects(ask({ accessKeyId: 'ASIAUNKNOWN' }), sdkError(403, 'InvalidClientTokenId'))
  await assert.rejects(ask({ sessionToken: 'wrong' }), sdkError(403, 'InvalidClientTokenId'))
  await assert.rejects(ask({}, 'us-east-1'), sdkError(403, 'SignatureDoesNotMatch'))
  await clock.advance(3599_000)
  await assert.rejects(ask({}), sdkError(403, 'SignatureDoesNotMatch', /^Signature expired/)) // an hour of skew
  await clock.advance(1000)
  await assert.rejects(ask({}), sdkError(403, 'ExpiredToken'))
})

test('refuses a signed request that was changed on the way', async (t) => {
  const { aws, assume, client } = await setup(t)
  const sts = client(aws.checkingUrl, await assume())
  let spoil: ((request: { body: string; headers: Record<string, string> }) => void) | undefined
  sts.middlewareStack.add(
    (next) => (args) => {
      spoil?.(args.request as { body: string; headers: Record<string, string> })
      return next(args)
    },
    { step: 'finalizeRequest', priority: 'low' }, // after the signature
  )
  const ask = () => sts.send(new GetCallerIdentityCommand({}))
  assert.ok((await ask()).Arn)
  spoil = (request) => {
    request.body += '&X=1'
    request.headers['content-length'] = String(request.body.length)
  }
  await assert.rejects(ask(), sdkError(403, 'SignatureDoesNotMatch'))
  spoil = ({ headers }) => {
    headers['authorization'] = (headers['authorization'] ?? '').replace(/x-amz-security-token;?/, '')
  }
  await assert.rejects(ask(), sdkError(403, 'SignatureDoesNotMatch'))
  spoil = ({ headers }) => {
    headers['authorization'] = 'Bearer x'
  }
  await assert.rejects(ask(), sdkError(400, 'IncompleteSignature'))
  spoil = ({ headers }) => {
    delete headers['authorization']
  }
  await assert.rejects(ask(), sdkError(403, 'MissingAuthenticationToken'))
})

test('rebuilds the canonical request as AWS does', async (t) => {
  const { clock, aws, assume } = await setup(t)
  const keys = await assume()
  const call = (change: Partial<SignedCall>) => callerIdentity({ url: aws.checkingUrl, keys, now: clock.now(), ...change })
  for (const right of [
    {},
    { extra: ['  one   two ', 'one two'] },
    { query: ['b=x+y&a=%41/', 'a=A%2F&b=x%20y'] },
    { query: ["c&a='()*~", 'a=%27%28%29%2A~&c='] },
    { unsigned: 'content-type' },
  ] satisfies Partial<SignedCall>[]) {
    const { status, text } = await call(right)
    assert.equal(status, 200, text)
  }
  for (const wrong of [
    { service: 's3' },
    { scopeDate: '20251231' },
    { extra: ['one two', 'onetwo'] },
    { query: ['a=b', 'a=c'] },
  ] satisfies Partial<SignedCall>[]) {
    const { status, text } = await call(wrong)
    assert.equal(status, 403)
    assert.match(text, /<Code>SignatureDoesNotMatch<\/Code>/)
  }
})

test('takes tokens of the algorithms that AWS takes', async (t) => {
  const { assume, token } = await setup(t)
  for (const algorithm of ['ES256', 'RS256'] as const) assert.ok(await assume({ WebIdentityToken: await token({ algorithm }) }))
  const unsupported = sdkError(400, 'InvalidIdentityTokenException', /PS256 is not supported/)
  await assert.rejects(assume({ WebIdentityToken: await token({ algorithm: 'PS256' }) }), unsupported)
})

test('refuses a token that is wrong in one thing', async (t) => {
  const { clock, authority, assume, token } = await setup(t)
  const refusedAs = async (change: Parameters<typeof token>[0] | string, name: string, message: RegExp) => {
    const WebIdentityToken = typeof change === 'string' ? change : await token(change)
    await assert.rejects(assume({ WebIdentityToken }), sdkError(400, name, message))
  }
  const invalid = 'InvalidIdentityTokenException'
  await refusedAs({ issuer: 'https://else' }, invalid, /^No OpenIDConnect provider found in your account for https:\/\/else$/)
  await refusedAs({ audience: ['vault'] }, invalid, /^Incorrect token audience$/)
  await refusedAs('not.a.token', invalid, /not a valid JWT/)
  const withoutIssuer = await authority.issueJwt({ spiffeId, audience: ['sts'], ttlSeconds: 60 })
  await refusedAs(withoutIssuer, invalid, /^Missing a required claim: iss$/)
  const good = await token({})
  const [header, , signature] = good.split('.')
  const other = (await token({ spiffeId: 'spiffe://dev.local/admin' })).split('.')[1]
  await refusedAs(`${header}.${other}.${signature}`, invalid, /signature is invalid/)
  const stranger = await createAuthority({ trustDomain: 'dev.local', clock })
  await refusedAs(
    await stranger.issueJwt({ spiffeId, audience: ['sts'], ttlSeconds: 60, issuer }),
    invalid,
    /^Couldn't retrieve verification key from your identity provider/,
  )
  assert.ok(await assume({ WebIdentityToken: await token({ audience: ['vault', 'other'] }) }))
  await clock.advance(59_000)
  assert.ok(await assume({ WebIdentityToken: good }))
  await clock.advance(1000)
  await refusedAs(good, 'ExpiredTokenException', /^Token expired: current date\/time \d+ must be before/)
})

test('wants integer times, an iat that has been, and a kid', async (t) => {
  const clock = createFakeClock(Date.now())
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwks = async () => ({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k' }] })
  const { assume } = await setup(t, { clock, oidcProviders: [{ issuer, audiences: ['sts'], jwks }] })
  const seconds = Math.floor(clock.now() / 1000)
  const sign = (claims: object, header: { kid?: string } = { kid: 'k' }) =>
    new SignJWT({ iss: issuer, aud: 'sts', sub: spiffeId, iat: seconds, exp: seconds + 60, ...claims })
      .setProtectedHeader({ alg: 'ES256', ...header })
      .sign(privateKey)
  assert.ok(await assume({ WebIdentityToken: await sign({}) }))
  const invalid = (message: RegExp) => sdkError(400, 'InvalidIdentityTokenException', message)
  await assert.rejects(assume({ WebIdentityToken: await sign({ exp: seconds + 60.5 }) }), invalid(/integers/))
  await assert.rejects(assume({ WebIdentityToken: await sign({ iat: seconds + 301 }) }), invalid(/future/))
  assert.ok(await assume({ WebIdentityToken: await sign({ iat: seconds + 299, exp: seconds + 600 }) }))
  await assert.rejects(assume({ WebIdentityToken: await sign({}, {}) }), invalid(/^Couldn't retrieve verification key/))
})

test('gives a role only to the subjects that it names', async (t) => {
  const { assume, token } = await setup(t)
  const WebIdentityToken = await token({ spiffeId: 'spiffe://dev.local/other' })
  const denied = sdkError(403, 'AccessDenied', /^Not authorized to perform sts:AssumeRoleWithWebIdentity$/)
  await assert.rejects(assume({ WebIdentityToken }), denied)
  await assert.rejects(assume({ RoleArn: `${roleArn}-none` }), denied)
  assert.ok(await assume({ WebIdentityToken, RoleArn: `${roleArn}-any` }))
})

test('keeps to the limits of the parameters', async (t) => {
  const { clock, assume } = await setup(t)
  const invalid = sdkError(400, 'ValidationError')
  for (const DurationSeconds of [899, 43_201, 3601]) await assert.rejects(assume({ DurationSeconds }), invalid)
  for (const RoleSessionName of ['w', 'a/b', 'x'.repeat(65)]) await assert.rejects(assume({ RoleSessionName }), invalid)
  await assert.rejects(assume({ RoleSessionName: 'a<&b' }), sdkError(400, 'ValidationError', /Value 'a<&b'/))
  await assert.rejects(assume({ RoleArn: 'arn:aws:iam::1:role/x' }), invalid)
  await assert.rejects(assume({ WebIdentityToken: 'abc' }), invalid)
  await assert.rejects(assume({ WebIdentityToken: 'x'.repeat(20_001) }), invalid)
  assert.equal((await assume({ DurationSeconds: 900 })).expiresAt, Math.floor((clock.now() + 900_000) / 1000) * 1000)
  assert.ok(await assume({ DurationSeconds: 43_200, RoleArn: `${roleArn}-any`, RoleSessionName: 'x'.repeat(64) }))
})

test('wants the token in the body of an unsigned POST', async (t) => {
  const { aws, token } = await setup(t)
  const form = new URLSearchParams({
    Action: 'AssumeRoleWithWebIdentity',
    Version: '2011-06-15',
    RoleArn: roleArn,
    RoleSessionName: 'web',
    WebIdentityToken: await token(),
  }).toString()
  const send = (path: string, headers: Record<string, string>, body: string, method = 'POST') =>
    post(new URL(aws.issuingUrl), path, method, { 'content-type': 'application/x-www-form-urlencoded', ...headers }, body)
  assert.equal((await send('/', {}, form)).status, 200)
  assert.equal((await send('/any/path', {}, form)).status, 200)
  for (const [path, headers, body] of [
    [`/?${form}`, {}, form],
    ['/', { authorization: 'AWS4-HMAC-SHA256 x' }, form],
    ['/', { 'x-amz-security-token': 'x' }, form],
  ] as const) {
    const answer = await send(path, headers, body)
    assert.match(answer.text, /<Code>ValidationError<\/Code>/)
    assert.equal(answer.status, 400)
  }
  assert.equal((await send(`/?${form}`, {}, '', 'GET')).status, 404)
  assert.match((await send('/', {}, form.replace('2011', '2012'))).text, /NoSuchVersion/)
  assert.match((await send('/', {}, 'Action=ListRoles&Version=2011-06-15')).text, /InvalidAction/)
})
