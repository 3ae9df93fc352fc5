// deploy/spire/server-oidc.conf and oidc-discovery-provider.conf with real SPIRE: STS finds the keys at the issuer and takes svidecar's token.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { systemClock } from '../../src/core/clock.ts'
import { type DevAws, startDevAws } from '../support/dev/aws.ts'
import { eventually } from '../support/eventually.ts'
import { type Daemon, startDaemon } from './daemon.ts'
import { type Discovery, startDiscovery } from './discovery.ts'
import { openRealWorld } from './real-world.ts'
import { type Spire, startSpire } from './spire.ts'
import type { World } from './world.ts'

const bin = execFileSync(join(import.meta.dirname, 'testbed', 'build'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
const issuer = 'https://oidc.example.org'
const audience = 'sts.amazonaws.com'
const roleArn = 'arn:aws:iam::111122223333:role/app'
const spiffeId = 'spiffe://example.org/service/web'

describe('OIDC', () => {
  let spire: Spire
  let world: World
  let discovery: Discovery
  let aws: DevAws
  let daemon: Daemon

  /** As IAM does it: the document at the issuer, and the keys where it says. */
  const keys = async (): Promise<JSONWebKeySet> => {
    const document = JSON.parse(await discovery.get(new URL(issuer).host, '/.well-known/openid-configuration')) as { issuer: string; jwks_uri: string }
    assert.equal(document.issuer, issuer)
    const { host, pathname } = new URL(document.jwks_uri)
    return JSON.parse(await discovery.get(host, pathname)) as JSONWebKeySet
  }

  before(async () => {
    spire = await startSpire(bin, { authority: 'self-signed' })
    discovery = await startDiscovery(bin, spire)
    aws = await startDevAws({
      clock: systemClock,
      trustAnchors: [],
      profiles: [],
      oidcProviders: [{ issuer, audiences: [audience], jwks: keys }],
      roles: [{ roleArn, spiffeIds: [spiffeId] }],
    })
    await eventually('the keys are published', keys)
    world = await openRealWorld(spire, { entries: [{ id: 'a', path: '/service/web' }] })
    daemon = await startDaemon(join(spire.folder, 'svidecar'), world.path, {
      profiles: { app: { endpoint: aws.issuingUrl, region: 'us-east-1', web_identity: { role_arn: roleArn, audience } } },
      consumers: { app: { profiles: ['app'], audiences: [audience] } },
    })
    await daemon.ready()
  })
  after(async () => {
    await daemon?.stop()
    await world?.close()
    await discovery?.stop()
    await spire?.close()
    await aws?.stop()
  })

  const token = async () => {
    const { status, stdout, stderr } = await daemon.svidecar('jwt', '--audience', audience)
    assert.equal(status, 0, stderr)
    return stdout.trim()
  }

  test('the keys of the discovery provider verify a token of svidecar, with the issuer, the audience and an algorithm that STS takes', async () => {
    const set = await keys()
    const { payload, protectedHeader } = await jwtVerify(await token(), createLocalJWKSet(set), { issuer, audience, subject: spiffeId })
    assert.equal(protectedHeader.alg, 'ES256')
    const { iat = Number.NaN, exp = Number.NaN } = payload
    assert.equal(exp - iat, 300)
    assert.deepEqual(
      set.keys.map(({ use, alg }) => [use, alg]),
      set.keys.map(() => ['sig', 'ES256']),
    )
    await assert.rejects(jwtVerify(await token(), createLocalJWKSet(set), { issuer: `${issuer}/`, audience }), /unexpected "iss"/)
  })

  test('STS takes the token and gives credentials', () => {
    const [first] = aws.requests
    assert.equal(first?.action, 'AssumeRoleWithWebIdentity')
    assert.equal(first?.status, 200, first?.error)
    assert.equal(first?.spiffeId, spiffeId)
  })

  test('a new JWT key is at the issuer before it signs, so that STS takes the first token of it', async () => {
    const before = new Set((await keys()).keys.map(({ kid }) => kid))
    await spire.server('localauthority', 'jwt', 'prepare')
    const next = await eventually('the next key is published', async () => (await keys()).keys.find(({ kid }) => !before.has(kid)), 20_000)
    const { prepared, active } = (await spire.server('localauthority', 'jwt', 'show')) as Record<'prepared' | 'active', { authority_id: string }>
    assert.equal(prepared.authority_id, next.kid)
    await spire.server('localauthority', 'jwt', 'activate', '-authorityID', prepared.authority_id)
    // Tokens of the old key are given up by the agent, and the next one is signed by the new key.
    await spire.server('localauthority', 'jwt', 'taint', '-authorityID', active.authority_id)
    await eventually(
      'a token of the new key is exchanged',
      async () => {
        assert.equal((await daemon.svidecar('refresh', 'app')).status, 0)
        const sent = new URLSearchParams(aws.requests.at(-1)?.body).get('WebIdentityToken') ?? ''
        return (JSON.parse(Buffer.from(sent.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }).kid === next.kid
      },
      20_000,
    )
    assert.deepEqual(
      aws.requests.flatMap(({ error }) => error ?? []),
      [],
      'no exchange was refused on the way',
    )
  })

  test('another host is refused, so that nobody else is the issuer', async () => {
    await assert.rejects(discovery.get('elsewhere.example.org', '/.well-known/openid-configuration'), /400.*elsewhere/)
  })
})
