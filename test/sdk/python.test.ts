// boto3, and the SDK for JavaScript beside it, use credentials of moto: an AWS of other people that verifies signature,
// session token and key of every call. Runs in .ci/run, since it needs Python.
import assert from 'node:assert/strict'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually } from '../support/eventually.ts'
import { type Moto, motoWorld, pythonFolder, startMoto } from './moto.ts'
import {
  type Client,
  type Endpoint,
  type Environment,
  endpoints,
  type House,
  javaScript,
  type Outcome,
  openHouse,
  type Profile,
  profileNames,
  profiles,
  runCommand,
  startClient,
} from './support.ts'

const roleNames = { app: 'web', web: 'web-identity' } as const

describe('credentials that moto verifies', { concurrency: 1 }, () => {
  let moto: Moto
  let house: House
  let boto3: readonly string[]
  /** The access key of each session that moto gave, by the session's name. */
  const issued = new Map<string, string>()
  let every: { endpoint: Endpoint; profile: Profile; python: Client; script: Client }[]
  const running: (() => Promise<unknown>)[] = []

  const environment = (endpoint: Endpoint, profile: Profile): Environment => ({
    ...house.environment(endpoint, profile),
    AWS_ENDPOINT_URL: moto.url,
    AWS_ENDPOINT_URL_STS: moto.url,
    // boto3 does not read AWS_REGION.
    AWS_DEFAULT_REGION: 'us-east-1',
  })

  before(async () => {
    const folder = pythonFolder()
    boto3 = [join(folder, 'bin/python'), fileURLToPath(new URL('python/client.py', import.meta.url))]
    moto = await startMoto(folder)
    running.push(moto.stop)
    house = await openHouse(motoWorld(moto, issued))
    running.push(house.stop)
    for (const profile of profileNames) await eventually('credentials', () => current(profile))
    every = endpoints.flatMap((endpoint) =>
      profileNames.map((profile) => ({
        endpoint,
        profile,
        python: startClient(boto3, environment(endpoint, profile)),
        script: startClient(javaScript, environment(endpoint, profile)),
      })),
    )
    running.push(...every.flatMap(({ python, script }) => [python.end, script.end]))
  })
  after(async () => {
    for (const stop of running.reverse()) await stop()
  })

  const current = (profile: Profile) => {
    const fresh = house.events.findLast((event) => event.type === 'credentials.fresh' && event.profile === profile)
    return fresh?.type === 'credentials.fresh' ? fresh.accessKeyId : undefined
  }
  const inEveryWay = async (t: TestContext, check: (one: (typeof every)[number]) => Promise<void>) => {
    await Promise.all(every.map((one) => t.test(`at the ${one.endpoint} endpoint, by ${profiles[one.profile]}`, () => check(one))))
  }
  /** Which key signed a call that moto took: the name of the session is in the answer. */
  const keyOf = ({ arn = '', ...problem }: Outcome, profile: Profile) => {
    assert.deepEqual(problem, {})
    const [, role, session] = /^arn:aws:sts::123456789012:assumed-role\/([^/]+)\/([^/]+)$/.exec(arn) ?? []
    assert.equal(role, roleNames[profile])
    return issued.get(session ?? '')
  }
  const refresh = (profile: Profile) => runCommand(['refresh', profile, '--runtime-dir', house.runtimeDirectory])
  const anew = async (command: readonly string[], endpoint: Endpoint, profile: Profile, change: Environment = {}) => {
    const client = startClient(command, { ...environment(endpoint, profile), ...change })
    const outcome = await client.call('identity')
    await client.end()
    return outcome
  }

  it('sign STS calls of boto3', { concurrency: true }, (t) =>
    inEveryWay(t, async ({ profile, python }) => assert.equal(keyOf(await python.call('identity'), profile), current(profile))),
  )

  it('sign STS calls of the SDK for JavaScript', { concurrency: true }, (t) =>
    inEveryWay(t, async ({ profile, script }) => assert.equal(keyOf(await script.call('identity'), profile), current(profile))),
  )

  it('let boto3 make a bucket, write to it and read from it', { concurrency: true }, (t) =>
    inEveryWay(t, async ({ endpoint, profile, python }) =>
      assert.deepEqual(await python.call(`s3 ${endpoint.toLowerCase()}-${profile}`), { body: 'written by boto3' }),
    ),
  )

  it('are refused when one character of the secret is another', { concurrency: true }, (t) =>
    inEveryWay(t, async ({ python, script }) => {
      for (const outcome of [await python.call('altered'), await python.call('altered s3'), await script.call('altered')])
        assert.equal(outcome.error, 'SignatureDoesNotMatch', JSON.stringify(outcome))
    }),
  )

  it('are renewed without a call that fails', { concurrency: true }, async (t) => {
    const old = new Map(profileNames.map((profile) => [profile, current(profile)]))
    for (const profile of profileNames) assert.deepEqual(await refresh(profile), { status: 0, output: `${profile}: renewed\n` })
    await inEveryWay(t, async ({ endpoint, profile, python, script }) => {
      assert.notEqual(current(profile), old.get(profile))
      // botocore asks a container endpoint at each use once less than 15 minutes are left, as they are from the start.
      // It gives what it has from IMDS a longer life, and JavaScript waits until 5 minutes are left.
      const after = keyOf(await python.call('identity'), profile)
      if (endpoint === 'container') assert.equal(after, current(profile))
      for (const client of [python, script]) keyOf(await client.call('identity'), profile)
      for (const command of [boto3, javaScript]) assert.equal(keyOf(await anew(command, endpoint, profile), profile), current(profile))
    })
  })

  it('stay in service while AWS issues none, and are renewed when it is back', { concurrency: true }, async (t) => {
    await house.world.aws.closeIssuing()
    const last = new Map(profileNames.map((profile) => [profile, current(profile)]))
    for (const profile of profileNames) {
      const { status, output } = await refresh(profile)
      assert.equal(status, 1)
      assert.match(output, new RegExp(`^${profile}: cannot reach 127\\.0\\.0\\.1:`))
    }
    await inEveryWay(t, async ({ endpoint, profile, python, script }) => {
      for (const client of [python, script]) keyOf(await client.call('identity'), profile)
      for (const command of [boto3, javaScript]) assert.equal(keyOf(await anew(command, endpoint, profile), profile), last.get(profile))
    })
    await house.world.aws.openIssuing()
    for (const profile of profileNames) {
      await eventually('a renewal', async () => (await refresh(profile)).status === 0)
      assert.notEqual(keyOf(await anew(boto3, 'container', profile), profile), last.get(profile))
    }
  })

  it('reach boto3 through a token file without a newline, with which botocore would refuse it', async () => {
    const { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file = '' } = environment('container', 'app')
    const token = await readFile(file, 'utf8')
    assert.match(token, /^[A-Za-z0-9_-]+$/)
    const copy = join(house.runtimeDirectory, '..', 'copy.token')
    const change = { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: copy }
    await copyFile(file, copy)
    keyOf(await anew(boto3, 'container', 'app', change), 'app')
    await writeFile(copy, `${token}\n`)
    const outcome = await anew(boto3, 'container', 'app', change)
    assert.equal(outcome.error, 'ValueError', JSON.stringify(outcome))
  })

  it('reach boto3 at an IMDS endpoint that is named with a slash at the end and without', async () => {
    const { AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint = '' } = environment('IMDS', 'app')
    for (const url of [endpoint, `${endpoint}/`]) keyOf(await anew(boto3, 'IMDS', 'app', { AWS_EC2_METADATA_SERVICE_ENDPOINT: url }), 'app')
  })
})
