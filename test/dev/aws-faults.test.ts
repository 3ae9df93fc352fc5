// The dev AWS fails as it is told, and can be taken away.
import assert from 'node:assert/strict'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { type TestContext, test } from 'node:test'
import { AssumeRoleWithWebIdentityCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { type DevAws, startDevAws } from '../support/dev/aws.ts'
import { eventually } from '../support/eventually.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { post } from './create-session.ts'

async function setup(t: TestContext): Promise<{ aws: DevAws; clock: FakeClock }> {
  const clock = createFakeClock()
  const aws = await startDevAws({ clock, trustAnchors: [], profiles: [], oidcProviders: [], roles: [] })
  t.after(() => aws.stop())
  return { aws, clock }
}

const ask = (aws: DevAws, path = '/sessions') => post(new URL(aws.issuingUrl), path, 'POST', { 'content-type': 'application/json' }, '{}')

/** A request whose answer is looked at while it comes. */
function open(aws: DevAws): { reply: Promise<IncomingMessage>; abort: () => void } {
  const call = httpRequest(`${aws.issuingUrl}/sessions`, { method: 'POST', agent: false })
  const reply = new Promise<IncomingMessage>((resolve, reject) => {
    call.on('response', resolve)
    call.on('error', reject)
  })
  call.end('{}')
  return { reply, abort: () => call.destroy() }
}

test('answers without content, without JSON, or with an error in the protocol that was spoken', async (t) => {
  const { aws } = await setup(t)
  aws.setFault('empty-200')
  assert.deepEqual([(await ask(aws)).status, (await ask(aws)).text], [200, ''])
  aws.setFault('not-json-200')
  assert.throws(() => JSON.parse('<html>'))
  assert.match((await ask(aws)).text, /^<html>/)
  aws.setFault({ status: 429, code: 'ThrottlingException', message: 'Rate exceeded', headers: { 'retry-after': '7' } })
  const json = await ask(aws)
  assert.deepEqual(
    [json.status, json.headers['x-amzn-errortype'], json.headers['retry-after'], json.text],
    [429, 'ThrottlingException', '7', '{"message":"Rate exceeded"}'],
  )
  const xml = await ask(aws, '/')
  assert.match(xml.text, /<Code>ThrottlingException<\/Code><Message>Rate exceeded<\/Message>/)
  assert.match(aws.requests.at(-1)?.error ?? '', /^ThrottlingException: Rate exceeded$/)
  aws.setFault(undefined)
  assert.equal((await ask(aws)).status, 400) // no certificate: it verifies again
})

test('the SDK reads the error, and the checking listener does not share it', async (t) => {
  const { aws } = await setup(t)
  aws.setFault({ status: 400, code: 'IDPCommunicationError', message: 'An error occurred' })
  const credentials = { accessKeyId: 'a', secretAccessKey: 's', sessionToken: 't' }
  const client = (endpoint: string) => {
    const made = new STSClient({ endpoint, region: 'eu-west-1', credentials, maxAttempts: 1 })
    t.after(() => made.destroy())
    return made
  }
  const input = { RoleArn: 'arn:aws:iam::123456789012:role/web', RoleSessionName: 'web', WebIdentityToken: 'x.y.z' }
  const failed = client(aws.issuingUrl).send(new AssumeRoleWithWebIdentityCommand(input))
  await assert.rejects(failed, { name: 'IDPCommunicationErrorException' })
  const checked = client(aws.checkingUrl).send(new GetCallerIdentityCommand({}))
  await assert.rejects(checked, { name: 'InvalidClientTokenId' })
})

test('hangs, and tells who hangs', async (t) => {
  const { aws } = await setup(t)
  aws.setFault('hang')
  const calls = [open(aws), open(aws)]
  const ended = calls.map(({ reply }) => assert.rejects(reply))
  await eventually('both hang', () => aws.inFlight === 2)
  await eventually('both are recorded', () => aws.requests.length === 2)
  assert.ok(aws.requests.every(({ status }) => status === 0))
  calls[0]?.abort()
  await eventually('one hangs', () => aws.inFlight === 1)
  await aws.stop() // does not wait for the other
  await Promise.all(ended)
  await eventually('nobody is left', () => aws.inFlight === 0)
})

test('trickles a byte at a time and never ends', async (t) => {
  const { aws, clock } = await setup(t)
  aws.setFault('trickle')
  const { reply, abort } = open(aws)
  const message = await reply
  let length = 0
  message.on('data', (chunk: Buffer) => (length += chunk.length))
  message.on('error', () => {})
  await eventually('the first byte', () => length === 1)
  for (const expected of [2, 3]) {
    await clock.advance(100)
    await eventually('the next byte', () => length === expected)
  }
  assert.equal(message.complete, false)
  abort()
  await eventually('nobody is left', () => aws.inFlight === 0)
})

test('remembers a thousand requests', async (t) => {
  const { aws } = await setup(t)
  await ask(aws, '/first')
  for (let hundred = 0; hundred < 10; hundred++) await Promise.all(Array.from({ length: 100 }, () => ask(aws)))
  assert.equal(aws.requests.length, 1000)
  assert.ok(!aws.requests.some(({ url }) => url === '/first'))
})

test('can be taken away and come back on the same port, while the other listener stays', async (t) => {
  const { aws } = await setup(t)
  const before = aws.issuingUrl
  aws.setFault('hang')
  const cut = assert.rejects(ask(aws), { code: 'ECONNRESET' })
  await eventually('one hangs', () => aws.inFlight === 1)
  await aws.closeIssuing()
  await cut
  await assert.rejects(ask(aws), { code: 'ECONNREFUSED' })
  assert.equal((await post(new URL(aws.checkingUrl), '/', 'POST', {}, '')).status, 404)
  aws.setFault(undefined)
  await aws.openIssuing()
  assert.equal(aws.issuingUrl, before)
  assert.equal((await ask(aws)).status, 400)
})
