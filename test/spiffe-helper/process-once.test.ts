// spiffe-helper run once, with hooks of svidecar's configuration below it: what it says and does when they fail, and when it is stopped.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { folder, start, worldIn } from '../cli/support.ts'
import { lives } from '../hooks/support.ts'
import { eventually } from '../support/eventually.ts'

/** Starts it over a world, with hooks that run these scripts. */
async function setUp(t: TestContext, scripts: (directory: string) => readonly string[]) {
  const directory = await folder(t)
  const { socket } = await worldIn(t, directory)
  const hooks = scripts(directory).map((script) => `  - { on: [jwt_bundle], run: [/bin/sh, -c, "${script}"] }\n`)
  const files = `files: [{ jwt_bundle: { path: ${directory}/own } }]\n`
  writeFileSync(join(directory, 'svidecar.yaml'), `identities: { default: { workload_api: "${socket}" } }\n${files}hooks:\n${hooks.join('')}`)
  const names = 'svid_file_name = "s" svid_key_file_name = "k" svid_bundle_file_name = "b"\n'
  const conf = `agent_address = "${socket.replace('unix://', '')}"\ncert_dir = "${directory}"\n${names}"svidecar_config" = "${directory}/svidecar.yaml"\n`
  writeFileSync(join(directory, 'helper.conf'), conf)
  return { directory, program: start(t, ['spiffe-helper', '-daemon-mode=false', '-config', join(directory, 'helper.conf')]) }
}

test('with hooks that are told it ends with status 0', async (t) => {
  const { directory, program } = await setUp(t, (at) => [`: > ${at}/told`])
  const { code, err } = await program.ended
  assert.equal(code, 0, err)
  for (const name of ['s', 'k', 'b', 'own', 'told']) assert.ok(existsSync(join(directory, name)), name)
})

test('a hook that fails is status 1 and says which and how, and the files are there', async (t) => {
  const { directory, program } = await setUp(t, (at) => [`: > ${at}/told`, 'exit 7'])
  const { code, err } = await program.ended
  assert.equal(code, 1, err)
  assert.match(err, /level=error msg="Error starting spiffe-helper" error="hook \/bin\/sh[^"]*: \/bin\/sh ended with exit status 7"/)
  assert.doesNotMatch(err, /msg=Exiting/)
  for (const name of ['s', 'k', 'b', 'own', 'told']) assert.ok(existsSync(join(directory, name)), name)
})

test('a second SIGTERM while it stops does not leave the process of a hook behind', async (t) => {
  const { directory, program } = await setUp(t, (at) => [`trap ': > ${at}/asked' TERM; echo $$ > ${at}/pid; until [ -e ${at}/go ]; do sleep 0.01; done`])
  const pid = await eventually('its number', () => Number(readFileSync(join(directory, 'pid'), 'utf8')))
  program.child.kill('SIGTERM')
  await eventually('the hook is asked to end', () => existsSync(join(directory, 'asked')))
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGTERM'] as const) program.child.kill(signal)
  writeFileSync(join(directory, 'go'), '')
  const { code, signal } = await program.ended
  assert.deepEqual([code, signal, lives(pid)], [1, null, false])
})
