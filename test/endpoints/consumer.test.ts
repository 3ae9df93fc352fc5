// A consumer's socket: that consumer's profiles and audiences, and nothing of anybody else.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/events.ts'
import { secret } from '../../src/core/secret.ts'
import { type Cell, createCell } from '../../src/core/source.ts'
import { createConsumerHandler } from '../../src/endpoints/consumer.ts'
import type { Answer } from '../../src/endpoints/server.ts'
import type { IdentityState, IdentityToken } from '../../src/identity/sources.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { fresh, profileOf, requestOf } from './support.ts'

const jwt = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl'

function consumer(names: readonly string[] = ['app']) {
  const clock = createFakeClock()
  const events: Event[] = []
  const profiles = names.map((name) => profileOf(name, fresh(clock, 3_600_000)))
  const token: IdentityToken = {
    compact: secret(jwt),
    subject: 'spiffe://example.org/web',
    issuer: undefined,
    algorithm: 'ES256',
    audience: ['sts.amazonaws.com'],
    issuedAt: clock.now(),
    expiresAt: clock.now() + 300_000,
  }
  const state: Cell<IdentityState<IdentityToken>> = createCell<IdentityState<IdentityToken>>({ status: 'ready', value: token })
  const handler = createConsumerHandler({
    name: 'web',
    profiles,
    audiences: new Map([['sts.amazonaws.com', state]]),
    environment: (profile) => ({ AWS_REGION: profile.region, PROFILE: profile.name }),
    clock,
    emit: (event) => events.push(event),
  })
  const get = (path: string, query = '', headers = {}, method = 'GET'): Answer => {
    const answer = handler(requestOf(path, headers, { query, method }))
    assert.ok(!(answer instanceof Promise))
    return answer
  }
  return { clock, events, profiles, token, state, get }
}

const jsonOf = ({ body }: Answer): Record<string, unknown> => JSON.parse(String(body)) as Record<string, unknown>

test('gives the credential_process document, with the number 1 as its version', () => {
  const { get, profiles } = consumer()
  const state = profiles[0]?.state.current
  assert.ok(state?.status === 'fresh')
  const { credentials } = state
  for (const path of ['/v1/credential-process', '/v1/credential-process/app', '//v1/credential-process/'])
    assert.deepEqual(jsonOf(get(path)), {
      Version: 1,
      AccessKeyId: credentials.accessKeyId,
      SecretAccessKey: credentials.secretAccessKey.reveal(),
      SessionToken: credentials.sessionToken.reveal(),
      Expiration: '2026-01-01T01:00:00Z',
      AccountId: '111122223333',
    })
  assert.equal(jsonOf(get('/v1/credentials'))['Code'], 'Success')
})

test('says ready exactly as long as there are credentials that live', () => {
  const { get, clock } = consumer()
  assert.equal(get('/v1/ready').status, 200)
  clock.suspend(3_600_000)
  for (const path of ['/v1/ready', '/v1/credentials', '/v1/credential-process/app']) {
    assert.equal(get(path).status, 503, path)
    assert.equal(get(path).headers?.['retry-after'], '1')
  }
  assert.equal(get('/v1/environment').status, 200, 'where to look does not depend on what is there')
})

test('says why there are none, since whoever may connect may know', () => {
  const { get, profiles, clock } = consumer()
  profiles[0]?.state.set({ status: 'empty', since: clock.now(), failure: failure('access_denied', 'the role says no') })
  assert.match(String(jsonOf(get('/v1/credentials'))['message']), /profile app .*the role says no/)
  profiles[0]?.state.set({ status: 'empty', since: clock.now() })
  assert.match(String(jsonOf(get('/v1/credentials'))['message']), /no credentials yet/)
})

test('a profile of others is a 403 and a missing choice a 404, both with what there is', () => {
  const { get } = consumer(['app', 'reports'])
  for (const what of ['credentials', 'credential-process', 'environment', 'ready']) {
    assert.equal(get(`/v1/${what}/app`).status, 200)
    assert.equal(get(`/v1/${what}/prod`).status, 403)
    assert.equal(get(`/v1/${what}`).status, 404)
    for (const path of [`/v1/${what}`, `/v1/${what}/prod`]) assert.match(String(jsonOf(get(path))['message']), /app, reports/)
  }
  for (const name of ['constructor', '__proto__', 'App']) assert.equal(get(`/v1/credentials/${name}`).status, 403)
  assert.equal(consumer([]).get('/v1/credentials').status, 404)
})

test('knows no other path and no other method', () => {
  const { get } = consumer()
  for (const path of ['/', '/v1', '/v2/credentials', '/v1/credentials/app/x', '/v1/nothing', '/v1/nothing/app', '/v1/..', '/V1/ready'])
    assert.equal(get(path).status, 404, path)
  for (const method of ['POST', 'PUT', 'HEAD', 'DELETE']) assert.equal(get('/v1/credentials', '', {}, method).status, 405)
})

test('refuses browsers and proxies, although they would have to be on this machine', () => {
  const { get } = consumer()
  for (const headers of [{ origin: 'null' }, { via: '' }, { 'x-forwarded-for': '::1' }, { 'sec-fetch-site': 'same-origin' }])
    assert.equal(get('/v1/credentials', '', headers).status, 403)
  assert.equal(get('/v1/credentials', '', { host: 'anything' }).status, 200, 'a socket has no name to rebind')
})

test('gives a JWT-SVID for its own audiences as bare text, and for no other audience', () => {
  const { get } = consumer()
  const answer = get('/v1/jwt', 'audience=sts.amazonaws.com')
  assert.deepEqual([answer.status, answer.body, answer.headers?.['content-type']], [200, jwt, 'text/plain'])
  for (const query of [
    '',
    'audience=',
    'audience=other',
    'audience=STS.amazonaws.com',
    'x=sts.amazonaws.com',
    'audience=sts.amazonaws.com,other',
    '%zz',
    'audience=__proto__',
  ])
    assert.equal(get('/v1/jwt', query).status, 403, query)
})

test('a JWT-SVID is given until its exp and not after, nor before there is one, nor when it was withdrawn', () => {
  const { get, clock, state, token } = consumer()
  const statusNow = () => get('/v1/jwt', 'audience=sts.amazonaws.com').status
  clock.suspend(299_999)
  assert.equal(statusNow(), 200)
  clock.suspend(1)
  assert.equal(statusNow(), 503)
  state.set({ status: 'waiting' })
  assert.equal(statusNow(), 503)
  state.set({ status: 'ready', value: { ...token, expiresAt: clock.now() + 1_000 } })
  assert.equal(statusNow(), 200)
  state.set({ status: 'withdrawn', failure: failure('identity_not_issued', 'gone') })
  assert.equal(statusNow(), 503)
})

test('tells what was served, never what was in it', () => {
  const { get, events } = consumer()
  get('/v1/credentials')
  get('/v1/jwt', 'audience=sts.amazonaws.com')
  get('/v1/credentials/other')
  const told = JSON.stringify(events)
  for (const word of [jwt, 'secret/', 'session//']) assert.ok(!told.includes(word), word)
  assert.deepEqual(
    events.map((event) => event.type === 'served' && [event.endpoint, event.consumer, event.profile, event.status]),
    [
      ['consumer', 'web', 'app', 200],
      ['consumer', 'web', '', 200],
      ['consumer', 'web', '', 403],
    ],
  )
})
