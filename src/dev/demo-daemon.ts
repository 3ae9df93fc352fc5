// The daemon of the demo: the real bundle in a process of its own, pointed at the dev world by its configuration alone.

import { existsSync, realpathSync } from 'node:fs'
import { request } from 'node:http'
import { dirname, join } from 'node:path'
import type { StatusReport } from '../core/health.ts'
import { type Child, startChild } from './demo-process.ts'
import type { World } from './world.ts'

/** The profiles of the demo, each with a consumer of its name, by the way to their credentials. */
export const profiles = { app: 'Roles Anywhere', reports: 'web identity' } as const
export type ProfileName = keyof typeof profiles
export const profileNames: readonly ProfileName[] = ['app', 'reports']

export interface Daemon extends Child {
  /** As `svidecar status --json` prints it. */
  status(): Promise<StatusReport>
  /** What points an SDK at one profile: names and values of environment variables, no secret. */
  environment(profile: ProfileName): Promise<Readonly<Record<string, string>>>
}

/** Where the daemon's bundle is: beside the demo's. */
export function daemonBundle(): string {
  const path = join(dirname(realpathSync(process.argv[1] ?? '')), 'svidecar.cjs')
  if (!existsSync(path)) throw new Error(`there is no ${path}, which the demo runs as its daemon: build both with "node build.ts"`)
  return path
}

/** Starts it; `told` gets every line of its log. Resolves at once; the log says when it listens. */
export function startDaemon(bundle: string, world: World, folder: string, told: (line: Readonly<Record<string, unknown>>) => void): Daemon {
  const child = startChild({
    command: [bundle, 'run'],
    // Nothing of the person's own environment, where a proxy or a configuration might be.
    env: { HOME: folder, PATH: process.env['PATH'] ?? '', SVIDECAR_CONFIG_YAML: configuration(world, folder) },
    tells: 'stderr',
    told,
  })
  return {
    ...child,
    status: async () => (await ask(join(folder, 'control.sock'), '/status')) as StatusReport,
    environment: async (profile) => (await ask(join(folder, `${profile}.sock`), '/v1/environment')) as Record<string, string>,
  }
}

/** JSON is YAML. The folder of the demo is the runtime directory, so that its paths stay short enough to paste. */
const configuration = ({ aws, arns, audience, socket }: World, folder: string): string =>
  JSON.stringify({
    identities: { default: { workload_api: socket } },
    profiles: {
      app: { endpoint: aws.issuingUrl, roles_anywhere: { trust_anchor_arn: arns.trustAnchor, profile_arn: arns.profile, role_arn: arns.role } },
      reports: { endpoint: aws.issuingUrl, region: 'us-east-1', web_identity: { role_arn: arns.webIdentityRole, audience } },
    },
    consumers: Object.fromEntries(profileNames.map((name) => [name, { profiles: [name] }])),
    container_endpoint: { listen: '127.0.0.1:0' },
    runtime_dir: folder,
    log: { level: 'debug', format: 'json' },
  })

function ask(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path, headers: { host: 'localhost' }, signal: AbortSignal.timeout(2_000) }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (body += chunk))
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(body))
        else reject(new Error(`the daemon answered ${response.statusCode} to ${path}: ${body}`))
      })
    })
      .on('error', reject)
      .end()
  })
}
