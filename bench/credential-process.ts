// What one call of a tool costs that gets its credentials by credential_process: svidecar's own command, curl on the same socket, and AWS.
// `npm run build && node bench/credential-process.ts`
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { systemClock } from '../src/core/clock.ts'
import { startWorld } from '../test/support/dev/world.ts'

const directory = mkdtempSync(join(tmpdir(), 'svidecar-bench-'))
const world = await startWorld({ directory, clock: systemClock, x509TtlSeconds: 3_600, jwtTtlSeconds: 300, sessionSeconds: 3_600 })
const { arns, aws, socket } = world
const run = join(directory, 'run')
const yaml = `{ profiles: { app: { roles_anywhere: { trust_anchor_arn: "${arns.trustAnchor}", profile_arn: "${arns.profile}", role_arn: "${arns.role}" }, endpoint: "${aws.issuingUrl}" } }, consumers: { app: { profiles: [app] } }, runtime_dir: "${run}" }`
const env = { PATH: process.env['PATH'], SPIFFE_ENDPOINT_SOCKET: socket, SVIDECAR_CONFIG_YAML: yaml, NODE_COMPILE_CACHE: join(directory, 'cache') }
const daemon = spawn(process.execPath, ['dist/svidecar.cjs', 'run'], { env, stdio: 'ignore' })
const own = [process.execPath, 'dist/svidecar.cjs', 'credential-process', '--runtime-dir', run] as const
const curl = [
  'curl',
  '--silent',
  '--show-error',
  '--fail',
  '--max-time',
  '5',
  '--unix-socket',
  join(run, 'app.sock'),
  'http://localhost/v1/credential-process',
] as const

const give = ([command, ...args]: readonly [string, ...string[]]): string =>
  execFileSync(command, args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
const works = (): boolean => {
  try {
    return existsSync(join(run, 'app.sock')) && give(own).includes('AccessKeyId')
  } catch {
    return false
  }
}
while (!works()) await setTimeout(100)

const before = aws.requests.length
for (const [name, command] of [
  ['svidecar credential-process', own],
  ['curl --unix-socket', curl],
] as const) {
  const times = Array.from({ length: 100 }, () => {
    const begun = performance.now()
    give(command)
    return performance.now() - begun
  }).sort((a, b) => a - b)
  console.log(`${name}: median ${times[50]?.toFixed(1)} ms, p90 ${times[90]?.toFixed(1)} ms, worst ${times.at(-1)?.toFixed(1)} ms`)
}
console.log(`200 calls made ${aws.requests.length - before} calls of AWS`)
daemon.kill()
await new Promise((resolve) => daemon.once('exit', resolve))
await world.stop()
rmSync(directory, { recursive: true, force: true })
