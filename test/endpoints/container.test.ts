// The container endpoint: who may read what, what an SDK gets, and that it is never anything but valid credentials.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { failure } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/events.ts'
import type { CredentialState } from '../../src/credentials/store.ts'
import { createContainerHandler } from '../../src/endpoints/container.ts'
import type { ProfileView } from '../../src/endpoints/documents.ts'
import { hostRule } from '../../src/endpoints/guard.ts'
import type { Answer } from '../../src/endpoints/server.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { credentialsFor, fresh, profileOf, requestOf, roleArn } from './support.ts'

const appToken = 'appTokenappTokenappTokenappTokenappToken_-1'
const twoToken = 'twoTokentwoTokentwoTokentwoTokentwoToken_-2'
const oldToken = 'oldTokenoldTokenoldTokenoldTokenoldToken_-3'
const ownToken = 'ownTokenownTokenownTokenownTokenownToken_-4'

const forEver = (token: string) => ({ bytes: Buffer.from(token), until: Number.POSITIVE_INFINITY })

function world() {
  const clock = createFakeClock()
  const events: Event[] = []
  const app = profileOf('app', fresh(clock, 3_600_000))
  const reports = profileOf('reports', fresh(clock, 3_600_000), { roleName: 'reports' })
  const empty = profileOf('empty', { status: 'empty', since: clock.now() })
  const all: ProfileView[] = [app, reports, empty]
  const handler = createContainerHandler({
    hosts: hostRule('127.0.0.1', []),
    consumers: [
      { name: 'app', tokens: [forEver(appToken), { bytes: Buffer.from(oldToken), until: clock.boot() + 300_000 }], profiles: [app] },
      { name: 'two', tokens: [forEver(twoToken)], profiles: [reports, empty] },
      { name: 'own', tokens: [forEver(ownToken)], profiles: [app], uids: [1000, 1001] },
    ],
    profiles: new Set(all.map(({ name }) => name)),
    clock,
    emit: (event) => events.push(event),
  })
  const get = (path: string, token?: string, method = 'GET'): Answer => {
    const answer = handler(requestOf(path, token === undefined ? {} : { authorization: token }, { method }))
    assert.ok(!(answer instanceof Promise), 'answers come from memory, at once')
    return answer
  }
  return { clock, events, app, reports, empty, get, handler }
}

const bodyOf = ({ body }: Answer): Record<string, unknown> => JSON.parse(String(body)) as Record<string, unknown>

/** An error as both families of clients read it, and never a 200. */
function isError(answer: Answer, status: number): void {
  assert.equal(answer.status, status)
  assert.equal(answer.headers?.['content-type'], 'application/json')
  const { code, message, Code, Message, ...more } = bodyOf(answer)
  assert.deepEqual(more, {})
  assert.ok(typeof code === 'string' && code !== '' && code !== 'Success')
  assert.ok(typeof message === 'string' && message !== '')
  assert.deepEqual([Code, Message], [code, message])
}

test('gives the document that every SDK reads: all fields, whole seconds, the account', () => {
  const { clock, app, get } = world()
  const expiration = Date.UTC(2026, 0, 1, 1, 2, 3, 999)
  const credentials = credentialsFor(clock, 3_600_000, { expiration, issuedAt: Date.UTC(2026, 0, 1, 0, 2, 3, 400) })
  app.state.set({ status: 'fresh', credentials, since: clock.now(), refreshAt: clock.boot() + 1 })
  const answer = get('/v1/credentials', appToken)
  assert.equal(answer.status, 200)
  assert.equal(answer.headers?.['content-type'], 'application/json')
  assert.ok(Buffer.isBuffer(answer.body))
  assert.deepEqual(bodyOf(answer), {
    Code: 'Success',
    Type: 'AWS-HMAC',
    LastUpdated: '2026-01-01T00:02:03Z',
    AccessKeyId: credentials.accessKeyId,
    SecretAccessKey: credentials.secretAccessKey.reveal(),
    Token: credentials.sessionToken.reveal(),
    Expiration: '2026-01-01T01:02:03Z',
    AccountId: '111122223333',
    RoleArn: roleArn,
  })
})

test('the same credentials are the same bytes in the same buffer, until others come', () => {
  const { clock, app, get } = world()
  const first = get('/v1/credentials', appToken).body
  assert.equal(get('/v1/credentials/app', appToken).body, first)
  const { current } = app.state
  assert.ok(current.status === 'fresh')
  app.state.set({ status: 'stale', credentials: current.credentials, since: clock.now(), failure: failure('timeout', 'x') })
  assert.equal(get('/v1/credentials', appToken).body, first, 'a failed refresh changes nothing')
  app.state.set(fresh(clock, 1_000))
  assert.notDeepEqual(get('/v1/credentials', appToken).body, first)
})

test('with the longest token that AWS is known to give the document stays under the 10,000 bytes that CRT reads', () => {
  const { clock, app, get } = world()
  app.state.set(fresh(clock, 1_000, { sessionToken: { reveal: () => 'A'.repeat(4_096), toString: String, toJSON: String } }))
  assert.ok(Buffer.byteLength(get('/v1/credentials', appToken).body ?? '') < 10_000)
})

test('a consumer reads its own profiles and no others, whatever it asks', () => {
  const { get, app, reports } = world()
  const keyOf = (answer: Answer) => bodyOf(answer)['AccessKeyId']
  const heldBy = ({ state }: typeof app) => state.current.status === 'fresh' && state.current.credentials.accessKeyId
  assert.equal(keyOf(get('/v1/credentials/app', appToken)), heldBy(app))
  assert.equal(keyOf(get('/v1/credentials/reports', twoToken)), heldBy(reports))
  isError(get('/v1/credentials/reports', appToken), 403)
  isError(get('/v1/credentials/empty', appToken), 403)
  isError(get('/v1/credentials/app', twoToken), 403)
  isError(get('/v1/credentials/nope', appToken), 404)
  isError(get('/v1/credentials/app/x', appToken), 404)
  for (const name of ['constructor', '__proto__', 'toString', 'App', 'ap', 'app.', '-']) isError(get(`/v1/credentials/${name}`, appToken), 404)
})

test('a consumer of several profiles must say which, and is told how', () => {
  const answer = world().get('/v1/credentials', twoToken)
  isError(answer, 404)
  assert.match(String(bodyOf(answer)['message']), /\/v1\/credentials\/reports, \/v1\/credentials\/empty/)
})

test('without credentials it is a 503 that says when to come back and why, without details', () => {
  const { get, empty, clock } = world()
  const answer = get('/v1/credentials/empty', twoToken)
  isError(answer, 503)
  assert.equal(answer.headers?.['retry-after'], '1')
  const secretive = failure('access_denied', 'arn:aws:iam::1:role/x is not authorized')
  empty.state.set({ status: 'empty', since: clock.now(), failure: secretive })
  const { message } = bodyOf(get('/v1/credentials/empty', twoToken))
  assert.match(String(message), /access_denied/)
  assert.doesNotMatch(String(message), /authorized/)
})

test('only the very token opens: not its parts, not in quotes, not as Bearer, not of another length or case', () => {
  const { get } = world()
  for (const token of [
    '',
    ' ',
    appToken.slice(0, -1),
    `${appToken}A`,
    appToken.toLowerCase(),
    `Bearer ${appToken}`,
    `"${appToken}"`,
    `${appToken}, ${appToken}`,
    'é'.repeat(21) + 'a',
    'x'.repeat(43),
    'x'.repeat(100_000),
  ])
    isError(get('/v1/credentials', token), 401)
  isError(get('/v1/credentials'), 401)
  fc.assert(
    fc.property(fc.string({ minLength: 43, maxLength: 43 }), (token) => {
      assert.ok([401, 429].includes(get('/v1/credentials', token).status))
    }),
  )
})

test('an answer to a wrong token does not say whether the profile exists', () => {
  const { get } = world()
  const answers = ['app', 'reports', 'nope'].map((name) => get(`/v1/credentials/${name}`, 'wrong'))
  assert.equal(new Set(answers.map(({ status, body }) => `${status} ${String(body)}`)).size, 1)
})

test('failed authentications are limited to 20 a second, with a 429; who has a token never meets the limit', async () => {
  const { get, clock } = world()
  const statuses = Array.from({ length: 100 }, () => get('/v1/credentials', 'wrong').status)
  assert.equal(statuses.filter((status) => status === 401).length, 20)
  const limited = get('/v1/credentials')
  isError(limited, 429)
  assert.equal(limited.headers?.['retry-after'], '1')
  for (let index = 0; index < 1_000; index++) assert.equal(get('/v1/credentials', appToken).status, 200)
  await clock.advance(1_000)
  isError(get('/v1/credentials', 'wrong'), 401)
})

test('other methods are 405 with Allow, before anybody is authenticated; other paths are 404', () => {
  const { get } = world()
  for (const method of ['POST', 'PUT', 'HEAD', 'DELETE']) {
    isError(get('/v1/credentials', appToken, method), 405)
    assert.equal(get('/v1/credentials', undefined, method).headers?.['allow'], 'GET')
  }
  for (const path of ['/', '/v1', '/v1/credentialsx', '/V1/credentials', '/v2/credentials', '/latest/api/token']) isError(get(path, appToken), 404)
})

test('what was refused is told with a reason, what was served with consumer and profile, and never with a token', () => {
  const { get, events } = world()
  get('/v1/credentials', appToken)
  get('/v1/credentials')
  get('/v1/credentials', 'nearly-a-secret')
  get('/v1/credentials/reports', appToken)
  const told = JSON.stringify(events)
  for (const word of [appToken, 'nearly-a-secret', 'secret/', 'session//']) assert.ok(!told.includes(word), word)
  assert.deepEqual(
    events.flatMap((event) => (event.type === 'served' ? [[event.consumer, event.profile, event.status]] : [])),
    [
      ['app', 'app', 200],
      ['', '', 401],
      ['', '', 401],
      ['app', '', 403],
    ],
  )
  const reasons = events.flatMap((event) => (event.type === 'listener.refused' ? [event.reason] : []))
  assert.equal(reasons.length, 3)
  assert.match(reasons[0] ?? '', /newline/)
})

test('an answer is a 200 exactly as long as there are credentials that live, and then it is whole', async () => {
  const times = fc.integer({ min: -3_000, max: 3_000 })
  const kinds = fc.constantFrom('fresh', 'stale', 'empty', 'expired')
  const failing = fc.boolean()
  await fc.assert(
    fc.asyncProperty(kinds, times, failing, fc.boolean(), async (status, aroundMs, fails, suspended) => {
      const { clock, app, get } = world()
      const lifeMs = 5_000
      const base = { since: clock.now(), ...(fails ? { failure: failure('timeout', 'no') } : {}) }
      const credentials = credentialsFor(clock, lifeMs)
      const state: CredentialState =
        status === 'fresh'
          ? { ...base, status, credentials, refreshAt: clock.boot() }
          : status === 'stale'
            ? { ...base, status, credentials }
            : { ...base, status: status === 'empty' ? 'empty' : 'expired' }
      app.state.set(state)
      if (suspended) clock.suspend(lifeMs + aroundMs)
      else await clock.advance(lifeMs + aroundMs)
      clock.stepWall(86_400_000 * (aroundMs % 3))
      const answer = get('/v1/credentials', appToken)
      const alive = (status === 'fresh' || status === 'stale') && aroundMs < 0
      if (!alive) return isError(answer, 503)
      assert.equal(answer.status, 200)
      for (const [name, value] of Object.entries(bodyOf(answer))) assert.ok(typeof value === 'string' && value !== '', name)
      assert.match(String(bodyOf(answer)['Expiration']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    }),
    { numRuns: 60 },
  )
})

test('a token that was replaced opens until its overlap is over', () => {
  const { clock, get } = world()
  assert.equal(get('/v1/credentials', oldToken).status, 200)
  clock.suspend(299_999)
  assert.equal(get('/v1/credentials', oldToken).status, 200)
  clock.suspend(1)
  assert.equal(get('/v1/credentials', oldToken).status, 401)
  assert.equal(get('/v1/credentials', appToken).status, 200)
})

test('a token that is tied to users is refused to everybody else, and to those of whom the kernel says nothing', async () => {
  const { handler, events } = world()
  const as = async (uid: number | undefined) => {
    const answer = await handler({ ...requestOf('/v1/credentials', { authorization: ownToken }), user: async () => uid })
    if (answer.status !== 200) isError(answer, 403)
    return answer.status
  }
  for (const uid of [1000, 1001]) assert.equal(await as(uid), 200)
  for (const uid of [0, 1002, 65_534, undefined]) assert.equal(await as(uid), 403, String(uid))
  const reasons = events.flatMap((event) => (event.type === 'listener.refused' ? [event.reason] : []))
  assert.match(reasons[0] ?? '', /^consumer own: user 0 asks/)
  assert.match(reasons.at(-1) ?? '', /kernel does not say/)
  // The wrong user learns no more of the profile than that.
  const stranger = await handler({ ...requestOf('/v1/credentials/nope', { authorization: ownToken }), user: async () => 7 })
  assert.equal(stranger.status, 403)
})

test('what was read, by whom and with which outcome is told of each read', () => {
  const { events, get } = world()
  const { AccessKeyId } = bodyOf(get('/v1/credentials', appToken))
  get('/v1/credentials/empty', twoToken)
  get('/v1/credentials/app', twoToken)
  get('/v1/credentials', 'x'.repeat(43))
  const reads = events.flatMap((event) => (event.type === 'served' ? [[event.consumer, event.profile, event.accessKeyId, event.status]] : []))
  assert.deepEqual(reads, [
    ['app', 'app', AccessKeyId, 200],
    ['two', 'empty', '', 503],
    ['two', '', '', 403],
    ['', '', undefined, 401],
  ])
})
