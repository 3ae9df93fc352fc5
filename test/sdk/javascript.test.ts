// The AWS SDK for JavaScript gets its credentials from svidecar by environment variables alone, and AWS verifies what
// it signs with them.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually } from '../support/eventually.ts'
import {
  type Answer,
  type Client,
  type Endpoint,
  type Environment,
  endpoints,
  type House,
  openHouse,
  profiles,
  shortLived,
  signers,
  startClient,
} from './support.ts'

const program = [process.execPath, fileURLToPath(new URL('client.ts', import.meta.url))]
const startJavaScript = (environment: Environment): Client => startClient(program, environment)

const roleNames = { app: 'web', web: 'web-identity' } as const
// Renewed every 1.5 s, since the second that AWS's Date may have cut off does not count.
const sessionSeconds = 4

interface Document {
  AccessKeyId: string
  Expiration: string
}
const parse = (answer: Answer) => JSON.parse(answer.body) as Document

describe('the AWS SDK for JavaScript', { concurrency: true }, () => {
  for (const endpoint of endpoints)
    for (const profile of ['app', 'web'] as const)
      describe(`at the ${endpoint} endpoint, by ${profiles[profile]}`, { concurrency: 1 }, () => {
        let house: House
        let client: Client
        before(async () => {
          house = await openHouse(shortLived(sessionSeconds))
          client = startJavaScript(house.environment(endpoint, profile))
          await eventually('credentials', async () => (await house.read(endpoint, profile)).status === 200)
        })
        after(async () => {
          await client.end()
          await house.stop()
        })

        it('makes a call that AWS verifies', async () => {
          const { arn, ...problem } = await client.call('identity')
          assert.deepEqual(problem, {})
          assert.match(arn ?? '', new RegExp(`^arn:aws:sts::123456789012:assumed-role/${roleNames[profile]}/.`))
        })

        it('is refused by AWS when one character of the secret is another', async () => {
          const outcome = await client.call('altered secret')
          assert.equal(outcome.error, 'SignatureDoesNotMatch', JSON.stringify(outcome))
        })

        it('never fails a call while credentials are renewed', async () => {
          const used = new Set<string>()
          await eventually('calls with two sets of credentials', async () => {
            assert.equal((await client.call('identity')).error, undefined)
            return used.add(signers(house.world.aws).at(-1) ?? '').size >= 2
          })
        })

        it('has the last good credentials to their end while AWS issues nothing, then 503', async () => {
          const { aws } = house.world
          await aws.closeIssuing()
          const failures = () =>
            house.events.filter((event) => event.type === 'exchange.failed' && event.profile === profile).length
          const before = failures()
          await eventually('an exchange that fails', () => failures() > before)

          const last = await house.read(endpoint, profile)
          assert.equal(last.status, 200)
          const { AccessKeyId, Expiration } = parse(last)
          assert.equal((await client.call('identity')).error, undefined)
          assert.equal(signers(aws).at(-1), AccessKeyId)

          const expiration = Date.parse(Expiration)
          const answers: Answer[] = []
          await eventually('the end of the credentials, and a while', async () => {
            answers.push(await house.read(endpoint, profile))
            return Date.now() > expiration + 300
          })
          const good = answers.filter(({ status }) => status === 200)
          const none = answers.slice(good.length)
          assert.ok(good.length > 0 && none.length > 0)
          for (const answer of good) {
            assert.equal(answer.body, last.body)
            assert.ok(answer.at < expiration + 100, 'served after their expiration')
          }
          for (const answer of none) assert.equal(answer.status, 503, answer.body)
          // A second less: Date has whole seconds.
          assert.ok((none[0]?.at ?? 0) > expiration - 1100, 'gone before their expiration')
        })

        it('works again when AWS is back', async () => {
          await house.world.aws.openIssuing()
          await eventually('credentials', async () => (await house.read(endpoint, profile)).status === 200)
          const before = new Set(signers(house.world.aws))
          assert.equal((await client.call('identity')).error, undefined)
          assert.ok(!before.has(signers(house.world.aws).at(-1) ?? ''), 'signed with new credentials')
        })
      })

  describe('before there are credentials', { concurrency: true }, () => {
    let house: House
    before(async () => {
      house = await openHouse(async (directory) => {
        const world = await shortLived(sessionSeconds)(directory)
        await world.aws.closeIssuing()
        return world
      })
    })
    after(() => house.stop())

    const startAll = (endpoint: Endpoint) =>
      Promise.all(
        (['app', 'web'] as const).map(async (profile) => {
          const client = startJavaScript(house.environment(endpoint, profile))
          const outcome = await client.call('identity')
          await client.end()
          return outcome
        }),
      )

    it('finds none at an IMDS endpoint, and calls nobody, then succeeds at a container endpoint by trying again', async () => {
      for (const { error, message } of await startAll('IMDS')) assert.equal(error, 'CredentialsProviderError', message)
      assert.deepEqual(signers(house.world.aws, false), [])

      const calls = startAll('container')
      const refusals = () => house.events.filter((event) => event.type === 'served' && event.endpoint === 'container')
      await eventually('an answer for each client', () => refusals().length >= 2)
      for (const event of refusals()) assert.partialDeepStrictEqual(event, { status: 503 })
      await house.world.aws.openIssuing()
      for (const { error, message } of await calls) assert.equal(error, undefined, message)
    })
  })

  describe("with another consumer's token", () => {
    let house: House
    before(async () => {
      house = await openHouse(shortLived(60))
    })
    after(() => house.stop())

    it('gets nothing', async () => {
      const own = house.environment('container', 'app')
      const url = `${own['AWS_CONTAINER_CREDENTIALS_FULL_URI']}/web`
      const client = startJavaScript({ ...own, AWS_CONTAINER_CREDENTIALS_FULL_URI: url })
      const { error, message } = await client.call('identity')
      await client.end()
      assert.equal(error, 'CredentialsProviderError', message)
      const served = house.events.filter((event) => event.type === 'served')
      assert.ok(served.length > 0)
      for (const { status } of served) assert.ok(status === 403 || status === 401, `answered ${status}`)
      assert.deepEqual(signers(house.world.aws, false), [])
    })
  })
})
