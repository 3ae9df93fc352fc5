// The instance metadata service as SDKs ask it: tokens first, exact texts, empty errors, and a short wait at the start.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/events.ts'
import type { CredentialState } from '../../src/credentials/store.ts'
import { hostRule } from '../../src/endpoints/guard.ts'
import { createImdsHandler } from '../../src/endpoints/imds.ts'
import { createImdsTokens } from '../../src/endpoints/imds-token.ts'
import type { Answer } from '../../src/endpoints/server.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { credentialsFor, fresh, profileOf, requestOf } from './support.ts'

const ttl = 'x-aws-ec2-metadata-token-ttl-seconds'
const roles = '/latest/meta-data/iam/security-credentials'

interface Setting {
  state?: (clock: FakeClock) => CredentialState
  zone?: string
  roleName?: string
  roleArn?: string
  listener?: string
}

function imds({ state = (clock) => fresh(clock, 3_600_000), zone, listener = 'imds app', ...view }: Setting = {}) {
  const clock = createFakeClock()
  const events: Event[] = []
  const stop = new AbortController()
  const profile = profileOf('app', state(clock), view)
  const tokens = createImdsTokens(Buffer.alloc(32, 3), listener, clock)
  const handler = createImdsHandler({
    hosts: hostRule('127.0.0.1', []),
    profile,
    availabilityZone: zone,
    tokens,
    clock,
    emit: (event) => events.push(event),
    signal: stop.signal,
  })
  const ask = async (method: string, path: string, headers: Record<string, string> = {}): Promise<Answer> => {
    const answer = await handler(requestOf(path, headers, { method }))
    if (answer.status >= 400) assert.equal(answer.body ?? '', '', 'some SDKs take any text for a role’s name')
    return answer
  }
  const token = tokens.issue(21_600)
  const get = (path: string, given: string = token) => ask('GET', path, { 'x-aws-ec2-metadata-token': given })
  return { clock, profile, tokens, token, events, stop, ask, get }
}

const put = (seconds: string) => imds().ask('PUT', '/latest/api/token', { [ttl]: seconds })
const textOf = ({ body }: Answer): string => String(body ?? '')
const jsonOf = (answer: Answer): Record<string, unknown> => JSON.parse(textOf(answer)) as Record<string, unknown>

test('issues a token for 1 to 21600 seconds and echoes them', async () => {
  for (const seconds of ['1', '60', '300', '21600']) {
    const answer = await put(seconds)
    assert.deepEqual([answer.status, answer.headers?.[ttl]], [200, seconds])
    assert.match(textOf(answer), /^[\w-]{40,200}$/)
  }
})

test('refuses any other time to live', async () => {
  for (const seconds of ['0', '-1', '21601', '99999', '1e3', '0x10', '60.5', '60s', '', ' ', '60, 60', '٣', '1'.repeat(400)])
    assert.equal((await put(seconds)).status, 400, seconds)
  assert.equal((await imds().ask('PUT', '/latest/api/token')).status, 400)
})

test('a token opens the routes of its listener; none, a foreign or an expired one is a 401', async () => {
  const { clock, tokens, get, ask } = imds()
  assert.equal((await ask('GET', `${roles}/`)).status, 401)
  for (const given of ['', 'x', 'A'.repeat(54), imds({ listener: 'imds other' }).token])
    for (const path of [`${roles}/`, `${roles}/app`, `${roles}/nope`, '/latest/meta-data/placement/region', '/latest/x'])
      assert.equal((await get(path, given)).status, 401, path)
  const short = tokens.issue(5)
  assert.equal((await get(`${roles}/`, short)).status, 200)
  clock.suspend(5_000)
  assert.equal((await get(`${roles}/`, short)).status, 401)
})

test('the role list is the role’s name and nothing else, with and without the slash', async () => {
  const { get } = imds()
  for (const path of [roles, `${roles}/`, `/${roles}`, `${roles}-extended`, `${roles}-extended/`]) {
    const answer = await get(path)
    assert.deepEqual([answer.status, textOf(answer)], [200, 'app'], path)
    assert.equal(answer.headers?.['content-type'], 'text/plain')
  }
})

test('the role’s credentials have all fields of the real service, with the account', async () => {
  const state = (clock: FakeClock): CredentialState => ({
    status: 'fresh',
    credentials: credentialsFor(clock, 3_600_000, { expiration: clock.now() + 3_600_999 }),
    since: clock.now(),
    refreshAt: clock.boot() + 1_000,
  })
  const { get, profile } = imds({ state })
  assert.ok(profile.state.current.status === 'fresh')
  const { credentials } = profile.state.current
  for (const path of [`${roles}/app`, `${roles}/app/`, `${roles}-extended/app`]) {
    const answer = await get(path)
    assert.equal(answer.headers?.['content-type'], 'application/json')
    assert.deepEqual(jsonOf(answer), {
      Code: 'Success',
      LastUpdated: '2026-01-01T00:00:00Z',
      Type: 'AWS-HMAC',
      AccessKeyId: credentials.accessKeyId,
      SecretAccessKey: credentials.secretAccessKey.reveal(),
      Token: credentials.sessionToken.reveal(),
      Expiration: '2026-01-01T01:00:00Z',
      AccountId: '111122223333',
    })
  }
  assert.equal((await get(`${roles}/app`)).body, (await get(`${roles}/app`)).body)
})

test('a wrong role is a 404, also one that only starts or ends like ours', async () => {
  const { get } = imds()
  for (const name of ['nope', 'App', 'ap', 'app2', 'team/app', 'app/x', 'app.', '-'])
    for (const list of [roles, `${roles}-extended`]) assert.equal((await get(`${list}/${name}`)).status, 404, name)
})

test('every name that IAM allows for a role can be read', async () => {
  // IAM: [\w+=,.@-]{1,64}.
  for (const roleName of ['app', 'App_1', 'a.b-c', 'team+app', 'key=value', 'a,b', 'app@prod']) {
    const { get } = imds({ roleName, roleArn: `arn:aws:iam::111122223333:role/${roleName}` })
    assert.equal(textOf(await get(`${roles}/`)), roleName)
    assert.equal((await get(`${roles}/${roleName}`)).status, 200, roleName)
  }
})

test('region and identity document answer; the zone only if it is configured', async () => {
  const bare = imds()
  assert.equal(textOf(await bare.get('/latest/meta-data/placement/region')), 'eu-central-1')
  assert.deepEqual(jsonOf(await bare.get('/latest/dynamic/instance-identity/document')), { region: 'eu-central-1', accountId: '111122223333' })
  for (const slash of ['', '/']) assert.equal((await bare.get(`/latest/meta-data/placement/availability-zone${slash}`)).status, 404)
  const zoned = imds({ zone: 'eu-central-1b' })
  for (const slash of ['', '/']) assert.equal(textOf(await zoned.get(`/latest/meta-data/placement/availability-zone${slash}`)), 'eu-central-1b')
  const document = jsonOf(await zoned.get('/latest/dynamic/instance-identity/document'))
  assert.equal(document['availabilityZone'], 'eu-central-1b')
})

test('iam/info names an instance profile of the role, without its path', async () => {
  const answer = await imds().get('/latest/meta-data/iam/info')
  const { InstanceProfileId, ...rest } = jsonOf(answer)
  assert.deepEqual(rest, { Code: 'Success', LastUpdated: '2026-01-01T00:00:00Z', InstanceProfileArn: 'arn:aws:iam::111122223333:instance-profile/app' })
  assert.match(String(InstanceProfileId), /^AIPA\w+$/)
})

test('other methods are 405 with what is allowed; other paths are 404 or 401, never more', async () => {
  const { ask, get, token } = imds()
  assert.deepEqual(await ask('GET', '/latest/api/token'), { status: 405, headers: { allow: 'PUT' } })
  for (const method of ['PUT', 'POST', 'HEAD', 'DELETE'])
    assert.deepEqual(await ask(method, `${roles}/app`, { 'x-aws-ec2-metadata-token': token, [ttl]: '60' }), { status: 405, headers: { allow: 'GET' } })
  for (const path of ['/', '/latest', '/1.0/meta-data/', '/v1/credentials', '/Latest/meta-data/placement/region'])
    assert.equal((await get(path)).status, 404, path)
  for (const path of ['/latest/user-data', '/latest/meta-data/', '/latest/meta-data/IAM/info', `${roles}x`]) assert.equal((await get(path)).status, 404, path)
})

test('what a token opens says how long the token lives', async () => {
  const { get, clock, tokens } = imds()
  const token = tokens.issue(300)
  clock.suspend(100_500)
  for (const path of [`${roles}/`, `${roles}/app`, `${roles}/nope`]) assert.equal((await get(path, token)).headers?.[ttl], '200', path)
})

test('at the start a request waits for the first credentials, 300 ms at most', async () => {
  const { clock, get, profile } = imds({ state: (at) => ({ status: 'empty', since: at.now() }) })
  let early: Answer | undefined
  const asked = get(`${roles}/app`).then((answer) => {
    early = answer
    return answer
  })
  await clock.advance(290)
  assert.equal(early, undefined, 'it is held')
  profile.state.set(fresh(clock, 60_000))
  assert.equal((await asked).status, 200)

  const begun = clock.boot()
  profile.state.set({ status: 'empty', since: clock.now() })
  const late = get(`${roles}/app`)
  await clock.advance(300)
  assert.deepEqual([(await late).status, (await late).headers?.['retry-after']], [503, '1'])
  assert.ok(clock.boot() - begun <= 300)
})

test('a first attempt that fails within the wait does not end it', async () => {
  const { clock, get, profile } = imds({ state: (at) => ({ status: 'empty', since: at.now() }) })
  const asked = get(`${roles}/app`)
  await clock.advance(50)
  profile.state.set({ status: 'empty', since: clock.now(), failure: failure('timeout', 'once') })
  await clock.advance(50)
  profile.state.set(fresh(clock, 60_000))
  await clock.advance(0)
  assert.equal((await asked).status, 200)
})

test('a waiting request ends with the daemon, as a 503', async () => {
  const { clock, get, stop } = imds({ state: (at) => ({ status: 'empty', since: at.now() }) })
  const asked = get(`${roles}/app`)
  await clock.settle()
  stop.abort(new Error('stopping'))
  assert.equal((await asked).status, 503)
})

test('expired credentials are a 503 at once and are not waited for; the names are still told', async () => {
  const { clock, get } = imds({ state: (at) => fresh(at, 10_000) })
  clock.suspend(10_000)
  for (const path of [`${roles}/app`, `${roles}-extended/app`, '/latest/meta-data/iam/info']) {
    const answer = await get(path)
    assert.deepEqual([answer.status, answer.headers?.['retry-after']], [503, '1'], path)
  }
  assert.equal(textOf(await get(`${roles}/`)), 'app')
})
