// The bundle as it ships: one file, alone in a folder, without node_modules.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../src/core/clock.ts'
import { anywhere, web } from './daemon/support.ts'
import { startWorld } from './support/dev/world.ts'

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }

test('the bundle runs alone: gRPC, YAML, both exchanges and the endpoint are inside', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'svidecar-test-'))
  const world = await startWorld({ directory, clock: systemClock, x509TtlSeconds: 3_600, jwtTtlSeconds: 300, sessionSeconds: 3_600 })
  // The agent is of this process, so this process must not block while it is asked.
  const run = (...args: string[]) =>
    new Promise<{ status: number | null; out: string }>((resolve) => {
      const child = spawn(process.execPath, ['svidecar.cjs', ...args], { cwd: directory, env: { PATH: process.env['PATH'], TMPDIR: directory } })
      let out = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (out += chunk))
      child.once('exit', (status) => resolve({ status, out }))
    })
  try {
    copyFileSync('dist/svidecar.cjs', join(directory, 'svidecar.cjs'))
    assert.match(
      spawnSync(process.execPath, [join(directory, 'svidecar.cjs'), '--version'], { encoding: 'utf8' }).stdout,
      new RegExp(`^svidecar ${version} \\(\\S+, Node`),
    )
    writeFileSync(
      join(directory, 'config.yaml'),
      `identities: { default: { workload_api: "${world.socket}" } }\nprofiles:\n  app: ${anywhere(world)}\n  reports: ${web(world)}\n`,
    )
    for (const profile of ['app', 'reports']) {
      const script =
        'fetch(process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI, { headers: { authorization: require("fs").readFileSync(process.env.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, "utf8") } }).then((answer) => console.log(answer.status))'
      const { status, out } = await run('exec', '--config', 'config.yaml', '--profile', profile, '--', process.execPath, '-e', script)
      assert.equal(status, 0, out)
      assert.match(out, /^200$/m)
    }
  } finally {
    await world.stop()
    rmSync(directory, { recursive: true, force: true })
  }
})
