// A real SPIRE server in a folder of its own, and the agents that belong to it, as processes that do not outlive the tests.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createKey } from '../support/dev/authority.ts'
import { createCertificate, type Name } from '../support/world/certificate.ts'
import { accepting } from './world.ts'

export interface Spire {
  readonly trustDomain: string
  readonly issuer: string | undefined
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

/** Starts a server: self-signed with `iss` in its tokens, or below an upstream authority and without. `bin` holds the executables. */
export async function startSpire(bin: string, authority: 'self-signed' | 'intermediate'): Promise<Spire> {
  const folder = await mkdtemp(join(tmpdir(), 'spire-'))
  folders.add(folder)
  const port = await freePort()
  const trustDomain = 'spire.conformance'
  const issuer = authority === 'intermediate' ? undefined : 'https://oidc.spire.conformance'
  const socket = join(folder, 'server', 'api.sock')
  const config = join(folder, 'server.conf')
  await mkdir(join(folder, 'server'))
  await writeFile(config, serverConfig({ folder, port, trustDomain, issuer, upstream: issuer === undefined }))
  if (issuer === undefined) await writeUpstream(folder)
  let process: Process | undefined

  const launch = (program: string, args: readonly string[], log: string, path: string): Promise<Process> => startProcess(join(bin, program), args, log, path)

  const spire: Spire = {
    trustDomain,
    issuer,
    async server(...args) {
      const { stdout } = await run(join(bin, 'spire-server'), [...args, '-socketPath', socket, '-output', 'json'])
      return JSON.parse(stdout)
    },
    async stop() {
      process?.signal('SIGKILL')
      await process?.gone
    },
    async start() {
      process = await launch('spire-server', ['run', '-config', config], join(folder, 'server.log'), socket)
    },
    async agentFolder(name) {
      const own = join(folder, name)
      await mkdir(join(own, 'data'), { recursive: true })
      return own
    },
    async agent(own, options) {
      const file = join(own, 'agent.conf')
      await writeFile(file, agentConfig({ folder: own, port, trustDomain, ...options }))
      const token = options.joinToken === undefined ? [] : ['-joinToken', options.joinToken]
      return launch('spire-agent', ['run', '-config', file, ...token], join(own, 'agent.log'), options.path)
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

/** Starts a process and waits until its socket accepts connections; its words go to `log`. */
async function startProcess(program: string, args: readonly string[], log: string, path: string): Promise<Process> {
  const file = openSync(log, 'a')
  const child = spawn(program, args, { stdio: ['ignore', file, file] })
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

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (typeof address !== 'object' || address === null) throw new Error('no free port')
  return address.port
}

/** A root of our own above SPIRE's authority. */
async function writeUpstream(folder: string): Promise<void> {
  const key = await createKey('ec-p256')
  const name: Name = [
    ['C', 'US'],
    ['O', 'conformance upstream'],
  ]
  const now = Math.floor(Date.now() / 1000) * 1000
  const root = createCertificate({ key, subject: name, notBefore: now - 60_000, notAfter: now + 7 * 86_400_000, ca: true, uris: [] })
  const pem = `-----BEGIN CERTIFICATE-----\n${root.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`
  await writeFile(join(folder, 'upstream.pem'), pem)
  await writeFile(join(folder, 'upstream.key'), key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
}

interface ServerConfig {
  readonly folder: string
  readonly port: number
  readonly trustDomain: string
  readonly issuer: string | undefined
  readonly upstream: boolean
}

// The CA's own life stays at its 24 hours: an agent's SVID is capped by it, and a joined agent cannot join again.
const serverConfig = ({ folder, port, trustDomain, issuer, upstream }: ServerConfig): string => `
server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  trust_domain = "${trustDomain}"
  socket_path = "${folder}/server/api.sock"
  data_dir = "${folder}/server"
  log_level = "DEBUG"
  default_x509_svid_ttl = "1h"
  default_jwt_svid_ttl = "5m"
  agent_ttl = "1h"
  ${issuer === undefined ? '' : `jwt_issuer = "${issuer}"`}
  ratelimit { attestation = false }
  experimental { cache_reload_interval = "1s" }
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3"
    connection_string = "${folder}/server/db.sqlite3" } }
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "disk" { plugin_data { keys_path = "${folder}/server/keys.json" } }
  ${upstream ? `UpstreamAuthority "disk" { plugin_data { cert_file_path = "${folder}/upstream.pem"\n key_file_path = "${folder}/upstream.key" } }` : ''}
}
`

interface AgentConfig extends AgentProcessOptions {
  readonly folder: string
  readonly port: number
  readonly trustDomain: string
}

const agentConfig = (config: AgentConfig): string => `
agent {
  server_address = "127.0.0.1"
  server_port = "${config.port}"
  trust_domain = "${config.trustDomain}"
  socket_path = "${config.path}"
  data_dir = "${config.folder}/data"
  log_level = "DEBUG"
  insecure_bootstrap = true
  allow_unauthenticated_verifiers = ${config.unauthenticatedVerifiers ?? false}
  workload_x509_svid_key_type = "${config.workloadKey ?? 'ec-p256'}"
  experimental {
    sync_interval = "1s"
    ratelimit { fetch_x509_svid = ${config.streamsPerSecond ?? 0} }
  }
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "disk" { plugin_data { directory = "${config.folder}/data" } }
  WorkloadAttestor "unix" { plugin_data {} }
}
`
