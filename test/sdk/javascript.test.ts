// The AWS SDK for JavaScript gets its credentials from svidecar by environment variables alone, and AWS verifies what
// it signs with them.
import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import type { EventOf } from '../../src/core/events.ts'
import { eventually } from '../support/eventually.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import {
  type Answer,
  asked,
  type Client,
  type Endpoint,
  type Environment,
  endpoints,
  type House,
  javaScript,
  openHouse,
  type Profile,
  profileNames,
  profiles,
  startClient,
  type Told,
  worldOf,
} from './support.ts'

const startJavaScript = (environment: Environment): Client => startClient(javaScript, environment)

const roleNames = { app: 'web', web: 'web-identity' } as const

describe('the AWS SDK for JavaScript', { concurrency: true }, () => {
  describe('through good times and bad', { concurrency: 1 }, () => {
    // Sessions of an hour, as in life: AWS, the daemon and the clients live in a time that this test moves.
    const clock = createFakeClock(Math.floor(Date.now() / 1000) * 1000)
    let house: House
    let every: { endpoint: Endpoint; profile: Profile; client: Client }[]
    const running: (() => Promise<unknown>)[] = []
    before(async () => {
      house = await openHouse(worldOf(3600, clock), clock)
      running.push(house.stop)
      every = endpoints.flatMap((endpoint) =>
        profileNames.map((profile) => ({ endpoint, profile, client: startJavaScript(house.environment(endpoint, profile)) })),
      )
      running.push(...every.map(({ client }) => client.end))
      await goTo(clock.boot())
      for (const profile of profileNames) await eventually('credentials', () => newest('credentials.fresh', profile))
    })
    after(async () => {
      for (const stop of running.reverse()) await stop()
    })

    const newest = <T extends 'credentials.fresh' | 'exchange.failed'>(type: T, profile: Profile) =>
      house.events.findLast((event) => event.type === type && event.profile === profile) as Told<EventOf<T>> | undefined
    const held = (profile: Profile) => {
      const fresh = newest('credentials.fresh', profile)
      assert.ok(fresh)
      return fresh
    }
    /** To an instant of the boot clock, unless it has passed. */
    async function goTo(boot: number): Promise<void> {
      await clock.advance(Math.max(0, boot - clock.boot()))
      for (const { client } of every) await client.call(`time ${clock.now()}`)
    }
    /** The same, with time for the exchanges on the way. */
    async function liveTo(boot: number): Promise<void> {
      for (;;) {
        const [next] = profileNames.map(held).toSorted((a, b) => a.refreshAt - b.refreshAt)
        if (next === undefined || next.refreshAt > boot) return goTo(boot)
        await goTo(next.refreshAt)
        for (const profile of profileNames) await eventually('a renewal', () => held(profile).refreshAt > clock.boot() && held(profile))
      }
    }

    /** Both endpoints with both kinds of profile, at the same time. */
    const inEveryWay = async (t: TestContext, check: (one: (typeof every)[number]) => Promise<void>) => {
      await Promise.all(every.map((one) => t.test(`at the ${one.endpoint} endpoint, by ${profiles[one.profile]}`, () => check(one))))
    }

    /** One call, which AWS must take; tells with which key it was signed. */
    const sign = async ({ endpoint, profile, client }: (typeof every)[number]) => {
      const { arn, ...problem } = await client.call('identity')
      assert.deepEqual(problem, {})
      assert.match(arn ?? '', new RegExp(`^arn:aws:sts::123456789012:assumed-role/${roleNames[profile]}/.`))
      const last = asked(house.world.aws, endpoint, profile).at(-1)
      assert.ok(last?.verified)
      return last.accessKeyId
    }

    it('makes calls that AWS verifies', { concurrency: true }, (t) =>
      inEveryWay(t, async (one) => assert.equal(await sign(one), held(one.profile).accessKeyId)),
    )

    it('is refused by AWS when one character of the secret is another', { concurrency: true }, (t) =>
      inEveryWay(t, async ({ client }) => {
        const outcome = await client.call('altered')
        assert.equal(outcome.error, 'SignatureDoesNotMatch', JSON.stringify(outcome))
      }),
    )

    it('makes every call of two hours, in which credentials are renewed', { concurrency: true }, async (t) => {
      const used = new Map(every.map((one) => [one, new Set<unknown>()]))
      // The SDK renews while it goes on with what it has, from five minutes before the end: time enough for three calls.
      for (const end = clock.boot() + 2 * 3_600_000; clock.boot() < end; await liveTo(clock.boot() + 100_000))
        await Promise.all(every.map(async (one) => used.get(one)?.add(await sign(one))))
      await inEveryWay(t, async (one) => assert.ok((used.get(one)?.size ?? 0) > 1, `${used.get(one)?.size} keys`))
    })

    it('has the last good credentials to their end while AWS issues none, then 503', { concurrency: true }, async (t) => {
      await house.world.aws.closeIssuing()
      const last = new Map<object, Answer>()
      for (const one of every) last.set(one, await house.read(one.endpoint, one.profile))
      const told = house.events.length
      await goTo(Math.max(...profileNames.map((profile) => held(profile).refreshAt)))
      for (const profile of profileNames)
        await eventually('an exchange that fails', () =>
          house.events.slice(told).some((event) => event.type === 'exchange.failed' && event.profile === profile),
        )

      const deadlines = profileNames.map((profile) => held(profile).deadline)
      await goTo(Math.min(...deadlines) - 1)
      await t.test('to their end', { concurrency: true }, (during) =>
        inEveryWay(during, async (one) => {
          const answer = await house.read(one.endpoint, one.profile)
          assert.equal(answer.status, 200)
          assert.deepEqual(answer, last.get(one))
          // Date has whole seconds: up to one of the life is given up for it.
          const left = Date.parse((JSON.parse(answer.body) as { Expiration: string }).Expiration) - clock.now()
          assert.ok(left > 0 && left <= 1001, `${left} ms before their expiration`)
          assert.equal(await sign(one), held(one.profile).accessKeyId)
        }),
      )

      await goTo(Math.max(...deadlines))
      await t.test('not longer', { concurrency: true }, (later) =>
        inEveryWay(later, async (one) => {
          const { status, body } = await house.read(one.endpoint, one.profile)
          assert.equal(status, 503)
          assert.doesNotMatch(body, /AccessKeyId|ASIA/)
        }),
      )
    })

    it('works again when AWS is back', { concurrency: true }, async (t) => {
      const old = new Map(profileNames.map((profile) => [profile, held(profile)]))
      await house.world.aws.openIssuing()
      for (const profile of profileNames)
        await eventually('new credentials', async () => {
          if (held(profile) !== old.get(profile)) return true
          // No further than to the next attempt: one that is under way must not see its time run out.
          const failed = newest('exchange.failed', profile)
          if (failed) await goTo(failed.at + failed.retryInSeconds * 1000)
          return false
        })
      await inEveryWay(t, async (one) => assert.equal(await sign(one), held(one.profile).accessKeyId))
    })
  })

  const firstCall = async (environment: Environment) => {
    const client = startJavaScript(environment)
    const outcome = await client.call('identity')
    await client.end()
    return outcome
  }
  const silent = async (directory: string) => {
    const world = await worldOf(900)(directory)
    await world.aws.closeIssuing()
    return world
  }
  const served = ({ events }: House) => events.filter((event) => event.type === 'served')
  const checked = ({ world }: House) => world.aws.requests.filter(({ listener }) => listener === 'checking')

  it('has no credentials and calls nobody when it asks an IMDS endpoint before there are any', async (t) => {
    const house = await openHouse(silent)
    t.after(() => house.stop())
    const { error, message } = await firstCall(house.environment('IMDS', 'app'))
    assert.equal(error, 'CredentialsProviderError', message)
    assert.deepEqual(checked(house), [])
  })

  it('succeeds by a further try of its own when it asks a container endpoint before there are any', async (t) => {
    const house = await openHouse(silent)
    t.after(() => house.stop())
    const call = firstCall(house.environment('container', 'app'))
    await eventually('an answer', () => served(house).length > 0)
    for (const { status } of served(house)) assert.equal(status, 503)
    await house.world.aws.openIssuing()
    const { error, message } = await call
    assert.equal(error, undefined, message)
  })

  it('gets nothing from a container endpoint with the token of another consumer', async (t) => {
    const house = await openHouse(worldOf(900))
    t.after(() => house.stop())
    const { AWS_CONTAINER_CREDENTIALS_FULL_URI: url } = house.environment('container', 'app')
    const { error, message } = await firstCall({ ...house.environment('container', 'web'), AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/app` })
    assert.equal(error, 'CredentialsProviderError', message)
    assert.ok(served(house).length > 0)
    // 401: after its own tries the SDK asks once more, without any token.
    for (const { status } of served(house)) assert.ok(status === 403 || status === 401, `answered ${status}`)
    assert.deepEqual(checked(house), [])
  })
})
