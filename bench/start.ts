// From exec to the first credentials served, and what the daemon weighs when idle: the executable and the bundle by turns, against the development world.
// `npm run build:sea && node bench/start.ts [runs]`
import { type ChildProcess, spawn } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { systemClock } from '../src/core/clock.ts'
import { startWorld } from '../test/support/dev/world.ts'

const runs = Number(process.argv[2] ?? 15)
const port = 19_912

const ask = (token: string, agent?: undefined): Promise<number> =>
  new Promise((resolve) => {
    const call = request({ host: '127.0.0.1', port, path: '/v1/credentials', agent, headers: { authorization: token } }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
    })
    call.on('error', () => resolve(0))
    call.end()
  })

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Megabytes of the process, by the kernel's own books. */
function memory(child: ChildProcess): { rss: number; pss: number; private: number } {
  const rollup = read(`/proc/${child.pid}/smaps_rollup`)
  const of = (name: string) => Math.round(Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0) / 102.4) / 10
  return { rss: of('Rss'), pss: of('Pss'), private: Math.round((of('Private_Dirty') + of('Private_Clean')) * 10) / 10 }
}

/** Milliseconds of processor that all its threads have had: it does not grow when others are busy, as time does. */
const cpuMs = ({ pid }: ChildProcess): number =>
  globSync(`/proc/${pid}/task/*/schedstat`).reduce((sum, file) => sum + Number(read(file).split(' ')[0]) / 1e6, 0)

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

for (const method of ['roles_anywhere', 'web_identity'] as const) {
  const directory = mkdtempSync(join(tmpdir(), 'svidecar-bench-'))
  const world = await startWorld({ directory, clock: systemClock, x509TtlSeconds: 3_600, jwtTtlSeconds: 300, sessionSeconds: 3_600 })
  const { arns, aws, audience, socket } = world
  const how =
    method === 'roles_anywhere'
      ? `roles_anywhere: { trust_anchor_arn: "${arns.trustAnchor}", profile_arn: "${arns.profile}", role_arn: "${arns.role}" }`
      : `web_identity: { role_arn: "${arns.webIdentityRole}", audience: "${audience}" }, region: us-east-1`
  const yaml = `{ profiles: { app: { ${how}, endpoint: "${aws.issuingUrl}" } }, consumers: { app: { profiles: [app] } }, container_endpoint: { listen: "127.0.0.1:${port}" }, runtime_dir: "${directory}/run" }`
  const env = { PATH: process.env['PATH'], SPIFFE_ENDPOINT_SOCKET: socket, SVIDECAR_CONFIG_YAML: yaml, NODE_COMPILE_CACHE: join(directory, 'cache') }
  const forms = [
    { name: 'executable', command: ['dist/svidecar'] as const, times: [] as number[], work: [] as number[], idle: { rss: 0, pss: 0, private: 0 } },
    {
      name: 'bundle',
      command: [process.execPath, '--disable-sigusr1', 'dist/svidecar.cjs'] as const,
      times: [] as number[],
      work: [] as number[],
      idle: { rss: 0, pss: 0, private: 0 },
    },
  ]
  for (let run = 0; run <= runs; run++)
    for (const form of forms) {
      const [command, ...args] = form.command
      const begun = performance.now()
      const child = spawn(command, [...args, 'run'], { env, stdio: 'ignore' })
      let token = ''
      while (token === '' || (await ask(token)) !== 200) {
        token = read(join(directory, 'run', 'app.token'))
        await setTimeout(1)
      }
      if (run > 0) {
        form.times.push(performance.now() - begun)
        form.work.push(cpuMs(child))
      }
      if (run === runs) {
        await setTimeout(5_000)
        form.idle = memory(child)
      }
      child.kill()
      await new Promise((resolve) => child.once('exit', resolve))
    }
  for (const { name, times, work, idle } of forms)
    console.log(
      `${method}, ${name}: exec to first credentials served, median of ${runs}: ${Math.round(median(times))} ms, of processor ${Math.round(median(work))} ms; idle RSS ${idle.rss} MB, PSS ${idle.pss} MB, private ${idle.private} MB`,
    )
  await world.stop()
  rmSync(directory, { recursive: true, force: true })
}
