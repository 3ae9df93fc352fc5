// The agent that the demo starts: made of the same parts as the tests' one, with a renewal of its own.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { status } from '@grpc/grpc-js'
import { decodeJwt } from 'jose'
import { createFakeClock } from '../support/fake-clock.ts'
import { startAgent } from '../support/world/agent.ts'
import { createAuthority } from '../support/world/authority.ts'
import { agentOptions, authorityOptions, issuer, spiffeId } from '../support/world/world.ts'
import { type Message, plainClient, temporaryFolder } from './support.ts'

async function setup(t: TestContext) {
  const clock = createFakeClock()
  const directory = await temporaryFolder(t)
  const authority = await createAuthority(authorityOptions(clock))
  const options = agentOptions({ directory, clock, x509TtlSeconds: 60, jwtTtlSeconds: 50, sessionSeconds: 60 }, authority)
  const stop = await startAgent(options)
  t.after(stop)
  return { clock, options, stop, client: plainClient(t, `unix://${join(directory, 'agent.sock')}`) }
}

const svidOf = (message: Message = {}) => (message['svids'] as { spiffe_id: string; hint: string; x509_svid: Buffer; svid: string }[])[0]

test('serves its entry and renews it when about half of the life is left', async (t) => {
  const { clock, client } = await setup(t)
  const stream = client.stream('FetchX509SVID')
  const first = svidOf(await stream.next())
  assert.deepEqual([first?.spiffe_id, first?.hint], [spiffeId, 'web'])
  await clock.advance(28_500) // 35 s are half of the life with its cushion, and that may be 10 % more or less
  const second = svidOf(await stream.next())
  assert.notDeepEqual(second?.x509_svid, first?.x509_svid)
  const { subject, validToDate } = new X509Certificate(second?.x509_svid ?? '')
  assert.match(subject, /CN=web\.dev\.local/)
  assert.ok(validToDate.getTime() > clock.now() + 52_000) // it was made 7 s ago at most, and its dates are whole seconds
})

test('issues tokens of its lifetime and issuer', async (t) => {
  const { client } = await setup(t)
  const { iss, iat = 0, exp = 0 } = decodeJwt(svidOf(await client.unary('FetchJWTSVID', { audience: ['x'] }))?.svid ?? '')
  assert.deepEqual([iss, exp - iat], [issuer, 50])
  await assert.rejects(client.unary('FetchJWTSVID', { audience: ['x'] }, []), { code: status.INVALID_ARGUMENT })
})

test('stops, again without harm, and another one takes its place', async (t) => {
  const { client, options, stop } = await setup(t)
  const stream = client.stream('FetchX509SVID')
  await stream.next()
  await stop()
  await assert.rejects(stream.next(), { code: status.UNAVAILABLE })
  await stop()
  t.after(await startAgent(options))
  assert.ok(await client.stream('FetchX509SVID').next())
})
