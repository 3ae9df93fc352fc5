// A daemon in this process, beside a development world, for tests of how it starts, reloads and stops.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../../src/config/load.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { Event } from '../../src/core/events.ts'
import { type Daemon, startDaemon } from '../../src/daemon/daemon.ts'
import { startWorld, type World } from '../support/dev/world.ts'

export interface Stage {
  readonly world: World
  readonly daemon: Daemon
  readonly events: Event[]
  readonly log: string[]
  readonly runtimeDir: string
  /** The configuration that the next reload reads. */
  yaml: string
  /** GET with a consumer's token, or none. */
  get(listener: string, path: string, token?: string): Promise<{ status: number; body: string; headers: NodeJS.Dict<string | string[]> }>
  token(consumer: string): string
}

export interface StageOptions {
  readonly clock?: Clock
  readonly sessionSeconds?: number
  readonly x509TtlSeconds?: number
  readonly yaml: (world: World) => string
}

/** Sets the stage, plays, and clears it whatever happens. */
export async function onStage(options: StageOptions, play: (stage: Stage) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'svidecar-test-'))
  const world = await startWorld({
    directory,
    clock: systemClock,
    x509TtlSeconds: options.x509TtlSeconds ?? 3_600,
    jwtTtlSeconds: 300,
    sessionSeconds: options.sessionSeconds ?? 3_600,
  })
  const runtimeDir = join(directory, 'run')
  const events: Event[] = []
  const log: string[] = []
  let yaml = options.yaml(world)
  const load = () =>
    loadConfig(undefined, {
      env: { SVIDECAR_CONFIG_YAML: yaml, SPIFFE_ENDPOINT_SOCKET: world.socket, SVIDECAR_RUNTIME_DIR: runtimeDir },
      uid: process.getuid?.(),
      terminal: false,
    })
  let daemon: Daemon | undefined
  try {
    daemon = await startDaemon({
      config: await load(),
      load,
      clock: options.clock ?? systemClock,
      random: Math.random,
      env: {},
      version: 'test',
      commit: 'test',
      listener: (event) => events.push(event),
      writeLog: (line) => log.push(line),
    })
    const running = daemon
    await play({
      world,
      daemon: running,
      events,
      log,
      runtimeDir,
      get yaml() {
        return yaml
      },
      set yaml(next) {
        yaml = next
      },
      get: (listener, path, token) => get(running, listener, path, token),
      token: (consumer) => readFileSync(join(runtimeDir, `${consumer}.token`), 'utf8'),
    })
  } finally {
    await daemon?.stop('the test is over')
    await world.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

function get(daemon: Daemon, listener: string, path: string, token: string | undefined): ReturnType<Stage['get']> {
  const address = daemon.listeners.get(listener)?.address ?? ''
  const [host = '', port = ''] = address.split(':')
  const at = address.startsWith('/') ? { socketPath: address } : { host, port: Number(port) }
  return new Promise((resolve, reject) => {
    const call = request(
      { ...at, path, agent: false, headers: { host: '127.0.0.1', ...(token === undefined ? {} : { authorization: token }) } },
      (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => (body += chunk.toString()))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }))
      },
    )
    call.on('error', reject)
    call.end()
  })
}

/** A Roles Anywhere profile of the world, as one line of YAML. */
export const anywhere = ({ arns, aws }: World, more = ''): string =>
  `{ roles_anywhere: { trust_anchor_arn: "${arns.trustAnchor}", profile_arn: "${arns.profile}", role_arn: "${arns.role}" }, endpoint: "${aws.issuingUrl}"${more} }`

/** A web identity profile of the world, as one line of YAML. */
export const web = ({ arns, aws, audience }: World, more = ''): string =>
  `{ web_identity: { role_arn: "${arns.webIdentityRole}", audience: "${audience}" }, region: us-east-1, endpoint: "${aws.issuingUrl}"${more} }`
