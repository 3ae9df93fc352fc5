// svidecar env: each format, read back by whoever it is for, gives the same values, however odd the paths are.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parseEnv } from 'node:util'
import { systemClock } from '../../src/core/clock.ts'
import { createConsumerHandler } from '../../src/endpoints/consumer.ts'
import { listen } from '../../src/endpoints/server.ts'
import { fresh, profileOf } from '../endpoints/support.ts'
import { call, folder } from './support.ts'

const odd = `it's a "b" $HOME \`id\` %h #x & é`

/** A consumer's socket in a folder of this name, as a daemon there would open it. */
async function consumerIn(t: TestContext, name: string, pointing?: Readonly<Record<string, string>>) {
  const directory = join(await folder(t), name)
  mkdirSync(directory)
  const environment = pointing ?? {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:9912/v1/credentials',
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(directory, 'app.token'),
    AWS_REGION: 'eu-central-1',
  }
  const path = join(directory, 'app.sock')
  const open = await listen(
    'consumer app',
    { kind: 'unix', path, mode: 0o600 },
    createConsumerHandler({
      name: 'app',
      profiles: [profileOf('app', fresh(systemClock, 60_000))],
      audiences: new Map(),
      environment: () => environment,
      clock: systemClock,
      emit: () => {},
    }),
  )
  t.after(() => open.stop())
  const env = async (format: string): Promise<string> => {
    const { status, out, err } = await call(['env', '--runtime-dir', directory, '--format', format])
    assert.equal(status, 0, err)
    return out
  }
  return { directory, path, environment, env }
}

for (const name of ['run', odd]) {
  test(`sh reads its own format back, from ${name}`, async (t) => {
    const { env, environment } = await consumerIn(t, name)
    const script = `${await env('sh')}exec "$0" -e 'process.stdout.write(JSON.stringify(process.env))'`
    const seen = JSON.parse(execFileSync('sh', ['-c', script, process.execPath], { env: {}, encoding: 'utf8' })) as Record<string, string>
    for (const [variable, value] of Object.entries(environment)) assert.equal(seen[variable], value)
  })

  test(`systemd reads its format back, from ${name}`, async (t) => {
    const { env, environment } = await consumerIn(t, name)
    // systemd.syntax(7): quotes and backslashes are C's; systemd.unit(5): % begins a specifier, %% is one.
    const seen = Object.fromEntries(
      (await env('systemd')).split('\n').flatMap((line) => {
        if (line === '') return []
        const quoted = /^Environment="((?:[^"\\]|\\.)*)"$/.exec(line)?.[1]
        assert.ok(quoted !== undefined, `${line} is one quoted assignment`)
        assert.doesNotMatch(quoted.replaceAll('%%', ''), /%/, 'a specifier')
        const text = quoted.replaceAll('%%', '%').replaceAll(/\\(.)/g, '$1')
        return [[text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]]
      }),
    )
    assert.deepEqual(seen, environment)
  })

  test(`GitHub and JSON read theirs back, from ${name}`, async (t) => {
    const { env, environment } = await consumerIn(t, name)
    assert.deepEqual(JSON.parse(await env('json')), environment)
    const lines = (await env('github')).trimEnd().split('\n')
    assert.deepEqual(Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)])), environment)
  })
}

// dotenv has three quotes and no way to write one inside itself.
for (const name of ['run', 'a "b" $HOME #x & é', "it's #x"])
  test(`a dotenv reader reads its format back, from ${name}`, async (t) => {
    const { env, environment } = await consumerIn(t, name)
    assert.deepEqual({ ...parseEnv(await env('dotenv')) }, environment)
  })

for (const name of ['run', "it's a b"])
  test(`the credential_process of aws-config is what a shell runs, from ${name}`, async (t) => {
    const { env, path, directory } = await consumerIn(t, name)
    const text = await env('aws-config')
    const [section, command = '', region, ...more] = text.trimEnd().split('\n')
    assert.deepEqual([section, region, more], ['[profile svidecar]', 'region = eu-central-1', []])
    assert.match(command, /^credential_process = curl /)
    // A curl that says how it was called.
    const bin = join(directory, 'bin')
    mkdirSync(bin)
    writeFileSync(join(bin, 'curl'), '#!/bin/sh\nprintf "%s\\n" "$@"\n')
    chmodSync(join(bin, 'curl'), 0o755)
    const line = command.slice(command.indexOf('=') + 1).trim()
    const words = execFileSync('sh', ['-c', line], { env: { PATH: `${bin}:/usr/bin:/bin` }, encoding: 'utf8' })
      .trimEnd()
      .split('\n')
    assert.equal(words[words.indexOf('--unix-socket') + 1], path)
    assert.equal(words.at(-1), 'http://localhost/v1/credential-process')
  })

test('an unknown format is refused with those that there are', async (t) => {
  const { directory } = await consumerIn(t, 'run')
  for (const format of ['bash', 'toString', '', 'JSON']) {
    const { failure } = await call(['env', '--runtime-dir', directory, '--format', format])
    assert.equal(failure?.code, 'usage')
    assert.match(failure.remedy, /sh, dotenv, github, systemd, json, aws-config/)
  }
})

test('a daemon without any endpoint for the profile is told as such, by env and by exec', async (t) => {
  const { directory } = await consumerIn(t, 'run', { AWS_REGION: 'eu-central-1' })
  for (const args of [
    ['env', '--runtime-dir', directory],
    ['exec', '--runtime-dir', directory, '--consumer', 'app', '--', 'true'],
  ]) {
    const { failure, status } = await call(args)
    assert.equal(status, undefined, `${args[0]} went on`)
    assert.match(failure?.message ?? '', /has no endpoint for this profile/)
  }
})

test('the keys themselves are printed where that is asked for, with their end, and masked for GitHub', async (t) => {
  const { directory } = await consumerIn(t, 'run')
  const keysOf = async (format: string, env: Readonly<Record<string, string>> = {}) =>
    call(['env', '--with-credentials', '--runtime-dir', directory, '--format', format], env)
  const json = JSON.parse((await keysOf('json')).out) as Record<string, string>
  assert.deepEqual(Object.keys(json), ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_CREDENTIAL_EXPIRATION', 'AWS_REGION'])
  assert.ok(Object.values(json).every((value) => value !== ''))
  for (const format of ['sh', 'dotenv', 'systemd']) {
    const [comment, ...lines] = (await keysOf(format)).out.trimEnd().split('\n')
    assert.equal(comment, `# These end at ${json['AWS_CREDENTIAL_EXPIRATION']}.`)
    assert.equal(lines.length, 5)
    assert.ok(lines.some((line) => line.includes(json['AWS_SECRET_ACCESS_KEY'] ?? '')))
  }
  assert.deepEqual(parseEnv((await keysOf('dotenv')).out), json)
  const github = await keysOf('github', { GITHUB_ACTIONS: 'true' })
  assert.equal(github.err, `::add-mask::${json['AWS_SECRET_ACCESS_KEY']}\n::add-mask::${json['AWS_SESSION_TOKEN']}\n`)
  assert.equal((await keysOf('github')).err, '', 'outside of GitHub nobody takes the lines away')
  assert.equal((await keysOf('aws-config')).failure?.code, 'usage')
  assert.ok(!(await call(['env', '--runtime-dir', directory])).out.includes(json['AWS_SESSION_TOKEN'] ?? 'none'))
})
