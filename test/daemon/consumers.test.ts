// Who reads what: users as the kernel knows them, tokens that are replaced, and the line that each read leaves in the log.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { call } from '../cli/support.ts'
import { eventually } from '../support/eventually.ts'
import { anywhere, onStage, type Stage } from './support.ts'

const nobody = 65_534
const root = { skip: process.getuid?.() === 0 ? false : 'only root can ask as somebody else' }

/** Asks from a process of another user, by a socket of this family; resolves with the status. */
async function askAs(uid: number, address: string, method: string, path: string, headers: Record<string, string>, host = '127.0.0.1'): Promise<number> {
  const options = { host, port: Number(address.split(':').at(-1)), method, path, agent: false, headers: { host: '127.0.0.1', ...headers } }
  const script = `require('node:http').request(JSON.parse(process.argv[1]), (a) => { a.resume(); console.log(a.statusCode) }).end()`
  const child = spawn(process.execPath, ['-e', script, JSON.stringify(options)], { uid, stdio: ['ignore', 'pipe', 'inherit'], cwd: '/' })
  return Number(await text(child.stdout))
}

const ready = ({ daemon }: Stage) => eventually('all is ready', () => daemon.status().ready)
const yaml = (profile: string, consumers: string, more = '') =>
  `profiles:\n  app: ${profile}\nconsumers:\n${consumers}container_endpoint: { listen: "127.0.0.1:0" }\n${more}`

test('a token that is tied to users opens for them alone, by a socket of either family', root, () =>
  onStage({ yaml: (world) => yaml(anywhere(world), `  app: { profiles: [app], uids: [${nobody}] }\n  any: { profiles: [app] }\n`) }, async (stage) => {
    await ready(stage)
    const address = stage.daemon.listeners.get('container')?.address ?? ''
    const as = (uid: number, consumer: string, host?: string) => askAs(uid, address, 'GET', '/v1/credentials', { authorization: stage.token(consumer) }, host)
    assert.equal(await as(nobody, 'app'), 200)
    assert.equal(await as(nobody, 'app', '::ffff:127.0.0.1'), 200)
    assert.equal(await as(0, 'app'), 403)
    assert.equal(await as(0, 'app', '::ffff:127.0.0.1'), 403)
    assert.equal(await as(0, 'any'), 200)
    assert.equal(await as(nobody, 'any'), 200)
    await eventually('the refusal is told', () => stage.log.some((line) => line.includes('user 0 asks, who is none of uids')))
  }),
)

test('an IMDS endpoint that is tied to users answers nobody else, not even with a token', root, () =>
  onStage(
    {
      yaml: (world) => yaml(anywhere(world), '  app: { profiles: [app] }\n', `imds_endpoints: [{ listen: "127.0.0.1:0", profile: app, uids: [${nobody}] }]\n`),
    },
    async (stage) => {
      await ready(stage)
      const address = stage.daemon.listeners.get('imds app')?.address ?? ''
      const put = (uid: number) => askAs(uid, address, 'PUT', '/latest/api/token', { 'x-aws-ec2-metadata-token-ttl-seconds': '60' })
      assert.equal(await put(nobody), 200)
      assert.equal(await put(0), 403)
      assert.ok(!stage.log.some((line) => line.includes('any local process')), 'what is tied to users needs no warning')
    },
  ),
)

test('a consumer gets another token, and the old one opens for a while more', () =>
  onStage({ yaml: (world) => yaml(anywhere(world), '  app: { profiles: [app] }\n  web: { profiles: [app] }\n') }, async (stage) => {
    await ready(stage)
    const [old, others] = [stage.token('app'), stage.token('web')]
    const rotated = await call(['rotate-token', 'app', '--runtime-dir', stage.runtimeDir])
    assert.match(rotated.out, /^app: a new token is in .*\/app\.token; the old one opens for 300 s more\n$/)
    const fresh = stage.token('app')
    assert.notEqual(fresh, old)
    assert.equal(stage.token('web'), others)
    const status = async (token: string) => (await stage.get('container', '/v1/credentials', token)).status
    for (const token of [old, fresh, others]) assert.equal(await status(token), 200)
    // A reload keeps both, and another rotation shortens no life.
    await stage.daemon.reload()
    for (const token of [old, fresh]) assert.equal(await status(token), 200)
    await call(['rotate-token', 'app', '--runtime-dir', stage.runtimeDir])
    for (const token of [old, fresh, stage.token('app')]) assert.equal(await status(token), 200)
    assert.equal(await status('x'.repeat(43)), 401)
    const wrong = await call(['rotate-token', 'nope', '--runtime-dir', stage.runtimeDir])
    assert.match(wrong.failure?.message ?? '', /there is no consumer nope/)
    assert.equal((await call(['rotate-token', '--runtime-dir', stage.runtimeDir])).failure?.code, 'usage')
    assert.equal(stage.events.filter(({ type }) => type === 'consumer.token_rotated').length, 2)
    for (const secret of [old, fresh, stage.token('app')]) assert.ok(!stage.log.join('').includes(secret))
  }))

test('each read leaves a line: who, what, which key and how it went; never a secret', () =>
  onStage(
    { yaml: (world) => yaml(anywhere(world), '  app: { profiles: [app] }\n', 'imds_endpoints: [{ listen: "127.0.0.1:0", profile: app }]\n') },
    async (stage) => {
      await ready(stage)
      const { body } = await stage.get('container', '/v1/credentials', stage.token('app'))
      const given = JSON.parse(body) as { AccessKeyId: string; SecretAccessKey: string; Token: string }
      await stage.get('container', '/v1/credentials/other', stage.token('app'))
      await stage.get('consumer app', '/v1/credential-process')
      await stage.get('consumer app', '/v1/environment')
      const reads = stage.log
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((line) => line['event'] === 'served')
        .map(({ level, endpoint, consumer, profile, access_key_id: key, status }) => [level, endpoint, consumer, profile, key, status])
      assert.deepEqual(reads, [
        ['info', 'container', 'app', 'app', given.AccessKeyId, 200],
        ['info', 'container', 'app', '', '', 404],
        ['info', 'consumer', 'app', 'app', given.AccessKeyId, 200],
      ])
      for (const secret of [given.SecretAccessKey, given.Token, stage.token('app')]) assert.ok(!stage.log.join('').includes(secret))
    },
  ))
