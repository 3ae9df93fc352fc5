// The AWS SDK for JavaScript gets its credentials from svidecar by environment variables alone, and AWS verifies what
// it signs with them.
import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
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
  openHouse,
  type Profile,
  profileNames,
  profiles,
  startClient,
  worldOf,
} from './support.ts'

const program = [process.execPath, fileURLToPath(new URL('client.ts', import.meta.url))]
const startJavaScript = (environment: Environment): Client => startClient(program, environment)

const roleNames = { app: 'web', web: 'web-identity' } as const

describe('the AWS SDK for JavaScript', { concurrency: true }, () => {
  describe('through good times and bad', { concurrency: 1 }, () => {
    // The clients live in real time. The daemon and AWS live in a time that this test moves, by few enough minutes for
    // a signature to be taken (15) and for the SDK not to doubt its clock (5).
    const clock = createFakeClock(Math.floor(Date.now() / 1000) * 1000)
    let house: House
    let every: { endpoint: Endpoint; profile: Profile; client: Client }[]
    before(async () => {
      // The SDK asks again for each call, since it renews whatever has less than five minutes left.
      house = await openHouse(worldOf(100, clock), clock)
      every = endpoints.flatMap((endpoint) =>
        profileNames.map((profile) => ({ endpoint, profile, client: startJavaScript(house.environment(endpoint, profile)) })),
      )
      for (const profile of profileNames) await eventually('credentials', () => fresh(profile))
    })
    after(async () => {
      for (const { client } of every) await client.end()
      await house.stop()
    })

    const fresh = (profile: Profile) => house.events.findLast((event) => event.type === 'credentials.fresh' && event.profile === profile)
    const held = (profile: Profile) => {
      const event = fresh(profile)
      assert.ok(event?.type === 'credentials.fresh')
      return event
    }
    const advanceTo = (boot: number) => clock.advance(Math.max(0, boot - clock.boot()))

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
        const outcome = await client.call('altered secret')
        assert.equal(outcome.error, 'SignatureDoesNotMatch', JSON.stringify(outcome))
      }),
    )

    it('never fails a call while credentials are renewed', { concurrency: true }, (t) =>
      inEveryWay(t, async (one) => {
        const old = held(one.profile)
        assert.equal(await sign(one), old.accessKeyId)
        await advanceTo(old.refreshAt)
        await eventually('a call with new credentials', async () => (await sign(one)) !== old.accessKeyId)
      }),
    )

    it('has the last good credentials to their end while AWS issues none, then 503', { concurrency: true }, async (t) => {
      await house.world.aws.closeIssuing()
      const last = new Map<object, Answer>()
      for (const one of every) last.set(one, await house.read(one.endpoint, one.profile))
      const told = house.events.length
      await advanceTo(Math.max(...profileNames.map((profile) => held(profile).refreshAt)))
      for (const profile of profileNames)
        await eventually('an exchange that fails', () =>
          house.events.slice(told).some((event) => event.type === 'exchange.failed' && event.profile === profile),
        )

      const deadlines = profileNames.map((profile) => held(profile).deadline)
      await advanceTo(Math.min(...deadlines) - 1)
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

      await advanceTo(Math.max(...deadlines))
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
          if (fresh(profile) !== old.get(profile)) return true
          const failed = house.events.findLast((event) => event.type === 'exchange.failed' && event.profile === profile)
          // No further than to the next attempt: one that is under way must not see its time run out.
          if (failed?.type === 'exchange.failed') await advanceTo(failed.at + failed.retryInSeconds * 1000)
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
