// A real SPIRE server in a folder of its own, and the agents that belong to it, as processes that do not outlive the tests.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createKey } from '../support/dev/authority.ts'
import { createCertificate } from '../support/world/certificate.ts'
import { quoted, shipped } from './shipped.ts'
import { accepting } from './world.ts'

/** self-signed: deploy/spire/server-oidc.conf, with `iss` in its tokens. intermediate: server-roles-anywhere.conf, without. */
export type Authority = 'self-signed' | 'intermediate'

export interface Spire {
  readonly trustDomain: string
  readonly issuer: string | undefined
  /** With server.log, server/ and upstream/. */
  readonly folder: string
  /** Of the server's API. */
  readonly socket: string
  /** spire-server's command line; returns what it printed as JSON. */
  server(...args: readonly string[]): Promise<unknown>
  /** Kills the server, as a crash would. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Makes a folder for one agent. */
  agentFolder(name: string): Promise<string>
  agent(folder: string, options: AgentProcessOptions): Promise<Process>
  /** What another client gets: `spire-agent api fetch x509`, SPIRE's own. Rejects with what it printed. */
  fetchX509(path: string): Promise<unknown>
  close(): Promise<void>
}

export interface AgentProcessOptions {
  /** Of the Workload API's socket. */
  readonly path: string
  /** For the first start only: it is spent by then. */
  readonly joinToken?: string | undefined
  readonly workloadKey?: string
  readonly unauthenticatedVerifiers?: boolean
  readonly streamsPerSecond?: number
  /** Without unix:sha256: scenarios measure time, and the digest of Node.js costs a part of each call. */
  readonly withoutDigest?: boolean
}

export interface Process {
  signal(name: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void
  /** Resolves when the process has gone. */
  readonly gone: Promise<void>
}

const run = promisify(execFile)

// Whatever ends the tests ends these, too.
const alive = new Set<ChildProcess>()
const folders = new Set<string>()
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
// A runner that gives up sends SIGTERM, which `exit` is not told of by itself.
for (const [name, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const)
  process.once(name, () => process.exit(code))

export interface SpireOptions {
  readonly authority: Authority
  /** Of the server, for its AWS SDK. Left out, there is no AWS for it. */
  readonly env?: (folder: string) => NodeJS.ProcessEnv
  /** Changes the server's configuration further. */
  readonly edit?: (config: string) => string
  /** Is done when the folder is ready and the server has not started. */
  readonly before?: (folder: string) => Promise<void>
}

// The publisher is told at once that nobody answers.
const withoutAws = () => ({
  AWS_ENDPOINT_URL_ROLESANYWHERE: 'http://127.0.0.1:1',
  AWS_ACCESS_KEY_ID: 'none',
  AWS_SECRET_ACCESS_KEY: 'none',
  AWS_MAX_ATTEMPTS: '1',
})

/** Starts a server. `bin` holds the executables. */
export async function startSpire(bin: string, { authority, env = withoutAws, edit = (config) => config, before }: SpireOptions): Promise<Spire> {
  const folder = await mkdtemp(join(tmpdir(), 'spire-'))
  folders.add(folder)
  const port = await freePort()
  const socket = join(folder, 'server', 'api.sock')
  const config = join(folder, 'server.conf')
  await mkdir(join(folder, 'server'))
  await writeFile(config, edit(serverConfig(authority, folder, { server: port, health: await freePort() })))
  if (authority === 'intermediate') await writeRoot(join(folder, 'upstream'))
  await before?.(folder)
  let process: Process | undefined

  const spire: Spire = {
    folder,
    socket,
    trustDomain: 'example.org',
    issuer: authority === 'self-signed' ? 'https://oidc.example.org' : undefined,
    async server(...args) {
      const { stdout } = await run(join(bin, 'spire-server'), [...args, '-socketPath', socket, '-output', 'json'])
      return JSON.parse(stdout)
    },
    async stop() {
      process?.signal('SIGKILL')
      await process?.gone
    },
    async start() {
      process = await startProcess([join(bin, 'spire-server'), 'run', '-config', config], { env: env(folder), log: join(folder, 'server.log'), path: socket })
    },
    async agentFolder(name) {
      const own = join(folder, name)
      await mkdir(join(own, 'data'), { recursive: true })
      const { stdout } = await run(join(bin, 'spire-server'), ['bundle', 'show', '-socketPath', socket])
      await writeFile(join(own, 'bootstrap.pem'), stdout)
      return own
    },
    async agent(own, options) {
      const file = join(own, 'agent.conf')
      await writeFile(file, agentConfig(own, { server: port, health: await freePort() }, options))
      const token = options.joinToken === undefined ? [] : ['-joinToken', options.joinToken]
      const command = [join(bin, 'spire-agent'), 'run', '-config', file, '-logLevel', 'DEBUG', ...token]
      return startProcess(command, { log: join(own, 'agent.log'), path: options.path })
    },
    async fetchX509(path) {
      const args = ['api', 'fetch', 'x509', '-socketPath', path, '-output', 'json', '-timeout', '2s']
      const { stdout } = await run(join(bin, 'spire-agent'), args)
      return JSON.parse(stdout)
    },
    async close() {
      await spire.stop()
      await rm(folder, { recursive: true, force: true })
      folders.delete(folder)
    },
  }
  await spire.start()
  return spire
}

interface Start {
  readonly env?: NodeJS.ProcessEnv
  readonly log: string
  /** Of its socket; or its port on 127.0.0.1. */
  readonly path: string | number
}

/** Starts a process and waits until its socket accepts connections; its words go to `log`. */
export async function startProcess([program = '', ...args]: readonly string[], { env = {}, log, path }: Start): Promise<Process> {
  const file = openSync(log, 'a')
  const child = spawn(program, args, { stdio: ['ignore', file, file], env: { PATH: process.env['PATH'], ...env } })
  closeSync(file)
  alive.add(child)
  const gone = new Promise<void>((resolve) => {
    child.once('exit', resolve)
    child.once('error', () => resolve())
  })
  void gone.then(() => alive.delete(child))
  const ended = () =>
    child.exitCode === null && child.signalCode === null
      ? undefined
      : `${program} ended (${child.exitCode ?? child.signalCode}):\n${readFileSync(log, 'utf8').split('\n').slice(-15).join('\n')}`
  try {
    await accepting(path, ended)
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  return { gone, signal: (name) => void child.kill(name) }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (typeof address !== 'object' || address === null) throw new Error('no free port')
  return address.port
}

/** Writes a new root, for SPIRE's authority to be below of, as root.pem and root.key. */
export async function writeRoot(folder: string, name = 'Example root'): Promise<X509Certificate> {
  const key = await createKey('ec-p256')
  const now = Math.floor(Date.now() / 1000) * 1000
  const subject = [
    ['C', 'US'],
    ['O', name],
  ] as const
  const root = new X509Certificate(createCertificate({ key, subject, notBefore: now - 60_000, notAfter: now + 7 * 86_400_000, ca: true, uris: [] }))
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'root.key'), key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  await writeFile(join(folder, 'root.pem'), root.toString())
  return root
}

interface Ports {
  readonly server: number
  readonly health: number
}

/** What a server beside others on one machine cannot have as it is shipped. */
export function serverConfig(authority: Authority, folder: string, ports: Ports): string {
  const own = (path: string) => quoted(join(folder, path))
  return shipped(`server-${authority === 'self-signed' ? 'oidc' : 'roles-anywhere'}.conf`, {
    set: {
      'server.bind_address': quoted('127.0.0.1'),
      'server.bind_port': quoted(ports.server),
      'server.socket_path': own('server/api.sock'),
      'server.data_dir': own('server'),
      'DataStore "sql".connection_string': own('server/datastore.sqlite3'),
      'KeyManager "disk".keys_path': own('server/keys.json'),
      'health_checks.bind_port': quoted(ports.health),
      ...(authority === 'intermediate' && {
        'UpstreamAuthority "disk".cert_file_path': own('upstream/root.pem'),
        'UpstreamAuthority "disk".key_file_path': own('upstream/root.key'),
      }),
    },
    // So that changes arrive within a test's patience, and all agents may come from one address at once.
    add: { server: 'experimental { cache_reload_interval = "1s" }\nratelimit { attestation = false }' },
  })
}

/** The same of an agent, and what a scenario asks of it. */
export function agentConfig(folder: string, ports: Ports, options: Omit<AgentProcessOptions, 'joinToken'>): string {
  const { path, workloadKey, unauthenticatedVerifiers, streamsPerSecond, withoutDigest } = options
  const own = (name: string) => quoted(join(folder, name))
  const experimental = ['sync_interval = "1s"', ...(streamsPerSecond === undefined ? [] : [`ratelimit { fetch_x509_svid = ${streamsPerSecond} }`])]
  const more = [
    `experimental {\n${experimental.join('\n')}\n}`,
    ...(workloadKey === undefined ? [] : [`workload_x509_svid_key_type = ${quoted(workloadKey)}`]),
    ...(unauthenticatedVerifiers === true ? ['allow_unauthenticated_verifiers = true'] : []),
  ]
  return shipped('agent.conf', {
    set: {
      'agent.server_address': quoted('127.0.0.1'),
      'agent.server_port': quoted(ports.server),
      'agent.trust_bundle_path': own('bootstrap.pem'),
      'agent.socket_path': quoted(path),
      'agent.data_dir': own('data'),
      'KeyManager "disk".directory': own('data'),
      'health_checks.bind_port': quoted(ports.health),
    },
    add: { agent: more.join('\n'), ...(withoutDigest === true && { 'plugins.WorkloadAttestor "unix".plugin_data': 'workload_size_limit = -1' }) },
  })
}
