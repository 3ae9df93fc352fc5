// What the tests on real machines share: tools that must be there, commands, folders, and a dev world that any uid may reach.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { systemClock } from '../../src/core/clock.ts'
import { startWorld, type World } from '../support/dev/world.ts'
import { eventually } from '../support/eventually.ts'

export const checkout = resolve(import.meta.dirname, '../..')
/** The pinned Node.js, which these tests run on. */
export const node = process.execPath

/** Throws with one sentence for whoever runs the tests. `packages`: the Debian package of each command. */
export function need(packages: Readonly<Record<string, string>>): void {
  assert.equal(process.getuid?.(), 0, 'this test makes namespaces and mounts, which takes root')
  const path = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  for (const [command, name] of Object.entries(packages))
    assert(
      path.some((folder) => existsSync(join(folder, command))),
      `this test needs ${command}: apt-get install ${name}`,
    )
}

export interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

interface RunOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string
  readonly timeoutMs?: number
}

/** Runs a command to its end, whatever that is; 128 when a signal or the time ended it. */
export function run([command = '', ...args]: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { input, timeoutMs = 60_000, ...where } = options
  return new Promise((done, reject) => {
    const child = execFile(command, args, { ...where, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error !== null && child.pid === undefined) reject(error)
      else done({ status: child.exitCode ?? 128, stdout, stderr })
    })
    child.stdin?.on('error', () => {}) // told by its exit
    child.stdin?.end(input)
  })
}

/** Runs a command that has to succeed; resolves with what it printed. */
export async function must(command: readonly string[], options?: RunOptions): Promise<string> {
  const { status, stdout, stderr } = await run(command, options)
  assert.equal(status, 0, `${command.join(' ')} ended with ${status}:\n${stdout.slice(-4000)}\n${stderr.slice(-4000)}`)
  return stdout
}

export interface Running {
  readonly pid: number
  /** Its exit status; 128 when a signal ended it. */
  readonly ended: Promise<number>
  /** The end of what it has printed. */
  said(): string
  /** Throws when it has ended. */
  check(): void
  kill(signal: NodeJS.Signals): void
}

/** Starts a command that stays. `input` 'pipe': its standard input ends when this process does, however that comes. */
export function launch([command = '', ...args]: readonly string[], env: NodeJS.ProcessEnv = process.env, input: 'ignore' | 'pipe' = 'ignore'): Running {
  const child = spawn(command, args, { env, stdio: [input, 'pipe', 'pipe'] })
  let said = ''
  let over = false
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      said = `${said}${chunk.toString()}`.slice(-10_000)
    })
  const ended = new Promise<number>((resolve) => {
    child.once('error', (error) => {
      said += error.message
    })
    child.once('close', (code) => {
      over = true
      resolve(code ?? 128)
    })
  })
  return {
    pid: child.pid ?? 0,
    ended,
    said: () => said,
    check: () => assert.ok(!over, `${command} has ended: ${said}`),
    kill: (signal) => void child.kill(signal),
  }
}

/** Builds the product and copies it, with the Node.js that it runs on, to where any user may run it; the command. */
export async function install(directory: string): Promise<readonly string[]> {
  await must([node, 'build.ts'], { cwd: checkout })
  const command = [join(directory, 'node'), join(directory, 'svidecar.cjs')] as const
  await copyFile(node, command[0])
  await copyFile(join(checkout, 'dist/svidecar.cjs'), command[1])
  return command
}

/** Path of the executable: built when there is none, or the one that is there holds another bundle than the sources make. */
export async function executable(): Promise<string> {
  await must([node, 'build.ts'], { cwd: checkout })
  const file = join(checkout, 'dist/svidecar')
  const bundle = await readFile(join(checkout, 'dist/svidecar.cjs'))
  if (!existsSync(file) || !(await readFile(file)).includes(bundle)) await must([node, 'build-sea.ts'], { cwd: checkout, timeoutMs: 300_000 })
  return file
}

/** A folder that other users may pass through, and what was made in it is gone at the end. */
export async function folder(name: string): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), `${name}-`))
  await chmod(path, 0o755)
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** Ports of 127.0.0.1 that nobody uses now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  return Promise.all(
    servers.map(async (server) => {
      const address = await eventually('a free port', () => server.address())
      await new Promise((closed) => server.close(closed))
      return typeof address === 'object' ? address.port : 0
    }),
  )
}

/** A dev world in <directory>/sockets, where, unlike on a laptop, every user may ask its agent. */
export async function openWorld(directory: string, sessionSeconds = 3600): Promise<World & { sockets: string }> {
  const sockets = join(directory, 'sockets')
  await mkdir(sockets, { recursive: true })
  const world = await startWorld({ directory: sockets, clock: systemClock, x509TtlSeconds: 3600, jwtTtlSeconds: 3600, sessionSeconds })
  await chmod(join(sockets, 'agent.sock'), 0o777)
  return { ...world, sockets }
}

export interface Ports {
  readonly credentials: number
  readonly metrics: number
}

/** A daemon's configuration in this world, as it sees it from where the sockets are at /run/spire/sockets: JSON is YAML. */
export const configuration = ({ aws, arns }: World, { credentials, metrics }: Ports, more: object = {}): string =>
  JSON.stringify({
    identities: { default: { workload_api: 'unix:///run/spire/sockets/agent.sock' } },
    profiles: { app: { endpoint: aws.issuingUrl, roles_anywhere: { trust_anchor_arn: arns.trustAnchor, profile_arn: arns.profile, role_arn: arns.role } } },
    consumers: { app: { profiles: ['app'] } },
    container_endpoint: { listen: `127.0.0.1:${credentials}` },
    metrics_endpoint: { listen: `127.0.0.1:${metrics}` },
    ...more,
  })

/** What the daemon's metrics listener answers. */
export const probe = async (port: number, path: string): Promise<number> =>
  (await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } })).status

/** Removes the cgroups of that name, which outlive what ran in them, wherever they are. */
export async function removeCgroups(name: string): Promise<void> {
  const remove = async (path: string): Promise<void> => {
    for (const entry of await readdir(path, { withFileTypes: true })) if (entry.isDirectory()) await remove(join(path, entry.name))
    await rmdir(path)
  }
  for (const path of globSync(`/sys/fs/cgroup/**/${name}`))
    await eventually(`${path} is empty`, async () => {
      if (existsSync(path)) await remove(path)
      return true
    })
}
