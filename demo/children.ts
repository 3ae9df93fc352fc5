// The demo's child processes: the real daemon, pointed at the dev world by its configuration alone, and its clients.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, realpathSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { json } from 'node:stream/consumers'
import type { StatusReport } from '../src/core/health.ts'
import { arns, audience, region } from '../test/support/world/world.ts'

/** Starts a program of Node's with this environment and nothing of the person's own; `told` gets each line of its output. */
export function startChild(command: readonly string[], folder: string, variables: Readonly<Record<string, string>>, told?: (line: string) => void) {
  const env = { HOME: folder, PATH: process.env['PATH'] ?? '', ...variables }
  // In a session of its own, so that Ctrl-C reaches the demo alone, which then ends its children in order.
  const child = spawn(process.execPath, command, { env, stdio: 'pipe', detached: true })
  let lastWords = ''
  createInterface({ input: child.stdout }).on('line', (line) => told?.(line))
  createInterface({ input: child.stderr }).on('line', (line) => (lastWords = `: ${line}`))
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (status, signal) => resolve(`${signal === null ? `exit status ${status}` : `signal ${signal}`}${lastWords}`))
  })
  return {
    pid: child.pid,
    /** Resolves with how it ended and with its last words, such as "exit status 2: …". Never rejects. */
    ended,
    /** Asks it to end, and makes it after three seconds. */
    async stop() {
      child.kill('SIGTERM')
      const force = setTimeout(() => child.kill('SIGKILL'), 3_000)
      await ended
      clearTimeout(force)
    },
  }
}

/** Starts the daemon's bundle, which is beside the demo's; the agent is in the folder and AWS at `endpoint`. */
export function startDaemon(folder: string, endpoint: string) {
  const bundle = join(dirname(realpathSync(process.argv[1] ?? '')), 'svidecar.cjs')
  if (!existsSync(bundle)) throw new Error(`there is no ${bundle}, which the demo runs as its daemon: build both with "node build.ts"`)
  return {
    ...startChild([bundle, 'run'], folder, { SVIDECAR_CONFIG_YAML: configuration(folder, endpoint) }),
    /** As `svidecar status --json` prints it. */
    status: async () => (await ask(join(folder, 'control.sock'), '/status')) as StatusReport,
    /** What points an SDK at one profile: names and values of environment variables, no secret. */
    environment: async (profile: string) => (await ask(join(folder, `${profile}.sock`), '/v1/environment')) as Record<string, string>,
  }
}

/** JSON is YAML. The folder of the demo is the runtime directory, so that its paths stay short enough to paste. */
const configuration = (folder: string, endpoint: string): string =>
  JSON.stringify({
    identities: { default: { workload_api: `unix://${folder}/agent.sock` } },
    profiles: {
      app: { endpoint, roles_anywhere: { trust_anchor_arn: arns.trustAnchor, profile_arn: arns.profile, role_arn: arns.role } },
      reports: { endpoint, region, web_identity: { role_arn: arns.webIdentityRole, audience } },
    },
    consumers: { app: { profiles: ['app'] }, reports: { profiles: ['reports'] } },
    container_endpoint: { listen: '127.0.0.1:0' },
    runtime_dir: folder,
    // The status tells the story; the log is for the last words.
    log: { level: 'error' },
  })

async function ask(socketPath: string, path: string): Promise<unknown> {
  const request = get({ socketPath, path, headers: { host: 'localhost' }, signal: AbortSignal.timeout(2_000) })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const body = await json(response)
  if (response.statusCode !== 200) throw new Error(`the daemon answered ${response.statusCode} to ${path}`)
  return body
}

/**
 * For an end that no process can catch: a shell that waits for the end of its input, then ends the daemon, which
 * would go on for ever, and removes the folder. Returns how to send it away.
 */
export function startGuard(pid: number | undefined, folder: string): () => void {
  const script = 'read -r _; kill "$1"; sleep 1; rm -rf -- "$2"'
  const guard = spawn('/bin/sh', ['-c', script, 'sh', String(pid), folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  guard.on('error', () => {}) // a machine without a shell has no guard
  return () => guard.kill('SIGKILL')
}
