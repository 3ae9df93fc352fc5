// What is allowed in each place, every accepted value beside a rejected neighbour.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anchorArn, loadText, mistakes, mistakesOf, profileArn, roleArn, small, whole } from './support.ts'

const first = (text: string, from: string, to: string): string => {
  assert.ok(text.includes(from), from)
  return text.replace(from, to)
}
const put = (from: string, to: string) => loadText(first(small, from, to))
const wrong = async (from: string, to: string): Promise<string> => (await mistakesOf(first(small, from, to))).join('\n')

test('the region of Roles Anywhere is that of the trust anchor, and no other one can be said', async () => {
  assert.equal((await loadText(whole)).profiles[0]?.region, 'eu-central-1')
  const text = first(whole, '    identity: default\n', '    identity: default\n    region: eu-west-1\n')
  assert.match((await mistakesOf(text)).join('\n'), /7:13: profiles\.app\.region: .*eu-central-1/)
  const same = first(whole, '    identity: default\n', '    identity: default\n    region: eu-central-1\n')
  assert.equal((await loadText(same)).profiles[0]?.region, 'eu-central-1')
})

test('trust anchor and profile of two regions are a mistake that says both', async () => {
  const text = first(whole, profileArn, profileArn.replace('eu-central-1', 'eu-west-1'))
  assert.match((await mistakesOf(text)).join('\n'), /profile_arn: the profile is in eu-west-1 and the trust anchor in eu-central-1/)
})

test('the region of web identity is the profile’s, else AWS_REGION, else a mistake', async () => {
  const bare = first(small, '    region: eu-west-1\n', '')
  assert.equal((await loadText(small, { AWS_REGION: 'us-east-1' })).profiles[0]?.region, 'eu-west-1')
  assert.equal((await loadText(bare, { AWS_REGION: 'us-east-1' })).profiles[0]?.region, 'us-east-1')
  assert.match((await mistakesOf(bare)).join('\n'), /profiles\.app\.region: there is no region: set region or AWS_REGION/)
})

test('a region that is no host name is a mistake with its line, never a crash', async () => {
  for (const region of ['"EU West"', '"eu west"', '".."', 'a', '"a/b"', '"evil.example#"', '"é"', `"${'a'.repeat(40)}"`, '"[::1"'])
    assert.match(await wrong('region: eu-west-1', `region: ${region}`), /^9:13: profiles\.app\.region: .*is not a region/, region)
})

test('the public endpoints follow the partition', async () => {
  for (const [partition, region, host] of [
    ['aws', 'eu-west-1', 'sts.eu-west-1.amazonaws.com'],
    ['aws-us-gov', 'us-gov-west-1', 'sts.us-gov-west-1.amazonaws.com'],
    ['aws-cn', 'cn-north-1', 'sts.cn-north-1.amazonaws.com.cn'],
    ['aws-iso', 'us-iso-east-1', 'sts.us-iso-east-1.c2s.ic.gov'],
  ] as const) {
    const text = first(small, 'arn:aws:iam', `arn:${partition}:iam`).replace('eu-west-1', region)
    assert.equal((await loadText(text)).profiles[0]?.endpoint, `https://${host}/`)
  }
})

test('an endpoint is https; plain http only to loopback, unless it is said to be allowed', async () => {
  const endpoint = (url: string, more = '') => `region: eu-west-1\n    endpoint: "${url}"${more}`
  for (const url of ['https://sts.internal', 'https://10.0.0.1:8443/base', 'http://127.0.0.1:4566', 'http://localhost:1', 'http://[::1]:2', 'http://127.9.9.9'])
    assert.ok((await put('region: eu-west-1', endpoint(url))).profiles[0]?.endpoint.startsWith(url), url)
  for (const url of ['http://sts.internal', 'http://10.0.0.1', 'http://127.0.0.1.evil.example', 'http://localhost.evil.example', 'http://[::2]'])
    assert.match(await wrong('region: eu-west-1', endpoint(url)), /^10:15: profiles\.app\.endpoint: plain http .*allow_plaintext/, url)
  const allowed = await put('region: eu-west-1', endpoint('http://sts.internal', '\n    allow_plaintext: true'))
  assert.equal(allowed.profiles[0]?.endpoint, 'http://sts.internal/')
  for (const url of [
    'ftp://sts',
    'file:///etc/passwd',
    'sts.internal',
    '//sts',
    'https://user:password@sts',
    'https://sts/?a=b',
    'https://sts/#x',
    'https://',
    'unix:///x',
  ])
    assert.match(await wrong('region: eu-west-1', endpoint(url, '\n    allow_plaintext: true')), /^10:15: /, url)
})

test('a password in an endpoint is not repeated in the mistake about it', async () => {
  const text = await wrong('region: eu-west-1', 'region: eu-west-1\n    endpoint: https://user:hunter2@sts')
  assert.doesNotMatch(text, /hunter2/)
})

test('a listener for credentials is on loopback, by address and port; others may be anywhere', async () => {
  for (const [text, host, port] of [
    ['127.0.0.1:9912', '127.0.0.1', 9912],
    ['127.0.0.2:0', '127.0.0.2', 0],
    ['"[::1]:65535"', '::1', 65_535],
  ] as const)
    assert.deepEqual((await put('127.0.0.1:9912', text)).containerEndpoint?.listen, { host, port })
  for (const text of ['0.0.0.0:9912', '"[::]:9912"', '10.0.0.1:9912', '128.0.0.1:9912', '"[fe80::1]:9912"', '"[::ffff:10.0.0.1]:1"'])
    assert.match(await wrong('127.0.0.1:9912', text), /^14:11: .*not a loopback address/, text)
  for (const text of [
    '9912',
    '":9912"',
    'localhost:9912',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '127.0.0.1:-1',
    '"::1:9912"',
    '127.0.0.1:99x',
    '127.1:80',
    '"127.0.0.1:80 "',
  ])
    assert.match(await wrong('127.0.0.1:9912', text), /^14:11: /, text)
  for (const key of ['metrics_endpoint', 'status_endpoint']) assert.ok(await loadText(`${small}${key}: { listen: "[::]:9999" }\n`))
})

test('a second IMDS endpoint of one profile is refused, since a profile is found by its listener', async () => {
  const text = `${small}imds_endpoints: [{ profile: app }, { profile: app, listen: "[::1]:9911" }]\n`
  assert.match((await mistakesOf(text)).join('\n'), /^15:47: imds_endpoints\[1\]\.profile: profile app has an IMDS endpoint already$/)
})

test('a session lasts 15 minutes to 12 hours', async () => {
  const line = 'audience: sts.amazonaws.com'
  const lasting = (text: string) => `${line}\n      session_duration: ${text}`
  for (const [text, seconds] of [
    ['15m', 900],
    ['900s', 900],
    ['900000ms', 900],
    ['12h', 43_200],
  ] as const)
    assert.equal((await put(line, lasting(text))).profiles[0]?.method.durationSeconds, seconds)
  for (const text of ['14m', '899s', '13h', '0s', '1h30m', '1 h', '-1h', '1d', '"3600"', '1.5h', '""', '99999999999999999999h'])
    assert.match(await wrong(line, lasting(text)), /^9:25: profiles\.app\.web_identity\.session_duration: /, text)
})

test('exactly one way to the credentials of a profile', async () => {
  const way = `    roles_anywhere: { trust_anchor_arn: ${anchorArn}, profile_arn: ${profileArn}, role_arn: ${roleArn} }\n`
  const both = first(small, '    region: eu-west-1\n', way)
  assert.match((await mistakesOf(both)).join('\n'), /profiles\.app: say either roles_anywhere or web_identity, not both/)
  assert.match((await mistakesOf('profiles: { app: { region: eu-west-1 } }', { SPIFFE_ENDPOINT_SOCKET: 'unix:///a' })).join('\n'), /profiles\.app: say how/)
})

test('names are letters, digits, dashes and underscores, and control is taken', async () => {
  for (const name of ['a', 'A-1_b', 'x'.repeat(63), '0']) assert.equal((await put('consumers:\n  app:', `consumers:\n  "${name}":`)).consumers[0]?.name, name)
  for (const name of ['', '-a', '_a', 'a b', 'a/b', '..', 'a.sock', 'é', 'x'.repeat(64), 'a\\n', 'control'])
    assert.match(await wrong('consumers:\n  app:', `consumers:\n  "${name}":`), /^11:3: /, name)
})

test('a container endpoint without a consumer is a mistake: nobody could read from it', async () => {
  const text = first(small, 'consumers:\n  app:\n    profiles: [app]\n', '')
  assert.match((await mistakesOf(text)).join('\n'), /container_endpoint: nobody may read from it/)
})

test('a session name is what AWS takes', async () => {
  const named = (name: string) => `region: eu-west-1\n    session_name: "${name}"`
  for (const name of ['ab', 'a+=,.@-_1', 'x'.repeat(64)]) assert.ok(await put('region: eu-west-1', named(name)))
  for (const name of ['a', 'a b', 'a/b', 'x'.repeat(65), 'é1'])
    assert.match(await wrong('region: eu-west-1', named(name)), /^10:19: profiles\.app\.session_name/, name)
})

const mode = (text: string) => `profiles: [app]\n    mode: ${text}`

test('a mode is octal, and in quotes, because YAML reads 0440 as four hundred and forty', async () => {
  for (const [text, value] of [
    ['"0400"', 0o400],
    ['"0440"', 0o440],
    ['"0640"', 0o640],
  ] as const)
    assert.equal((await put('profiles: [app]', mode(text))).consumers[0]?.mode, value)
  for (const text of ['0440', '440', '0o440', '"440"', '"0888"', '"rw-r-----"', '"00440"', '"1440"'])
    assert.match(await wrong('profiles: [app]', mode(text)), /^13:11: consumers\.app\.mode: expected /, text)
})

test('a mode that lets others write the token is refused: what they could have planted is made anew at every start', async () => {
  for (const text of ['"0660"', '"0666"', '"0420"', '"0402"']) assert.match(await wrong('profiles: [app]', mode(text)), /^13:11: consumers\.app\.mode: /, text)
})

test('a private CA that cannot be read is a mistake with its path', async () => {
  const text = await wrong('region: eu-west-1', 'region: eu-west-1\n    ca_file: /nowhere/ca.pem')
  assert.match(text, /^10:14: profiles\.app\.ca_file: .*\/nowhere\/ca\.pem/)
})

test('any value in any place is accepted or a mistake at a place', async () => {
  const places = [roleArn, 'eu-west-1', 'unix:///agent.sock', '127.0.0.1:9912', 'sts.amazonaws.com', '[app]']
  const value = fc.oneof(fc.string(), fc.ipV6(), fc.constantFrom('${', '..', '%', 'arn:aws:', 'unix:', 'tcp://1:2', 'https://a/?b#c'))
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...places), value, async (place, text) => {
      const loading = loadText(small.replace(place, () => JSON.stringify(text)))
      const lines = await loading.then(
        () => undefined,
        () => mistakes(loading),
      )
      for (const line of lines ?? []) assert.match(line, /^SVIDECAR_CONFIG_YAML:\d+:\d+: /)
    }),
    { numRuns: 300 },
  )
})
