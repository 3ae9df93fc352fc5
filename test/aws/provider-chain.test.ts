// Which provider wins: environments as people have them, against what each family of SDKs does with them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Seen, verdicts } from '../../src/aws/provider-chain.ts'

const ours = {
  AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:9912/v1/credentials',
  AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/run/svidecar/app.token',
  HOME: '/home/me',
}
const token = { '/run/svidecar/app.token': 'x'.repeat(43) }

const look = (env: Seen['env'], files: Readonly<Record<string, string>> = token, known: readonly string[] = ['127.0.0.1:9912']) =>
  new Map(verdicts({ env, read: (path) => files[path], ours: known }).map((one) => [one.sdk, one]))

const everybody = ['JavaScript v3', 'JavaScript v2', 'boto3, AWS CLI', 'Go v2', 'Java v2', 'Rust', 'C++', '.NET']

/** Provider by family where it is another than for the rest. */
function expectProviders(env: Seen['env'], rest: string, others: Readonly<Record<string, string>> = {}, files?: Readonly<Record<string, string>>): void {
  const found = look(env, files)
  assert.deepEqual([...found.keys()], everybody)
  for (const [sdk, { provider, isOurs }] of found) assert.equal(`${provider}${isOurs ? ', ours' : ''}`, others[sdk] ?? rest, sdk)
}

test('what svidecar env prints is enough for everybody', () => {
  expectProviders(ours, 'container endpoint, ours')
  for (const { change, why } of look(ours).values()) {
    assert.equal(change, '')
    assert.match(why, /needs .*\d or newer/)
  }
})

test('static keys win over everything but a named profile, and .NET asks for them last of these', () => {
  const keys = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' }
  expectProviders({ ...ours, ...keys }, 'environment')
  for (const { change } of look({ ...ours, ...keys }).values()) assert.match(change, /Unset AWS_ACCESS_KEY_ID/)
  const files = { ...token, '/home/me/.aws/config': '[profile work]\nsso_session = x\n' }
  expectProviders({ ...ours, ...keys, AWS_PROFILE: 'work' }, 'environment', { 'JavaScript v3': 'profile', 'Go v2': 'profile', '.NET': 'profile' }, files)
  expectProviders({ ...ours, AWS_ACCESS_KEY_ID: 'a' }, 'container endpoint, ours')
})

test('profiles of files come before the endpoint; those of svidecar are known', () => {
  const shared = (text: string) => ({ ...token, '/home/me/.aws/credentials': text })
  const config = (text: string) => ({ ...token, '/home/me/.aws/config': text })
  expectProviders(ours, 'shared file', {}, shared('[default]\naws_access_key_id = a\naws_secret_access_key = b\n'))
  expectProviders(ours, 'shared file, ours', {}, shared('[default]\naws_access_key_id = a\nx_security_token_expires = 2026\n'))
  expectProviders(
    ours,
    'credential_process, ours',
    {},
    config('[default]\ncredential_process = curl --unix-socket /run/svidecar/app.sock http://localhost/v1/credential-process\n'),
  )
  expectProviders(ours, 'credential_process', {}, config('[profile default]\ncredential_process = /opt/other\n'))
  expectProviders(ours, 'container endpoint, ours', {}, config('[default]\nregion = eu-central-1\n[profile x]\nsso_session = y\n'))
  expectProviders({ ...ours, AWS_PROFILE: 'gone' }, 'none', {}, token)
})

test('IRSA and EKS Pod Identity are told apart from svidecar, with what to take away', () => {
  const irsa = { AWS_WEB_IDENTITY_TOKEN_FILE: '/var/run/secrets/eks.amazonaws.com/serviceaccount/token', AWS_ROLE_ARN: 'arn:aws:iam::1:role/x' }
  expectProviders({ ...ours, ...irsa }, 'web identity', { 'JavaScript v2': 'container endpoint, ours' })
  assert.match(look({ ...ours, ...irsa }).get('Go v2')?.change ?? '', /IRSA/)
  const pod = { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://169.254.170.23/v1/credentials', AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/t' }
  expectProviders(pod, 'container endpoint')
  assert.match(look(pod).get('Rust')?.why ?? '', /Pod Identity/)
  const own = { AWS_WEB_IDENTITY_TOKEN_FILE: '/run/svid/aws.jwt', AWS_ROLE_ARN: 'arn:aws:iam::1:role/x', HOME: '/home/me' }
  expectProviders(own, 'web identity, ours', {}, { '/run/svid/aws.jwt': 'a.b.c' })
  assert.match(look(own, { '/run/svid/aws.jwt': 'a.b.c\n' }).get('Java v2')?.change ?? '', /newline/)
})

test('a relative URI beats the full one, but for Go; an empty one counts for botocore alone', () => {
  expectProviders({ ...ours, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/v2/credentials/x' }, 'container endpoint', { 'Go v2': 'container endpoint, ours' })
  expectProviders({ ...ours, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '' }, 'container endpoint, ours', { 'boto3, AWS CLI': 'container endpoint' })
})

test('a token file that is missing, empty or has a newline, and an address that SDKs refuse, are said', () => {
  const change = (env: Seen['env'], files?: Readonly<Record<string, string>>, known?: readonly string[]) =>
    look(env, files, known).get('boto3, AWS CLI')?.change ?? ''
  assert.match(change(ours, {}), /cannot be read by this user/)
  assert.match(change(ours, { '/run/svidecar/app.token': `${'x'.repeat(43)}\n` }), /newline/)
  assert.match(change(ours, { '/run/svidecar/app.token': '' }), /is empty/)
  assert.match(change({ ...ours, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: undefined }), /No token/)
  assert.match(change({ ...ours, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: undefined, AWS_CONTAINER_AUTHORIZATION_TOKEN: 'x' }), /cannot be renewed/)
  assert.match(
    change({ ...ours, AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://host.docker.internal:9912/v1/credentials' }, token, ['host.docker.internal:9912']),
    /refuse http/,
  )
  assert.match(change(ours, token, ['127.0.0.1:9999']), /Another server/)
  assert.match(change({ ...ours, AWS_CONTAINER_CREDENTIALS_FULL_URI: 'nonsense' }), /svidecar env/)
})

test('without anything the instance is asked, svidecar if the address says so, or nobody', () => {
  expectProviders({}, 'instance metadata')
  expectProviders({ AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:9912' }, 'instance metadata, ours')
  expectProviders({ AWS_EC2_METADATA_DISABLED: 'true' }, 'none')
})

test('no value that is a secret is in any verdict', () => {
  const secret = 'SECRET-VALUE'
  const env = { ...ours, AWS_ACCESS_KEY_ID: 'AKIAX', AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: secret, AWS_CONTAINER_AUTHORIZATION_TOKEN: secret }
  const files = {
    ...token,
    '/run/svidecar/app.token': secret,
    '/home/me/.aws/credentials': `[default]\naws_access_key_id = X\naws_secret_access_key = ${secret}\n`,
  }
  for (const given of [env, { ...env, AWS_ACCESS_KEY_ID: undefined }, ours]) assert.ok(!JSON.stringify([...look(given, files).values()]).includes(secret))
})

test('of addresses that are not svidecar’s nothing is shown that could open something', () => {
  const shown = (env: Seen['env']) => JSON.stringify([...look(env).values()])
  for (const uri of ['http://u:SECRET@127.0.0.1:1/v1/x?token=SECRET', 'http://10.0.0.1/SECRET', 'SECRET:no address', 'http://169.254.170.23/SECRET'])
    assert.ok(!shown({ ...ours, AWS_CONTAINER_CREDENTIALS_FULL_URI: uri }).includes('SECRET'), uri)
  assert.ok(!shown({ AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/v2/credentials/SECRET' }).includes('SECRET'))
  assert.ok(!shown({ AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://u:SECRET@127.0.0.1/SECRET' }).includes('SECRET'))
})

test('a line of a megabyte is read at once', () => {
  const begun = performance.now()
  look(ours, { ...token, '/home/me/.aws/config': `[default]\na${' '.repeat(1_000_000)}b\n` })
  assert.ok(performance.now() - begun < 2_000)
})

test('AWS_DEFAULT_PROFILE is botocore’s alone, and a role of a profile goes before its keys', () => {
  const files = { ...token, '/home/me/.aws/credentials': '[work]\naws_access_key_id = a\naws_secret_access_key = b\nrole_arn = r\nsource_profile = x\n' }
  expectProviders({ ...ours, AWS_DEFAULT_PROFILE: 'work' }, 'container endpoint, ours', { 'boto3, AWS CLI': 'profile' }, files)
})
