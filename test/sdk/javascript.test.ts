// The AWS SDK for JavaScript gets its credentials from svidecar by environment variables alone, and AWS verifies what
// it signs with them.
import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { eventually } from '../support/eventually.ts'
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
  shortLived,
  startClient,
} from './support.ts'

const program = [process.execPath, fileURLToPath(new URL('client.ts', import.meta.url))]
const startJavaScript = (environment: Environment): Client => startClient(program, environment)

const roleNames = { app: 'web', web: 'web-identity' } as const

interface Document {
  AccessKeyId: string
  Expiration: string
}
const parse = (answer: Answer) => JSON.parse(answer.body) as Document

describe('the AWS SDK for JavaScript', { concurrency: true }, () => {
  describe('through good times and bad', { concurrency: 1 }, () => {
    let house: House
    let aws: House['world']['aws']
    let every: { endpoint: Endpoint; profile: Profile; client: Client }[]
    before(async () => {
      // Renewed every second, since the one that AWS's Date may have cut off does not count.
      house = await openHouse(shortLived(3))
      aws = house.world.aws
      every = endpoints.flatMap((endpoint) =>
        profileNames.map((profile) => ({
          endpoint,
          profile,
          client: startJavaScript(house.environment(endpoint, profile)),
        })),
      )
      for (const { endpoint, profile } of every)
        await eventually('credentials', async () => (await house.read(endpoint, profile)).status === 200)
    })
    after(async () => {
      for (const { client } of every) await client.end()
      await house.stop()
    })

    /** Both endpoints with both kinds of profile, at the same time. */
    const inEveryWay = async (t: TestContext, check: (one: (typeof every)[number]) => Promise<void>): Promise<void> => {
      await Promise.all(
        every.map((one) => t.test(`at the ${one.endpoint} endpoint, by ${profiles[one.profile]}`, () => check(one))),
      )
    }

    it('makes calls that AWS verifies', { concurrency: true }, (t) =>
      inEveryWay(t, async ({ profile, client }) => {
        const { arn, ...problem } = await client.call('identity')
        assert.deepEqual(problem, {})
        assert.match(arn ?? '', new RegExp(`^arn:aws:sts::123456789012:assumed-role/${roleNames[profile]}/.`))
      }),
    )

    it('is refused by AWS when one character of the secret is another', { concurrency: true }, (t) =>
      inEveryWay(t, async ({ client }) => {
        const outcome = await client.call('altered secret')
        assert.equal(outcome.error, 'SignatureDoesNotMatch', JSON.stringify(outcome))
      }),
    )

    it('never fails a call while credentials are renewed', { concurrency: true }, (t) =>
      inEveryWay(t, async ({ endpoint, profile, client }) => {
        const used = new Set<unknown>()
        await eventually('calls with two sets of credentials', async () => {
          assert.equal((await client.call('identity')).error, undefined)
          return used.add(asked(aws, endpoint, profile).at(-1)?.accessKeyId).size >= 2
        })
      }),
    )

    it('has the last good credentials to their end while AWS issues none, then 503', {
      concurrency: true,
    }, async (t) => {
      await aws.closeIssuing()
      await inEveryWay(t, async ({ endpoint, profile, client }) => {
        const told = house.events.length
        await eventually('an exchange that fails', () =>
          house.events.slice(told).some((event) => event.type === 'exchange.failed' && event.profile === profile),
        )
        const last = await house.read(endpoint, profile)
        assert.equal(last.status, 200)
        const { AccessKeyId, Expiration } = parse(last)
        assert.equal((await client.call('identity')).error, undefined)
        assert.deepEqual(asked(aws, endpoint, profile).at(-1), { verified: true, accessKeyId: AccessKeyId })

        const expiration = Date.parse(Expiration)
        const answers: Answer[] = []
        for (; Date.now() < expiration + 200; await delay(20)) answers.push(await house.read(endpoint, profile))
        const good = answers.filter(({ status }) => status === 200)
        const none = answers.slice(good.length)
        assert.ok(good.length > 0 && none.length > 0)
        for (const answer of good) {
          assert.equal(answer.body, last.body)
          assert.ok(answer.askedAt < expiration, 'served after their expiration')
        }
        for (const answer of none) assert.equal(answer.status, 503, answer.body)
        // A second less: Date has whole seconds.
        assert.ok((none[0]?.answeredAt ?? 0) > expiration - 1100, 'gone before their expiration')
      })
    })

    it('works again when AWS is back', { concurrency: true }, async (t) => {
      await aws.openIssuing()
      await inEveryWay(t, async ({ endpoint, profile, client }) => {
        await eventually('credentials', async () => (await house.read(endpoint, profile)).status === 200)
        const before = new Set(asked(aws, endpoint, profile).map(({ accessKeyId }) => accessKeyId))
        assert.equal((await client.call('identity')).error, undefined)
        assert.ok(!before.has(asked(aws, endpoint, profile).at(-1)?.accessKeyId), 'signed with new credentials')
      })
    })
  })

  /** The first call of a client for each profile. */
  const firstCalls = (house: House, endpoint: Endpoint, change: Environment = {}) =>
    Promise.all(
      profileNames.map(async (profile) => {
        const client = startJavaScript({ ...house.environment(endpoint, profile), ...change })
        const outcome = await client.call('identity')
        await client.end()
        return outcome
      }),
    )
  const silent = async (directory: string) => {
    const world = await shortLived(60)(directory)
    await world.aws.closeIssuing()
    return world
  }
  const served = ({ events }: House) => events.filter((event) => event.type === 'served')
  const checked = ({ world }: House) => world.aws.requests.filter(({ listener }) => listener === 'checking')

  it('has no credentials and calls nobody when it asks an IMDS endpoint before there are any', async (t) => {
    const house = await openHouse(silent)
    t.after(() => house.stop())
    for (const { error, message } of await firstCalls(house, 'IMDS'))
      assert.equal(error, 'CredentialsProviderError', message)
    assert.deepEqual(checked(house), [])
  })

  it('succeeds by a further try of its own when it asks a container endpoint before there are any', async (t) => {
    const house = await openHouse(silent)
    t.after(() => house.stop())
    const calls = firstCalls(house, 'container')
    await eventually('an answer for each client', () => served(house).length >= 2)
    for (const { status } of served(house)) assert.equal(status, 503)
    await house.world.aws.openIssuing()
    for (const { error, message } of await calls) assert.equal(error, undefined, message)
  })

  it('gets nothing from a container endpoint with the token of another consumer', async (t) => {
    const house = await openHouse(shortLived(60))
    t.after(() => house.stop())
    const { AWS_CONTAINER_CREDENTIALS_FULL_URI: url } = house.environment('container', 'app')
    const client = startJavaScript({
      ...house.environment('container', 'web'),
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/app`,
    })
    const { error, message } = await client.call('identity')
    await client.end()
    assert.equal(error, 'CredentialsProviderError', message)
    assert.ok(served(house).length > 0)
    // 401: after its own tries the SDK asks once more, without any token.
    for (const { status } of served(house)) assert.ok(status === 403 || status === 401, `answered ${status}`)
    assert.deepEqual(checked(house), [])
  })
})
