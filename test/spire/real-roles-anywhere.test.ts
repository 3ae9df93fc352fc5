// deploy/spire/server-roles-anywhere.conf with real SPIRE: what it issues is taken, and a new root arrives in the trust anchor before it signs.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import { freePorts, must } from '../platform/machine.ts'
import { type DevAws, startDevAws } from '../support/dev/aws.ts'
import { eventually } from '../support/eventually.ts'
import { mintAt } from '../support/world/aws-account.ts'
import { type Daemon, startDaemon } from './daemon.ts'
import { commands } from './page.ts'
import { openRealWorld } from './real-world.ts'
import { type Spire, startSpire, writeRoot } from './spire.ts'
import { startTrustAnchor } from './trust-anchor.ts'
import type { World } from './world.ts'

const bin = execFileSync(join(import.meta.dirname, 'testbed', 'build'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
const arns = {
  trustAnchor: 'arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/00000000-0000-4000-8000-000000000001',
  profile: 'arn:aws:rolesanywhere:us-east-1:111122223333:profile/00000000-0000-4000-8000-000000000002',
  role: 'arn:aws:iam::111122223333:role/spire-server',
}
const spiffeId = 'spiffe://example.org/service/spire-server'

interface Authorities {
  readonly active: { readonly authority_id: string; readonly upstream_authority_subject_key_id: string }
  readonly prepared: { readonly authority_id: string }
}

describe('Roles Anywhere', () => {
  const sessions = new Map<string, ReturnType<typeof mintAt>>()
  let spire: Spire
  let world: World
  let aws: DevAws
  let anchor: Awaited<ReturnType<typeof startTrustAnchor>>
  let daemon: Daemon

  before(async () => {
    const [port = 0] = await freePorts(1)
    // SPIRE's server has no access key: it asks svidecar, which gets credentials with an SVID of that same server.
    const credentials = { AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${port}/v1/credentials` }
    spire = await startSpire(bin, {
      authority: 'intermediate',
      env: (folder) => ({
        ...credentials,
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(folder, 'svidecar/run/publisher.token'),
        AWS_ENDPOINT_URL_ROLESANYWHERE: anchor.url,
      }),
      before: async (folder) => {
        // As Terraform has created it.
        const root = new X509Certificate(await readFile(join(folder, 'upstream/root.pem')))
        anchor = await startTrustAnchor({ arn: arns.trustAnchor, roots: [root.raw], sessions })
      },
    })
    aws = await startDevAws({
      clock: systemClock,
      trustAnchors: [{ arn: arns.trustAnchor, roots: () => anchor.roots() }],
      profiles: [{ arn: arns.profile, roleArns: [arns.role] }],
      oidcProviders: [],
      roles: [{ roleArn: arns.role, spiffeIds: [spiffeId] }],
      mint: async ({ durationSeconds }) => {
        const minted = mintAt(Date.now() + durationSeconds * 1000)
        sessions.set(minted.accessKeyId, minted)
        return minted
      },
    })
    world = await openRealWorld(spire, { entries: [{ id: 'a', path: '/service/spire-server', dnsNames: ['spire-server'] }] })
    daemon = await startDaemon(join(spire.folder, 'svidecar'), world.path, {
      profiles: {
        publisher: { endpoint: aws.issuingUrl, roles_anywhere: { trust_anchor_arn: arns.trustAnchor, profile_arn: arns.profile, role_arn: arns.role } },
      },
      consumers: { publisher: { profiles: ['publisher'] } },
      container_endpoint: { listen: `127.0.0.1:${port}` },
    })
    await daemon.ready()
  })
  after(async () => {
    await daemon?.stop()
    await world?.close()
    await spire?.close()
    await aws?.stop()
    await anchor?.stop()
  })

  const sessionRequests = () => aws.requests.filter(({ action }) => action === 'CreateSession')
  const renewed = async () => {
    const { status, stderr } = await daemon.svidecar('refresh', 'publisher')
    assert.equal(status, 0, stderr)
  }
  const leafOf = (request: DevAws['requests'][number] | undefined) => new X509Certificate(Buffer.from(request?.headers['x-amz-x509'] ?? '', 'base64'))
  const steps = [...commands('A new root')]
  /** Runs the next command that docs/spire.md gives; it is this one. */
  const step = (which: RegExp, env: NodeJS.ProcessEnv = {}): Promise<string> => {
    const command = steps.shift()?.replace(/\s+#.*$/, '') ?? ''
    assert.match(command, which)
    return must(['bash', '-ec', command], { env: { PATH: `${bin}:${process.env['PATH']}`, SPIRE_SERVER_PRIVATE_SOCKET: spire.socket, ...env } })
  }
  const authorities = async () => (await spire.server('localauthority', 'x509', 'show')) as Authorities

  test('takes an SVID with the intermediate in its chain, for an hour at the most and in the name of its common name', () => {
    const [first] = sessionRequests()
    assert.equal(first?.status, 201, first?.error)
    assert.equal(first?.headers['x-amz-x509-chain']?.split(',').length, 1)
    const leaf = leafOf(first)
    assert.match(leaf.subject, /^CN=spire-server$/m)
    assert.equal(leaf.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1')
    assert.equal((leaf.validToDate.getTime() - leaf.validFromDate.getTime()) / 1000, 3610)
  })

  test('a new root is in the trust anchor before it signs, and the old one leaves it at the end, by credentials that svidecar gave the server', async () => {
    const [old] = anchor.roots()
    assert.match(await step(/ show/), /Upstream authority Subject Key ID: [0-9a-f]+/i)
    const { active } = await authorities()
    const oldRoot = { OLD_ROOT: active.upstream_authority_subject_key_id }
    const signedByOld = leafOf(sessionRequests().at(-1)).issuer

    await writeRoot(join(spire.folder, 'upstream'), 'Example root 2')
    await step(/ prepare$/)
    await eventually('both roots are in the anchor', () => anchor.roots().length === 2)
    assert.ok(anchor.roots().some((root) => old?.equals(root)))
    await renewed()
    assert.equal(leafOf(sessionRequests().at(-1)).issuer, signedByOld, 'the old root signs')

    const { prepared } = await authorities()
    await step(/ activate /, { AUTHORITY: prepared.authority_id })
    await step(/ taint /, oldRoot)
    await eventually('svidecar signs with an SVID below the new root', async () => {
      await renewed()
      return leafOf(sessionRequests().at(-1)).issuer !== signedByOld
    })

    await step(/ revoke /, oldRoot)
    await eventually('the new root is alone in the anchor', () => anchor.roots().length === 1)
    assert.ok(!anchor.roots().some((root) => old?.equals(root)))
    await renewed()

    assert.deepEqual(steps, [], 'every step of the page was taken')
    assert.deepEqual(
      sessionRequests().flatMap(({ error }) => error ?? []),
      [],
      'no exchange was refused on the way',
    )
    assert.deepEqual(
      anchor.updates.map(({ status, roots, error }) => error ?? `${status}, ${roots}`),
      ['200, 2', '200, 1'],
    )
    for (const { accessKeyId } of anchor.updates) assert.ok(sessions.has(accessKeyId))
  })
})

test('a SPIRE that is its own root outgrows the anchor with its third authority, which is why it has one above it', async () => {
  const key = mintAt(Date.now() + 3_600_000)
  const anchor = await startTrustAnchor({ arn: arns.trustAnchor, roots: [], sessions: new Map([[key.accessKeyId, key]]) })
  const spire = await startSpire(bin, {
    authority: 'intermediate',
    edit: (config) => config.replace(/^  UpstreamAuthority [\s\S]*?^  \}$/m, ''),
    env: () => ({
      AWS_ENDPOINT_URL_ROLESANYWHERE: anchor.url,
      AWS_ACCESS_KEY_ID: key.accessKeyId,
      AWS_SECRET_ACCESS_KEY: key.secretAccessKey,
      AWS_SESSION_TOKEN: key.sessionToken,
    }),
  })
  try {
    const prepare = async () => {
      await spire.server('localauthority', 'x509', 'prepare')
      return (await spire.server('localauthority', 'x509', 'show')) as Authorities
    }
    await eventually('the first root is in the anchor', () => anchor.roots().length === 1)
    const { prepared } = await prepare()
    await eventually('the second one, too', () => anchor.roots().length === 2)
    await spire.server('localauthority', 'x509', 'activate', '-authorityID', prepared.authority_id)
    await prepare()
    const refused = await eventually('the third one is refused', () => anchor.updates.find(({ status }) => status !== 200))
    assert.match(refused.error ?? '', /3 certificates/)
    assert.equal(anchor.roots().length, 2, 'an authority that will sign is not in the anchor')
  } finally {
    await spire.close()
    await anchor.stop()
  }
})
