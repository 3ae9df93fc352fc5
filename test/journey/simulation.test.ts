// Forty-eight hours in some seconds: the real sources, exchange, policy, store and endpoint through random bad days,
// with the promises checked at every request.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArn } from '../../src/aws/arn.ts'
import { acceptCredentials } from '../../src/aws/credentials.ts'
import type { Clock } from '../../src/core/clock.ts'
import { failure } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/events.ts'
import { start, type Task } from '../../src/core/run.ts'
import { createLimiter } from '../../src/credentials/limiter.ts'
import { createStore } from '../../src/credentials/store.ts'
import { createContainerHandler } from '../../src/endpoints/container.ts'
import type { ProfileView } from '../../src/endpoints/documents.ts'
import { hostRule } from '../../src/endpoints/guard.ts'
import type { Exchange } from '../../src/exchange/exchange.ts'
import { rolesAnywhere } from '../../src/exchange/roles-anywhere.ts'
import { createChoice } from '../../src/identity/choice.ts'
import { createJwtSource } from '../../src/identity/workload-api/jwt-source.ts'
import { createX509Source } from '../../src/identity/workload-api/x509-source.ts'
import { createAuthority } from '../support/dev/authority.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { seeded } from '../support/random.ts'
import { mintAt } from '../support/world/aws-account.ts'
import { simulateAgent, simulateAws, type Trouble } from './simulated.ts'

const spiffeId = 'spiffe://dev.local/web'
const anchor = 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/a1'
const anywhereProfile = 'arn:aws:rolesanywhere:eu-central-1:111122223333:profile/p1'
const role = 'arn:aws:iam::111122223333:role/web'
const issuer = 'https://oidc.dev.local'
const minute = 60_000
const hours = 48
const everyMs = 60_000

for (const seed of [1, 2, 3]) {
  test(`48 hours of random bad days keep every promise (seed ${seed})`, async () => {
    const random = seeded(seed)
    const clock = createFakeClock()
    const zero = clock.now() - clock.boot()
    // The time of AWS and of the authority: the boot clock, which nobody here can set.
    const truth: Clock = { now: () => zero + clock.boot(), boot: clock.boot, sleep: clock.sleep }
    const authority = await createAuthority({ trustDomain: 'dev.local', clock: truth, intermediate: true })
    const issued = new Map<string, { profile: string; expiration: number; delivered: boolean }>()
    const events: Event[] = []
    const emit = (event: Event) => {
      if (event.type !== 'served') events.push(event)
      if (event.type === 'credentials.fresh') issued.set(event.accessKeyId, { profile: event.profile, expiration: event.expiresAt, delivered: true })
    }
    const aws = simulateAws(truth, clock, {
      trustAnchors: [{ arn: anchor, roots: () => authority.bundle() }],
      profiles: [{ arn: anywhereProfile, roleArns: [role] }],
      roles: [{ roleArn: role, spiffeIds: [spiffeId] }],
      oidcProviders: [{ issuer, audiences: ['aws'], jwks: () => authority.jwks() }],
      region: 'eu-central-1',
      mint: async ({ durationSeconds }) => mintAt(truth.now() + durationSeconds * 1_000),
    })
    const agent = await simulateAgent(authority, clock, spiffeId)

    const choice = createChoice({}, () => {})
    const shared = { identity: 'default', api: agent, choice, clock, random, emit, explain: (problem: ReturnType<typeof failure>) => problem }
    const x509 = createX509Source(shared)
    const jwt = createJwtSource(shared)
    const permit = createLimiter(5, clock)
    const context = (profile: string) => ({ profile, clock, permit, emit, call: aws.call(profile) })
    const exchanges: Record<string, Exchange> = {
      app: rolesAnywhere(x509.source, context('app'), {
        trustAnchor: parseArn(anchor, 'trust-anchor'),
        profile: parseArn(anywhereProfile, 'profile'),
        role: parseArn(role, 'role'),
        region: 'eu-central-1',
        endpoint: new URL('https://aws.test/'),
        durationSeconds: 3_600,
        sessionName: undefined,
        ca: undefined,
      }),
      // The AWS SDK does real file IO, which no fake clock waits for: here its part is a plain form post.
      reports: async (signal) => {
        const token = await jwt.source.fetch(['aws'], signal)
        await permit(signal)
        const form = new URLSearchParams({
          Action: 'AssumeRoleWithWebIdentity',
          Version: '2011-06-15',
          RoleArn: role,
          RoleSessionName: 'simulated',
          WebIdentityToken: token.compact.reveal(),
          DurationSeconds: '3600',
        })
        const reply = await aws.call('reports')(
          {
            url: new URL('https://aws.test/'),
            method: 'POST',
            headers: { 'content-type': 'application/x-www-form-urlencoded', host: 'aws.test' },
            body: form.toString(),
          },
          signal,
        )
        const text = reply.body.toString()
        if (reply.status !== 200) throw failure(reply.status >= 500 ? 'aws_unavailable' : reply.status === 429 ? 'throttled' : 'access_denied', text)
        const field = (name: string) => new RegExp(`<${name}>([^<]+)<`).exec(text)?.[1]
        return acceptCredentials(
          {
            accessKeyId: field('AccessKeyId'),
            secretAccessKey: field('SecretAccessKey'),
            sessionToken: field('SessionToken'),
            expiration: field('Expiration'),
          },
          role,
          reply,
        )
      },
    }
    const stores = Object.entries(exchanges).map(([profile, exchange]) => createStore({ profile, method: 'rolesanywhere', exchange, clock, random, emit }))
    const views = stores.map(
      (store, index): ProfileView => ({
        name: Object.keys(exchanges)[index] ?? '',
        roleArn: role,
        roleName: 'web',
        region: 'eu-central-1',
        state: store.state,
      }),
    )
    const token = 'x'.repeat(43)
    const handler = createContainerHandler({
      hosts: hostRule('127.0.0.1', []),
      consumers: [{ name: 'c', tokens: [{ bytes: Buffer.from(token), until: Number.POSITIVE_INFINITY }], profiles: views }],
      profiles: new Set(views.map(({ name }) => name)),
      clock,
      emit,
    })

    // The bad days. Until when each kind of trouble lasts, by the boot clock.
    let outageUntil = 0
    let agentBack = 0
    let troubledUntil = clock.boot() + minute
    aws.trouble = () => {
      const kinds: Trouble[] = ['server', 'throttled', 'network', 'hang', 'empty']
      if (clock.boot() < outageUntil) return kinds[Math.floor(random() * kinds.length)]
      return random() < 0.05 ? ([...kinds, 'denied'] as const)[Math.floor(random() * 6)] : undefined
    }
    const rotation: Task = async (signal) => {
      for (;;) {
        await clock.sleep((28 + random() * 4) * minute, signal)
        if (agent.up) await agent.rotate()
      }
    }
    const running = [x509.run, jwt.run, ...stores.map((store) => store.run), rotation].map(start)

    let served = 0
    let refused = 0
    async function request(profile: string): Promise<void> {
      const answer = await handler({
        method: 'GET',
        path: `/v1/credentials/${profile}`,
        query: '',
        headers: { host: '127.0.0.1:9912', authorization: token },
        hasBody: false,
      })
      const now = truth.now()
      const valid = [...issued.values()].filter((one) => one.profile === profile && one.expiration > now + 2_000)
      if (answer.status === 200) {
        served++
        const document = JSON.parse(String(answer.body)) as Record<string, string>
        for (const field of ['AccessKeyId', 'SecretAccessKey', 'Token', 'Expiration']) assert.ok(document[field], `${field} is never empty`)
        const left = Date.parse(document['Expiration'] ?? '') - now
        assert.ok(left > 0, `expired for ${-left} ms and served as good`)
        assert.equal(issued.get(document['AccessKeyId'] ?? '')?.profile, profile)
        assert.equal(Math.max(...valid.map((one) => one.expiration)), Date.parse(document['Expiration'] ?? ''), 'the newest of those that are good')
        if (clock.boot() > troubledUntil + 30 * minute) assert.ok(left >= 25 * minute, `only ${left / minute} min left on an ordinary day`)
      } else {
        refused++
        assert.equal(answer.status, 503)
        assert.deepEqual(valid, [], 'refused although there was something good')
      }
    }

    const end = clock.boot() + hours * 3_600_000
    while (clock.boot() < end) {
      const dice = random()
      const now = clock.boot()
      if (dice < 0.000_6) {
        outageUntil = now + (5 + random() * 80) * minute
        troubledUntil = Math.max(troubledUntil, outageUntil)
      } else if (dice < 0.001_6) {
        agent.up = false
        agent.drop()
        agentBack = now + random() * 12 * minute
        troubledUntil = Math.max(troubledUntil, agentBack)
      } else if (dice < 0.001_8) {
        clock.suspend(random() * 180 * minute)
        troubledUntil = Math.max(troubledUntil, clock.boot())
        await request('app') // before any timer has run
      } else if (dice < 0.002_6) clock.stepWall((random() - 0.5) * 7_200_000)
      else if (dice < 0.004) for (const view of views) void stores[views.indexOf(view)]?.refresh(new AbortController().signal)
      if (!agent.up && now >= agentBack) {
        agent.up = true
        await agent.rotate()
      }
      await clock.advance(everyMs)
      await request(random() < 0.5 ? 'app' : 'reports')
    }
    for (const one of running.reverse()) await one.stop()

    assert.equal(aws.overlaps, 0, 'never two calls in flight for one profile')
    const times = aws.calls.map(({ at }) => at)
    for (const [index, at] of times.entries()) assert.ok((times[index + 5] ?? Number.POSITIVE_INFINITY) - at >= 1_000 - 1, 'five exchanges a second at most')
    assert.ok(served > 2_000, `${served} answers with credentials, ${refused} without`)
    assert.ok(aws.calls.length < 1_500, `${aws.calls.length} calls in ${hours} hours`)
    assert.ok(
      events.some((event) => event.type === 'exchange.failed'),
      'there were bad days',
    )
    assert.equal(clock.sleeping, 0, 'nothing is left behind')
  })
}
