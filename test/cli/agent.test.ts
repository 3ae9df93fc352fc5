// The commands that look at an agent: svid, jwt, bundle; and once, which asks agent and AWS and ends.
import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { decodeJwt } from 'jose'
import type { World } from '../support/dev/world.ts'
import { call, folder, identityAt, profileIn, run, webProfile, worldIn, writeConfig } from './support.ts'

describe('beside an agent', () => {
  let world: World
  let directory: string
  const undo: (() => unknown)[] = []
  const context = { after: (work: () => unknown) => undo.push(work) } as unknown as TestContext
  before(async () => {
    directory = await folder(context)
    world = await worldIn(context, directory)
  })
  after(async () => {
    for (const work of undo.toReversed()) await work()
  })
  const at = () => ['--socket', world.socket]

  test('svid shows SPIFFE ID, hint, key, life and chain, as a table, as JSON and as certificates, and never the key', async () => {
    const table = await call(['svid', ...at()])
    assert.equal(table.status, 0)
    assert.match(table.out, new RegExp(`^SPIFFE ID +HINT +KEY +ENDS IN +CHAIN +SERIAL\n${world.spiffeId} +web +\\S+ +\\d+ min +2 +\\d+\n$`))
    const json = JSON.parse((await call(['svid', '--output', 'json', ...at()])).out) as { svids: Record<string, unknown>[]; bundles: unknown }
    assert.equal(json.svids[0]?.['spiffeId'], world.spiffeId)
    assert.deepEqual(json.bundles, [{ trustDomain: 'dev.local', authorities: 1 }])
    const { out } = await call(['svid', '--output', 'pem', ...at()])
    assert.equal(out.match(/-----BEGIN CERTIFICATE-----/g)?.length, 2)
    for (const text of [table.out, JSON.stringify(json), out]) assert.doesNotMatch(text, /PRIVATE/)
  })

  test('jwt prints a token for its audience, or the claims without the token', async () => {
    const { out } = await call(['jwt', '--audience', 'https://a.example', ...at()])
    const claims = decodeJwt(out.trim())
    assert.deepEqual([claims.sub, claims.aud], [world.spiffeId, ['https://a.example']])
    const shown = await call(['jwt', '--audience', 'https://a.example', '--output', 'json', ...at()])
    assert.deepEqual(JSON.parse(shown.out), claims)
    assert.doesNotMatch(shown.out, /eyJ/)
    assert.match((await call(['jwt', ...at()])).err, /needs --audience/)
  })

  test('bundle prints the authorities, of all trust domains under comments or of one bare, and the JWT keys', async () => {
    const all = await call(['bundle', ...at()])
    assert.match(all.out, /^# dev\.local\n-----BEGIN CERTIFICATE-----\n/)
    const { out } = await call(['bundle', '--trust-domain', 'dev.local', ...at()])
    assert.equal(out.trim(), world.authority.rootPem().trim())
    const keys = JSON.parse((await call(['bundle', '--output', 'json', ...at()])).out) as Record<string, { keys: { kty: string; d?: string }[] }>
    assert.deepEqual(
      keys['dev.local']?.keys.map(({ kty, d }) => [kty, d]),
      [['EC', undefined]],
    )
    assert.match((await call(['bundle', '--trust-domain', 'other', ...at()])).err, /no bundle of other\. It gives dev\.local/)
  })

  test('the agent is found by --socket, by the environment, or by a configuration', async () => {
    const env = { SPIFFE_ENDPOINT_SOCKET: world.socket }
    const config = await writeConfig(directory, `${identityAt(world.socket)}profiles:\n${webProfile('app')}`)
    for (const called of [call(['svid'], env), call(['svid', '--config', config]), call(['svid'], { SVIDECAR_CONFIG: config })])
      assert.equal((await called).status, 0)
    const nowhere = await call(['svid'])
    assert.match(nowhere.err, /Set SPIFFE_ENDPOINT_SOCKET, or name the agent with --socket/)
    const other = await call(['svid', '--config', config, '--identity', 'other'])
    assert.match(other.err, /there is no identity "other"; there is default/)
  })

  test('an unknown output is refused with those that there are', async () => {
    for (const command of [['svid'], ['bundle'], ['jwt', '--audience', 'a']]) {
      const { failure, out } = await call([...command, '--output', 'xml', ...at()])
      assert.deepEqual([failure?.code, out], ['usage', ''])
      assert.match(failure?.remedy ?? '', /There are .*json/)
    }
  })

  test('once gets credentials, prints key id and end, and never a secret', async (t) => {
    const config = await writeConfig(directory, `${identityAt(world.socket)}profiles:\n${profileIn(world, 'app')}`)
    const { code, out, err } = await run(t, ['once', '--config', config, '--timeout', '20s'])
    assert.equal(code, 0, err)
    assert.match(out, /^app: credentials ASIA\w{16} until \d{4}-\S+Z\n$/)
  })
})

test('once tries until its time is over, says what was missing, and ends with 1', async (t) => {
  const directory = await folder(t)
  const config = await writeConfig(directory, `${identityAt(`unix://${directory}/agent.sock`)}profiles:\n${webProfile('app')}`)
  const { code, out, err } = await run(t, ['once', '--config', config, '--timeout', '300ms'])
  assert.deepEqual([code, out], [1, 'app: no credentials\n'])
  assert.match(err, /identity default: cannot connect to the Workload API at unix:.*agent\.sock: no such file/)
})

test('an agent that is not there, and an address that is none, are sentences', async (t) => {
  const directory = await folder(t)
  for (const command of [['svid'], ['bundle'], ['jwt', '--audience', 'a']]) {
    const away = await call([...command, '--socket', `unix://${directory}/agent.sock`])
    assert.equal(away.failure?.code, 'workload_api_unreachable')
    assert.match(away.err, /no such file\. Is the agent running/)
    for (const address of ['/run/agent.sock', 'unix:agent.sock', 'tcp://localhost:1', 'https://x', ''])
      assert.equal((await call([...command, '--socket', address])).failure?.code, 'socket_address_invalid', address)
  }
})

test('a wrong address on the command line is wrong usage: exit status 2', async (t) => {
  const { code, err } = await run(t, ['svid', '--socket', '/run/agent.sock'])
  assert.equal(code, 2)
  assert.match(err, /^svidecar: "\/run\/agent\.sock" is not a Workload API address: it has no scheme\. Write unix:\/\/\/run\/agent\.sock\.\n$/)
})
