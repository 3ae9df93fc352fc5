// Each trap of an SDK at an endpoint: that the SDK would fall into it, and that it does not with svidecar.
import assert from 'node:assert/strict'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Environment, Outcome } from '../sdk/support.ts'
import { eventually } from '../support/eventually.ts'
import { startProgram } from './cell.ts'
import { type Sdk, type SdkName, sdks } from './clients.ts'
import { type House, openHouse } from './house.ts'
import { imdsOf, record, type Stand, standIn } from './servers.ts'
import type { SurfaceName } from './surfaces.ts'
import { findTools } from './tools.ts'

const names = Object.keys(sdks) as SdkName[]

describe('traps', { concurrency: 1 }, () => {
  const tools = findTools()
  let house: House
  let cold: House
  const stopping: (() => Promise<unknown>)[] = []
  before(async () => {
    house = await openHouse({ sessionSeconds: 3600 })
    stopping.push(house.stop)
    cold = await openHouse({ sessionSeconds: 3600, silent: true })
    stopping.push(cold.stop)
  })
  after(async () => {
    for (const stop of stopping.reverse()) await stop()
  })

  const standing = async (stand: Promise<Stand>) => {
    const { url, heads, stop } = await stand
    stopping.push(stop)
    return { url, heads }
  }
  /** The first call of a new program. */
  const call = async (name: SdkName, surface: SurfaceName, change: Environment = {}, at = house): Promise<Outcome> => {
    const sdk: Sdk = sdks[name]
    const program = startProgram(sdk, tools, { ...(await at.environment(surface, `${name}-${surface}`)), ...change })
    const outcome = await program.call<Outcome>('identity').catch((error: Error) => ({ error: error.name, message: error.message }))
    await program.end()
    return outcome
  }
  const good = (outcome: Outcome, what = '') => assert.match(outcome.arn ?? '', /:assumed-role\/web\//, `${what} ${JSON.stringify(outcome)}`)
  const heard = (at: House) => at.world.aws.requests.filter(({ listener }) => listener === 'checking').length
  const served = async () => await house.svidecar('credential-process')
  const imdsDocument = async () => {
    const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = JSON.parse(await served()) as Record<string, string>
    return JSON.stringify({ Code: 'Success', Type: 'AWS-HMAC', LastUpdated: Expiration, AccessKeyId, SecretAccessKey, Token: SessionToken, Expiration })
  }

  it('CRT takes any text of the role list for the name of a role: errors of svidecar have no text', async () => {
    const { url, heads } = await standing(
      standIn(({ method }, response) => void (method === 'PUT' ? response.end('token') : response.writeHead(500).end('boom'))),
    )
    await call('crt', 'imds', { AWS_EC2_METADATA_SERVICE_ENDPOINT: url })
    assert.ok(heads.some((head) => head.includes('/security-credentials/boom')))
    const get = (path: string, token: string) =>
      fetch(`${cold.place.imdsUrl}/latest/meta-data/iam/security-credentials/${path}`, { headers: { 'x-aws-ec2-metadata-token': token } })
    const token = await (
      await fetch(`${cold.place.imdsUrl}/latest/api/token`, { method: 'PUT', headers: { 'x-aws-ec2-metadata-token-ttl-seconds': '60' } })
    ).text()
    for (const reply of [await get('', 'wrong'), await get('web', token), await get('boom', token)]) {
      assert.ok(reply.status >= 400)
      assert.equal(await reply.text(), '')
    }
    const { url: recorded, heads: asked } = await standing(record(cold.place.imdsUrl))
    const before = heard(cold)
    assert.ok((await call('crt', 'imds', { AWS_EC2_METADATA_SERVICE_ENDPOINT: recorded }, cold)).error)
    for (const path of asked.map((head) => head.split(' ')[1] ?? ''))
      assert.match(path, /^\/latest\/(api\/token|meta-data\/iam\/security-credentials\/(web)?)$/)
    assert.equal(heard(cold), before)
  })

  it('CRT sends a Host without the port: svidecar knows itself by both', async () => {
    const { url, heads } = await standing(record(house.place.imdsUrl))
    good(await call('crt', 'imds', { AWS_EC2_METADATA_SERVICE_ENDPOINT: url }))
    assert.ok(heads.length > 0)
    for (const head of heads) assert.match(head, /^host: 127\.0\.0\.1\r$/im)
  })

  it('JavaScript v2 joins an endpoint that ends in a slash to //latest: svidecar takes that', async () => {
    const { url, heads } = await standing(record(house.place.imdsUrl))
    good(await call('javascript2', 'imds', { AWS_EC2_METADATA_SERVICE_ENDPOINT: `${url}/` }))
    assert.match(heads[0] ?? '', /^PUT \/\/latest\/api\/token /)
    for (const name of names) good(await call(name, 'imds', { AWS_EC2_METADATA_SERVICE_ENDPOINT: `${url}/` }), name)
  })

  it('JavaScript v3 asks without any token when the token file ends in a newline: that of svidecar does not, and its log would say so', async () => {
    const token = await readFile(house.place.tokenFile, 'utf8')
    assert.match(token, /^[\w-]+$/)
    const { url, heads } = await standing(record(house.place.containerUrl))
    const change = {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(house.place.folder, 'copy.token'),
    }
    await copyFile(house.place.tokenFile, change.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)
    good(await call('javascript3', 'container', change))
    assert.match(heads.splice(0).join(), /^authorization: /im)
    await writeFile(change.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, `${token}\n`)
    assert.ok((await call('javascript3', 'container', change)).error)
    assert.ok(heads.length > 0)
    assert.doesNotMatch(heads.join(), /^authorization: /im)
    assert.match(house.log(), /no Authorization header: the token file is unreadable or ends in a newline/)
    for (const name of ['boto3', 'crt', 'go', 'javascript2', 'cli'] as const) assert.ok((await call(name, 'container', change)).error, name)
  })

  it('Go and JavaScript v3 sign with empty keys when a 200 brings such: svidecar answers 503 while it has none', async () => {
    const empty = JSON.stringify({ Code: 'Success', AccessKeyId: '', SecretAccessKey: '', Token: '', Expiration: '2099-01-01T00:00:00Z' })
    const { url } = await standing(standIn((_request, response) => void response.end(empty)))
    for (const name of ['go', 'javascript3'] as const) {
      const before = heard(house)
      const outcome = await call(name, 'container', { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/` })
      assert.equal(outcome.error, 'IncompleteSignature')
      assert.equal(heard(house), before + 1)
    }
    for (const surface of ['container', 'imds', 'process', 'curl'] as const)
      for (const { arn, message = '' } of await Promise.all([call('go', surface, {}, cold), call('javascript3', surface, {}, cold)])) {
        assert.equal(arn, undefined)
        assert.match(message, /failed to refresh cached credentials|Could not load credentials/)
      }
    assert.equal(heard(cold), 0, 'nothing is signed')
    const authorization = await readFile(cold.place.tokenFile, 'utf8')
    assert.equal((await fetch(cold.place.containerUrl, { headers: { authorization } })).status, 503)
  })

  it('an answer that takes as long as a renewal is too late at IMDS: svidecar answers from memory while AWS hangs', async () => {
    const document = await imdsDocument()
    const slow = async (delayMs: number) => (await standing(standIn(imdsOf(() => document, { delayMs })))).url
    const endpoint = async (delayMs: number) => ({ AWS_EC2_METADATA_SERVICE_ENDPOINT: await slow(delayMs) })
    assert.match((await call('go', 'imds', await endpoint(800))).message ?? '', /timeout awaiting response headers/)
    await Promise.all(names.map(async (name) => assert.ok((await call(name, 'imds', await endpoint(1500))).error, name)))
    house.world.aws.setFault('hang')
    const refresh = house.svidecar('refresh').catch(() => {})
    await eventually('a renewal that hangs', () => house.world.aws.inFlight > 0)
    for (const surface of ['imds', 'container'] as const) await Promise.all(names.map(async (name) => good(await call(name, surface), `${name} ${surface}`)))
    assert.ok(house.world.aws.inFlight > 0, 'all the time')
    house.world.aws.setFault(undefined)
    await house.world.aws.closeIssuing()
    await house.world.aws.openIssuing()
    await refresh
  })

  it('boto3 and the AWS CLI take an empty AWS_CONTAINER_CREDENTIALS_RELATIVE_URI for set and ask 169.254.170.2: svidecar exec takes it away', async () => {
    const change = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '' }
    for (const name of names) {
      const outcome = await call(name, 'container', change)
      if (name === 'boto3' || name === 'cli') assert.ok(outcome.error)
      else good(outcome, name)
    }
    const told = [process.execPath, '-p', "'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI' in process.env"]
    assert.equal((await house.exec(told, change)).trim(), 'false')
  })

  it('boto3 and the AWS CLI ask IMDS through a proxy for http, which svidecar refuses: NO_PROXY has to name 127.0.0.1', async () => {
    const proxy = await standing(
      standIn((request, response) => {
        const { method, url = '', headers } = request
        const passed = httpRequest(
          url,
          { method, headers: { ...headers, via: '1.1 proxy' } },
          (reply) => void reply.pipe(response.writeHead(reply.statusCode ?? 502, reply.headers)),
        )
        request.pipe(passed)
      }),
    )
    const proxied = { HTTP_PROXY: proxy.url, http_proxy: proxy.url }
    const direct = { ...proxied, NO_PROXY: '127.0.0.1', no_proxy: '127.0.0.1' }
    const credentialsAsked = () => proxy.heads.splice(0).filter((head) => !head.startsWith('POST ')).length
    for (const surface of ['imds', 'container'] as const)
      for (const name of names) {
        const trapped = surface === 'imds' && (name === 'boto3' || name === 'cli')
        const outcome = await call(name, surface, proxied)
        if (trapped) assert.ok(outcome.error)
        else good(outcome, `${name} ${surface}`)
        assert.equal(credentialsAsked() > 0, trapped, `${name} ${surface}`)
        good(await call(name, surface, direct), `${name} ${surface}`)
        assert.deepEqual(proxy.heads, [])
      }
    assert.match(house.log(), /the request came through a proxy/)
  })
})
