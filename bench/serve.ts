// Answers of the container endpoint under load, also while every refresh hangs: the bundle as one process, this as its clients.
// `npm run build && node bench/serve.ts`
import { spawn } from 'node:child_process'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { systemClock } from '../src/core/clock.ts'
import { startWorld } from '../test/support/dev/world.ts'

const port = 19_913
const seconds = 4
const directory = mkdtempSync(join(tmpdir(), 'svidecar-bench-'))
const world = await startWorld({ directory, clock: systemClock, x509TtlSeconds: 3_600, jwtTtlSeconds: 300, sessionSeconds: 3_600 })
const { arns, aws, socket } = world
const yaml = `{ profiles: { app: { roles_anywhere: { trust_anchor_arn: "${arns.trustAnchor}", profile_arn: "${arns.profile}", role_arn: "${arns.role}" }, endpoint: "${aws.issuingUrl}" } }, consumers: { app: { profiles: [app] } }, container_endpoint: { listen: "127.0.0.1:${port}" }, runtime_dir: "${directory}/run" }`
const daemon = spawn(process.execPath, ['--disable-sigusr1', 'dist/svidecar.cjs', 'run'], {
  env: { PATH: process.env['PATH'], SPIFFE_ENDPOINT_SOCKET: socket, SVIDECAR_CONFIG_YAML: yaml },
  // Each read is a line of the log.
  stdio: ['ignore', 'ignore', openSync(join(directory, 'log'), 'w')],
})

function ask(agent: Agent, token: string): Promise<number> {
  return new Promise((resolve) => {
    const call = get({ host: '127.0.0.1', port, path: '/v1/credentials', agent, headers: { authorization: token } }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
    })
    call.on('error', () => resolve(0))
  })
}

async function measure(name: string, connections: number, token: string): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const times: number[] = []
  let wrong = 0
  const end = performance.now() + seconds * 1_000
  const client = async () => {
    while (performance.now() < end) {
      const begun = performance.now()
      if ((await ask(agent, token)) !== 200) wrong++
      times.push(performance.now() - begun)
    }
  }
  await Promise.all(Array.from({ length: connections }, client))
  agent.destroy()
  times.sort((a, b) => a - b)
  const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(2)
  console.log(`${name}, ${connections} connections: ${Math.round(times.length / seconds)} answers/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ${wrong} not 200`)
}

let token = ''
while (token === '' || (await ask(new Agent(), token)) !== 200) {
  await setTimeout(20)
  try {
    token = readFileSync(join(directory, 'run', 'app.token'), 'utf8')
  } catch {
    // not yet
  }
}
for (const connections of [1, 16]) await measure('quiet', connections, token)
aws.setFault('hang')
const refresh = spawn(process.execPath, ['dist/svidecar.cjs', 'refresh', '--runtime-dir', join(directory, 'run')], { stdio: 'ignore' })
await setTimeout(500)
for (const connections of [1, 16]) await measure('while a refresh hangs', connections, token)
refresh.kill()
daemon.kill()
await new Promise((resolve) => daemon.once('exit', resolve))
await world.stop()
rmSync(directory, { recursive: true, force: true })
process.exit(0)
