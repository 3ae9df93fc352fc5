// AssumeRoleWithWebIdentity through the AWS SDK, with its traps closed.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import { type FailureCode, isFailure } from '../../src/core/errors.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { audience, failsWith, inWorld, issuer, never, role, type SetUp, spiffeId } from './support.ts'

for (const algorithm of ['ES256', 'RS256'] as const) {
  test(`an ${algorithm} token gets credentials, sent in the body and under a name made from the SPIFFE ID`, () =>
    inWorld({ jwt: { algorithm } }, async ({ web, last, fetches }) => {
      const exchange = web()
      const credentials = await exchange(never)
      assert.match(credentials.accessKeyId, /^ASIA/)
      assert.equal(credentials.accountId, '111122223333')
      assert.equal(last()?.sessionName, 'dev.local.web')
      assert.ok(!last()?.url.includes('eyJ'))
      assert.equal(last()?.headers['authorization'], undefined)
      const left = credentials.deadline - systemClock.boot()
      assert.ok(left > 3_590_000 && left < 3_600_000, `${left}`)
      await exchange(never)
      assert.equal(fetches(), 2, 'each exchange has a token of its own')
    }))
}

const unsuitable: readonly (readonly [string, SetUp['jwt'], RegExp])[] = [
  ['without an issuer', { issuer: undefined }, /jwt_issuer/],
  ['signed with PS256', { algorithm: 'PS256' }, /jwt_key_type/],
  ['whose issuer is no https URL', { issuer: 'http://oidc.example.test' }, /https/],
]
for (const [what, jwt, pattern] of unsuitable) {
  test(`a token ${what} never leaves the machine`, () =>
    inWorld({ jwt: { ...jwt } }, async ({ web, aws }) => {
      await assert.rejects(web()(never), failsWith('svid_unsuitable', pattern))
      assert.equal(aws.requests.length, 0)
    }))
}

const refusals: readonly (readonly [string, Omit<SetUp, 'clock'>, FailureCode])[] = [
  ['an issuer that the account does not know', { oidcProviders: [] }, 'invalid_identity_token'],
  [
    'an audience that the provider does not have',
    { oidcProviders: [{ issuer, audiences: ['other'], jwks: async () => ({ keys: [] }) }] },
    'invalid_identity_token',
  ],
  ['keys that do not fit', { oidcProviders: [{ issuer, audiences: [audience], jwks: async () => ({ keys: [] }) }] }, 'invalid_identity_token'],
  ['a role that is for others', { roles: [{ roleArn: role, spiffeIds: ['spiffe://dev.local/other'] }] }, 'access_denied'],
]
for (const [what, options, code] of refusals) {
  test(`${what} is ${code}, with iss, aud and exp beside it`, () =>
    inWorld(options, async ({ web }) => {
      await assert.rejects(web()(never), (error) => {
        failsWith(code)(error)
        const facts = (isFailure(error) && error.facts) || {}
        assert.deepEqual([facts['spiffe_id'], facts['token_iss'], facts['token_aud'], facts['role_arn']], [spiffeId, issuer, audience, role])
        assert.match(String(facts['token_exp']), /^20\d\d-/)
        return true
      })
    }))
}

test('a token that AWS calls expired is a reason to fetch a new one at once', () =>
  inWorld({}, async ({ web, aws }) => {
    aws.setFault({ status: 400, code: 'ExpiredTokenException', message: 'Token expired' })
    await assert.rejects(web()(never), (error) => failsWith('expired_token')(error) && isFailure(error) && error.retry === 'now')
  }))

for (const [what, fault, code] of [
  ['an empty 200', 'empty-200', 'reply_invalid'],
  ['a 200 that is no XML', 'not-json-200', 'reply_invalid'],
  ['a 500', { status: 500 }, 'aws_unavailable'],
  ['throttling', { status: 400, code: 'Throttling', message: 'Rate exceeded' }, 'throttled'],
] as const) {
  test(`${what} is ${code}, asked once: the SDK's own retries are off`, () =>
    inWorld({}, async ({ web, aws }) => {
      const exchange = web()
      aws.setFault(fault)
      await assert.rejects(exchange(never), failsWith(code))
      assert.equal(aws.requests.length, 1)
      aws.setFault(undefined)
      assert.match((await exchange(never)).accessKeyId, /^ASIA/)
    }))
}

for (const fault of ['hang', 'trickle'] as const) {
  test(`a service that ${fault}s is given up after ten seconds`, async () => {
    const clock = createFakeClock(Date.now())
    await inWorld({ clock }, async ({ web, aws }) => {
      aws.setFault(fault)
      const pending = web()(never)
      pending.catch(() => {})
      await new Promise<void>((resolve) => {
        const poll = setInterval(() => {
          if (aws.inFlight === 0) return
          clearInterval(poll)
          resolve()
        }, 5)
      })
      await clock.advance(10_100)
      await assert.rejects(pending, failsWith('timeout'))
    })
  })
}

test('a poisoned AWS configuration moves nothing: neither the call, nor the token, nor a process', async () => {
  const visits: string[] = []
  const thief = createServer((request, response) => {
    visits.push(request.url ?? '')
    response.end('{}')
  })
  await new Promise<void>((resolve) => thief.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(thief.address() as AddressInfo).port}`
  const home = mkdtempSync(join(tmpdir(), 'svidecar-test-'))
  mkdirSync(join(home, '.aws'))
  const trap = join(home, 'ran')
  writeFileSync(
    join(home, '.aws', 'config'),
    `[default]\nendpoint_url = ${url}\nregion = us-west-2\nretry_mode = adaptive\nmax_attempts = 9\nuse_fips_endpoint = true\ncredential_process = touch ${trap}\nservices = s\n[profile evil]\nendpoint_url = ${url}\ncredential_process = touch ${trap}\nservices = s\n[services s]\nsts =\n  endpoint_url = ${url}\n`,
  )
  const script = new URL('./web-identity-child.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script], {
    env: {
      PATH: process.env['PATH'],
      HOME: home,
      AWS_PROFILE: 'evil',
      AWS_ENDPOINT_URL: url,
      AWS_ENDPOINT_URL_STS: url,
      AWS_REGION: 'us-west-2',
      AWS_MAX_ATTEMPTS: '9',
      AWS_USE_DUALSTACK_ENDPOINT: 'true',
      AWS_STS_REGIONAL_ENDPOINTS: 'legacy',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  const status = await new Promise((resolve) => child.once('exit', resolve))
  thief.close()
  assert.equal(status, 0, output)
  assert.match(output, /^ASIA\w+ after 1 request\n$/)
  assert.deepEqual(visits, [])
  const { existsSync } = await import('node:fs')
  assert.ok(!existsSync(trap), 'no credential_process was run')
})
