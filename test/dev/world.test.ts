// The dev world holds together: from the agent's socket to an AWS call that was verified.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssumeRoleWithWebIdentityCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { decodeJwt } from 'jose'
import { startWorld } from '../support/dev/world.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createSession } from './create-session.ts'
import { plainClient, temporaryFolder } from './support.ts'

test('an identity from its agent buys credentials from its AWS, both ways', async (t) => {
  const clock = createFakeClock(Date.now())
  const lifetimes = { x509TtlSeconds: 10, jwtTtlSeconds: 10, sessionSeconds: 20 }
  const world = await startWorld({ directory: await temporaryFolder(t), clock, ...lifetimes })
  t.after(() => world.stop())
  const { aws, arns } = world
  const agent = plainClient(t, world.socket)

  const message = await agent.stream('FetchX509SVID').next()
  const [svid] = (message ?? {})['svids'] as { spiffe_id: string; x509_svid: Buffer; x509_svid_key: Buffer }[]
  assert.ok(svid)
  assert.equal(svid.spiffe_id, world.spiffeId)
  const leafLength = svid.x509_svid.readUInt16BE(2) + 4
  const chain = [svid.x509_svid.subarray(0, leafLength), svid.x509_svid.subarray(leafLength)]
  const answer = await createSession({
    url: aws.issuingUrl,
    identity: { chain, key: svid.x509_svid_key, notBefore: 0, notAfter: 0 },
    trustAnchorArn: arns.trustAnchor,
    profileArn: arns.profile,
    roleArn: arns.role,
    region: 'us-east-1',
    now: clock.now(),
  })
  assert.equal(answer.status, 201, answer.text)
  const { expiration, ...credentials } = (
    JSON.parse(answer.text) as { credentialSet: [{ credentials: { accessKeyId: string; secretAccessKey: string; sessionToken: string; expiration: string } }] }
  ).credentialSet[0].credentials
  assert.equal(Date.parse(expiration), Math.floor((clock.now() + 20_000) / 1000) * 1000)

  const sts = (endpoint: string) => {
    const client = new STSClient({ endpoint, region: 'us-east-1', credentials, maxAttempts: 1 })
    t.after(() => client.destroy())
    return client
  }
  const caller = await sts(aws.checkingUrl).send(new GetCallerIdentityCommand({}))
  assert.match(caller.Arn ?? '', /:assumed-role\/web\/[0-9a-f]+$/)

  const reply = await agent.unary('FetchJWTSVID', { audience: [world.audience] })
  const [token] = reply['svids'] as { svid: string }[]
  assert.equal(decodeJwt(token?.svid ?? '').iss, world.issuer)
  const input = { RoleArn: arns.webIdentityRole, RoleSessionName: 'web', WebIdentityToken: token?.svid }
  const assumed = await sts(aws.issuingUrl).send(new AssumeRoleWithWebIdentityCommand(input))
  assert.equal(assumed.SubjectFromWebIdentityToken, world.spiffeId)
})

test('a world that cannot have its socket leaves nothing running', async (t) => {
  const directory = await temporaryFolder(t)
  const options = { directory, clock: createFakeClock(), x509TtlSeconds: 10, jwtTtlSeconds: 10, sessionSeconds: 20 }
  const world = await startWorld(options)
  await assert.rejects(startWorld(options), /another process is listening/)
  await world.stop()
  const again = await startWorld(options)
  await again.stop()
})
