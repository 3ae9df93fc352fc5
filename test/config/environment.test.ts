// The configuration without a file: a handful of variables, and mistakes that name the variable.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anchorArn, load, mistakes, profileArn, roleArn } from './support.ts'

const socket = { SPIFFE_ENDPOINT_SOCKET: 'unix:///run/agent.sock' }
const anywhere = { ...socket, SVIDECAR_TRUST_ANCHOR_ARN: anchorArn, SVIDECAR_PROFILE_ARN: profileArn, SVIDECAR_ROLE_ARN: roleArn }
const web = { ...socket, SVIDECAR_ROLE_ARN: roleArn, SVIDECAR_AUDIENCE: 'sts.amazonaws.com', AWS_REGION: 'eu-west-1' }

const without = (env: NodeJS.ProcessEnv, ...names: string[]): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !names.includes(name)))

test('three ARNs make Roles Anywhere, in the region of the trust anchor', async () => {
  const config = await load(anywhere)
  const [profile, ...more] = config.profiles
  assert.deepEqual(more, [])
  assert.ok(profile?.method.kind === 'roles_anywhere')
  assert.deepEqual(
    [profile.name, profile.identity, profile.required, profile.region, profile.method.durationSeconds],
    ['default', 'default', true, 'eu-central-1', 3_600],
  )
  assert.equal(config.origin, 'the environment')
})

test('a role and an audience make web identity, in AWS_REGION', async () => {
  const [profile] = (await load(web)).profiles
  assert.ok(profile?.method.kind === 'web_identity')
  assert.deepEqual([profile.method.audience, profile.region, profile.endpoint], ['sts.amazonaws.com', 'eu-west-1', 'https://sts.eu-west-1.amazonaws.com/'])
})

test('either way there is one consumer named default, the container endpoint, the probes, and no IMDS', async () => {
  for (const env of [anywhere, web]) {
    const config = await load(env)
    assert.deepEqual(
      config.consumers.map(({ name, profiles }) => [name, profiles]),
      [['default', ['default']]],
    )
    assert.deepEqual(config.containerEndpoint?.listen, { host: '127.0.0.1', port: 9912 })
    assert.deepEqual(config.metricsEndpoint?.listen, { host: '127.0.0.1', port: 9913 })
    assert.deepEqual([config.imdsEndpoints, config.statusEndpoint], [[], undefined])
  }
})

test('a value that is wrong is named by its variable', async () => {
  for (const [env, variable, words] of [
    [{ ...anywhere, SVIDECAR_TRUST_ANCHOR_ARN: roleArn }, 'SVIDECAR_TRUST_ANCHOR_ARN', /is not the ARN of a trust anchor/],
    [{ ...anywhere, SVIDECAR_PROFILE_ARN: 'x' }, 'SVIDECAR_PROFILE_ARN', /is not the ARN of a profile/],
    [{ ...anywhere, SVIDECAR_ROLE_ARN: anchorArn }, 'SVIDECAR_ROLE_ARN', /is not the ARN of a role/],
    [{ ...web, SVIDECAR_ROLE_ARN: 'role/app' }, 'SVIDECAR_ROLE_ARN', /is not the ARN of a role/],
    [{ ...web, SPIFFE_ENDPOINT_SOCKET: '/run/agent.sock' }, 'SPIFFE_ENDPOINT_SOCKET', /has no scheme/],
    [{ ...anywhere, SPIFFE_ENDPOINT_SOCKET: '' }, 'SPIFFE_ENDPOINT_SOCKET', /./],
  ] as const)
    assert.deepEqual(
      (await mistakes(load(env))).map((line) => line.startsWith(`the environment: ${variable}: `) && words.test(line)),
      [true],
      variable,
    )
})

test('a variable that is missing is named, and so are those that it could go with', async () => {
  const cases: readonly [NodeJS.ProcessEnv, RegExp][] = [
    [without(anywhere, 'SVIDECAR_PROFILE_ARN'), /SVIDECAR_PROFILE_ARN/],
    [without(anywhere, 'SVIDECAR_TRUST_ANCHOR_ARN'), /SVIDECAR_TRUST_ANCHOR_ARN/],
    [without(web, 'SVIDECAR_AUDIENCE'), /SVIDECAR_AUDIENCE/],
    [without(web, 'SVIDECAR_AUDIENCE'), /SVIDECAR_TRUST_ANCHOR_ARN/],
    [without(web, 'AWS_REGION'), /AWS_REGION/],
    [without(web, 'SPIFFE_ENDPOINT_SOCKET'), /SPIFFE_ENDPOINT_SOCKET/],
    [without(anywhere, 'SVIDECAR_ROLE_ARN'), /SVIDECAR_ROLE_ARN/],
  ]
  for (const [env, name] of cases) {
    const lines = await mistakes(load(env))
    assert.match(lines.join('\n'), name)
    assert.doesNotMatch(lines.join('\n'), /Too small|profiles\.default|roles_anywhere|web_identity/, 'there is no file')
  }
})

test('both ways at once are a mistake that names the variables of both', async () => {
  const lines = (await mistakes(load({ ...anywhere, ...web }))).join('\n')
  assert.match(lines, /SVIDECAR_AUDIENCE/)
  assert.match(lines, /SVIDECAR_TRUST_ANCHOR_ARN/)
})

test('a region that is none is a mistake of AWS_REGION, not a crash', async () => {
  for (const region of ['EU West', 'eu west 1', '..', 'a', 'eu-west-1/', 'x@evil.example', 'é'])
    assert.match((await mistakes(load({ ...web, AWS_REGION: region }))).join('\n'), /AWS_REGION.*is not a region/, region)
})

test('all mistakes of the environment are told at once', async () => {
  const lines = await mistakes(
    load({ SVIDECAR_ROLE_ARN: 'a', SVIDECAR_TRUST_ANCHOR_ARN: 'b', SVIDECAR_PROFILE_ARN: 'c', SPIFFE_ENDPOINT_SOCKET: 'd', AWS_REGION: 'eu-west-1' }),
  )
  for (const name of ['SPIFFE_ENDPOINT_SOCKET', 'SVIDECAR_PROFILE_ARN', 'SVIDECAR_ROLE_ARN', 'SVIDECAR_TRUST_ANCHOR_ARN'])
    assert.equal(lines.filter((line) => line.startsWith(`the environment: ${name}: `)).length, 1, name)
  assert.equal(lines.length, 4)
})

test('an empty variable is as good as none', async () => {
  assert.equal((await load({ ...anywhere, SVIDECAR_AUDIENCE: '' })).profiles[0]?.method.kind, 'roles_anywhere')
  assert.equal((await load({ ...web, SVIDECAR_TRUST_ANCHOR_ARN: '' })).profiles[0]?.method.kind, 'web_identity')
  assert.match((await mistakes(load({ SVIDECAR_ROLE_ARN: '' }))).join('\n'), /there is no configuration/)
})
