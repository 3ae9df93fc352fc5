// svidecar check: right or wrong, in the exit status, with everything that is wrong on stderr.
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { jsonSchema } from '../../src/config/schema.ts'
import { call, folder, run, webProfile, writeConfig } from './support.ts'

const good = `profiles:\n${webProfile('app')}consumers: { app: { profiles: [app] } }\n`
const env = { SPIFFE_ENDPOINT_SOCKET: 'unix:///agent.sock' }

test('a right file is printed as it is understood, with exit status 0 and nothing on stderr', async (t) => {
  const directory = await folder(t)
  const path = await writeConfig(directory, good)
  const { code, out, err } = await run(t, ['check', '--config', path, '--runtime-dir', '/somewhere'], env)
  assert.deepEqual([code, err], [0, ''])
  const shown = JSON.parse(out) as Record<string, unknown>
  assert.equal(shown['origin'], path)
  assert.equal(shown['runtimeDir'], '/somewhere')
  assert.deepEqual(shown['identities'], [{ name: 'default', workloadApi: 'unix:///agent.sock' }])
  assert.match(out, /"role": "arn:aws:iam::123456789012:role\/app"/)
})

test('a wrong one has all its mistakes on stderr, nothing on stdout, and exit status 2', async (t) => {
  const directory = await folder(t)
  const path = await writeConfig(directory, good.replaceAll('[app]', '[ap, ap2]'))
  const { code, out, err } = await run(t, ['check', '--config', path], env)
  assert.deepEqual([code, out], [2, ''])
  assert.match(err, new RegExp(`^svidecar: ${path}:3:\\d+: consumers\\.app\\.profiles\\[0\\]: `))
  assert.match(err, new RegExp(`\n${path}:3:\\d+: consumers\\.app\\.profiles\\[1\\]: `))
  assert.doesNotMatch(err, /\n\s+at /, 'no stack trace')
})

test('whatever is wrong with a file, it is a sentence and not a stack', async (t) => {
  const directory = await folder(t)
  for (const text of ['', 'a', 'profiles: *x', 'profiles: [', 'profiles: {app: {region: "a b"}}', '\0', '? {a: b}\n: c']) {
    const path = join(directory, 'x.yaml')
    await writeFile(path, text)
    const { failure } = await call(['check', '--config', path], env)
    assert.equal(failure?.code, 'config_invalid', text)
  }
})

test('a private CA is not poured out', async (t) => {
  const directory = await folder(t)
  await writeFile(join(directory, 'ca.pem'), 'PEM TEXT')
  const path = await writeConfig(directory, good.replace('region:', `ca_file: ${directory}/ca.pem, region:`))
  const { status, out } = await call(['check', '--config', path], env)
  assert.equal(status, 0)
  assert.doesNotMatch(out, /PEM TEXT/)
  assert.match(out, /"ca": "\[PEM\]"/)
})

test('--schema prints the JSON Schema, without any configuration', async () => {
  const { status, out } = await call(['check', '--schema'])
  assert.equal(status, 0)
  assert.deepEqual(JSON.parse(out), jsonSchema())
})

test('it starts nothing and makes nothing: the runtime directory is not even looked for', async (t) => {
  const directory = await folder(t)
  const path = await writeConfig(directory, `${good}runtime_dir: ${directory}/run\n`)
  const { status } = await call(['check', '--config', path], env)
  assert.equal(status, 0)
  const { existsSync } = await import('node:fs')
  assert.equal(existsSync(`${directory}/run`), false)
})

test('a relative --runtime-dir means one below the working directory, and is told whole', async (t) => {
  const path = await writeConfig(await folder(t), good)
  const { out } = await call(['check', '--config', path, '--runtime-dir', 'here/run'], env)
  assert.equal((JSON.parse(out) as { runtimeDir: string }).runtimeDir, join(process.cwd(), 'here/run'))
})
