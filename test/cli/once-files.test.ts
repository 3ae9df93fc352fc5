// svidecar once with files and hooks: everything written, everybody told, and the status and words at the end.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { lives } from '../hooks/support.ts'
import { eventually } from '../support/eventually.ts'
import { folder, identityAt, profileIn, run, start, worldIn, writeConfig } from './support.ts'

const x509 = (directory: string, more = '') => `x509: { directory: "${directory}/svid", certificate: tls.crt, key: tls.key${more} }`
const jwt = (path: string, more = '') => `jwt: { audience: [vault], path: "${path}"${more} }`
const jwks = (path: string, more = '') => `jwt_bundle: { path: "${path}"${more} }`
const hook = (on: string, script: string) => `{ on: [${on}], run: [/bin/sh, -c, "${script}"] }`
const list = (name: string, items: readonly string[]) => (items.length === 0 ? '' : `${name}:\n${items.map((item) => `  - ${item}\n`).join('')}`)

/** A world and a configuration; `once` runs the program with it. */
async function setUp(t: TestContext, parts: (directory: string) => { files?: string[]; hooks?: string[]; profiles?: boolean; agent?: string }) {
  const directory = await folder(t)
  const world = await worldIn(t, directory)
  const { files = [], hooks = [], profiles = false, agent = world.socket } = parts(directory)
  const text = `${identityAt(agent)}${profiles ? `profiles:\n${profileIn(world, 'app')}` : ''}${list('files', files)}${list('hooks', hooks)}log: { level: info, format: json }\n`
  const config = await writeConfig(directory, text)
  const args = (...more: string[]) => ['once', '--config', config, ...more]
  return { directory, world, once: (...more: string[]) => run(t, args(...more)), starts: (...more: string[]) => start(t, args(...more)) }
}

const logged = (err: string, event: string) =>
  err
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['event'] === event)

test('everything is written, every hook is told, and the status is 0 with a line for each', async (t) => {
  const { directory, once } = await setUp(t, (at) => ({
    profiles: true,
    files: [x509(at), jwt(`${at}/token`), jwks(`${at}/jwks`)],
    hooks: ['x509', 'jwt', 'jwt_bundle', 'credentials'].map((on) => hook(on, `echo ${on} >> ${at}/told`)),
  }))
  const { code, out, err } = await once()
  assert.equal(code, 0, err)
  const lines = out.trim().split('\n')
  assert.match(lines[0] ?? '', /^app: credentials ASIA\w+ until /)
  assert.match(lines[1] ?? '', /^x509 \S+\/svid: written until 20/)
  assert.match(lines[2] ?? '', /^jwt \S+\/token: written until 20/)
  assert.match(lines[3] ?? '', /^jwt_bundle \S+\/jwks: written$/)
  assert.deepEqual(readFileSync(join(directory, 'told'), 'utf8').trim().split('\n').sort(), ['credentials', 'jwt', 'jwt_bundle', 'x509'])
  assert.deepEqual(
    readdirSync(join(directory, 'svid'))
      .filter((name) => !name.startsWith('.'))
      .sort(),
    ['tls.crt', 'tls.key'],
  )
  assert.ok(!out.includes(readFileSync(join(directory, 'token'), 'utf8')))
})

test('a hook of several kinds has seen all of them, by a run that nobody cut short', async (t) => {
  const { directory, once } = await setUp(t, (at) => ({
    files: [x509(at), jwt(`${at}/token`), jwks(`${at}/jwks`)],
    hooks: [hook('x509, jwt, jwt_bundle', `seen=$(ls -d ${at}/svid/tls.key ${at}/token ${at}/jwks 2>/dev/null | wc -l); sleep 0.3; echo $seen >> ${at}/told`)],
  }))
  const { code, err } = await once()
  assert.equal(code, 0, err)
  assert.equal(readFileSync(join(directory, 'told'), 'utf8').trim().split('\n').at(-1), '3')
})

test('all that a hook says is in the log before the end', async (t) => {
  const { once } = await setUp(t, (at) => ({ files: [jwks(`${at}/jwks`)], hooks: [hook('jwt_bundle', 'echo first; printf last')] }))
  const { code, err } = await once()
  assert.equal(code, 0)
  assert.deepEqual(
    logged(err, 'hook.said').map(({ msg }) => msg),
    ['hook /bin/sh: first', 'hook /bin/sh: last'],
  )
})

test('a child has no place here: it is not started, and nobody waits for it', async (t) => {
  const { directory, once } = await setUp(t, (at) => ({
    files: [jwks(`${at}/jwks`)],
    hooks: [`{ on: [jwt_bundle], child: { command: [/bin/sh, -c, ": > ${at}/started; exec sleep 1000"] } }`, hook('jwt_bundle', `: > ${at}/told`)],
  }))
  const { code, err } = await once()
  assert.equal(code, 0, err)
  assert.deepEqual([existsSync(join(directory, 'started')), existsSync(join(directory, 'told'))], [false, true])
})

test('a hook that nothing can tell is not waited for', async (t) => {
  const { once } = await setUp(t, (at) => ({ files: [jwks(`${at}/jwks`)], hooks: [hook('x509', 'true'), hook('credentials', 'true')] }))
  assert.equal((await once('--timeout', '20s')).code, 0)
})

test('a hook that fails is status 1, with its words, and the files stay', async (t) => {
  const { directory, once } = await setUp(t, (at) => ({ files: [jwks(`${at}/jwks`)], hooks: [hook('jwt_bundle', 'exit 9')] }))
  const { code, out, err } = await once()
  assert.equal(code, 1)
  assert.match(out, /jwks: written\n$/)
  assert.match(err, /\nhook \/bin\/sh: \/bin\/sh ended with exit status 9\. The files are in place/)
  assert.ok(existsSync(join(directory, 'jwks')))
})

test('a file that cannot be written is the end at once, with status 1; the others are written and their hooks told', async (t) => {
  const { directory, once } = await setUp(t, (at) => ({
    files: [jwt(`${at}/missing/token`), jwks(`${at}/jwks`)],
    hooks: [hook('jwt_bundle', `: > ${at}/told`), hook('jwt', `: > ${at}/wrong`)],
  }))
  const begun = performance.now()
  const { code, out, err } = await once('--timeout', '30s')
  assert.ok(performance.now() - begun < 10_000, 'not the timeout')
  assert.equal(code, 1)
  assert.match(out, /token: failed\n/)
  assert.match(out, /jwks: written\n/)
  assert.match(err, new RegExp(`\\njwt ${directory}/missing/token: cannot write ${directory}/missing/token: no such file or directory\\. `))
  assert.deepEqual([existsSync(join(directory, 'told')), existsSync(join(directory, 'wrong')), existsSync(join(directory, 'missing'))], [true, false, false])
})

test('without an agent it tries until the timeout, and says what is missing and why', async (t) => {
  const { directory, once } = await setUp(t, (at) => ({ agent: `unix://${at}/nobody.sock`, files: [x509(at)], hooks: [hook('x509', 'true')] }))
  const { code, out, err } = await once('--timeout', '300ms')
  assert.equal(code, 1)
  assert.match(out, /svid: missing\n$/)
  assert.match(err, /\nidentity default: .*nobody\.sock/)
  assert.equal(existsSync(join(directory, 'svid')), false)
})

test('a hook that does not end is ended with the timeout, and its whole group with it', async (t) => {
  const { directory, once } = await setUp(t, (at) => ({ files: [jwks(`${at}/jwks`)], hooks: [hook('jwt_bundle', `sleep 1000 & echo $! > ${at}/pid; wait`)] }))
  const { code } = await once('--timeout', '1s')
  assert.equal(code, 1, 'the hook was not told')
  const pid = Number(readFileSync(join(directory, 'pid'), 'utf8'))
  assert.ok(pid > 1)
  await eventually('it is gone', () => !lives(pid))
})

test('SIGTERM ends it at once, says so, and is no success', async (t) => {
  const { starts } = await setUp(t, (at) => ({ agent: `unix://${at}/nobody.sock`, files: [x509(at)] }))
  const program = starts()
  await eventually('it tries', () => program.err.includes('identity.failing'))
  program.child.kill('SIGTERM')
  const { code, err } = await program.ended
  assert.equal(code, 1)
  assert.match(err, /svidecar: stopped by SIGTERM\n/)
})

test('a second SIGTERM while it stops does not leave the process of a hook behind', async (t) => {
  // It goes on after the SIGTERM that it gets by the first one.
  const script = (at: string) => `trap ': > ${at}/asked' TERM; echo $$ > ${at}/pid; until [ -e ${at}/go ]; do sleep 0.01; done`
  const { directory, starts } = await setUp(t, (at) => ({ files: [jwks(`${at}/jwks`)], hooks: [hook('jwt_bundle', script(at))] }))
  const program = starts()
  const pid = await eventually('its number', () => Number(readFileSync(join(directory, 'pid'), 'utf8')))
  program.child.kill('SIGTERM')
  await eventually('the hook is asked to end', () => existsSync(join(directory, 'asked')))
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGTERM'] as const) program.child.kill(signal)
  writeFileSync(join(directory, 'go'), '')
  const { code, signal, err } = await program.ended
  assert.deepEqual([code, signal], [1, null])
  assert.match(err, /svidecar: stopped by SIGTERM\n/)
  assert.equal(lives(pid), false)
})

test('remove_at_stop does not remove what was just written', async (t) => {
  const more = ', remove_at_stop: true'
  const { directory, once } = await setUp(t, (at) => ({ files: [x509(at, more), jwt(`${at}/token`, more), jwks(`${at}/jwks`, more)] }))
  assert.equal((await once()).code, 0)
  for (const name of ['svid/tls.crt', 'svid/tls.key', 'token', 'jwks']) assert.ok(readFileSync(join(directory, name)).length > 0, name)
})

test('once more over what is there: new content, the same owner of the same names, nothing left beside it', async (t) => {
  const { directory, once } = await setUp(t, (at) => ({ files: [jwt(`${at}/token`), jwks(`${at}/jwks`)] }))
  writeFileSync(join(directory, '.token.0123456789ab.new'), 'of a killed one')
  for (let round = 0; round < 2; round++) assert.equal((await once()).code, 0)
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith('.new')),
    [],
  )
})

test('an owner that does not exist is a wrong configuration: status 2, and nothing is written', async (t) => {
  const { directory, once } = await setUp(t, (at) => ({ files: [jwks(`${at}/jwks`), jwt(`${at}/token`, ', owner: nobody-of-this-name')] }))
  const { code, err } = await once()
  assert.equal(code, 2)
  assert.match(err, /svidecar: owner of jwt \S+\/token: there is no "nobody-of-this-name"/)
  assert.equal(existsSync(join(directory, 'token')), false)
})
