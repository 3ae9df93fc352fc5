// A runner's host for tests: svidecar is in /usr/bin and runs as a user of its own, and jobs run as others, with only what the shipped files give them.
import { chmod, chown, copyFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import { parse } from 'yaml'
import { eventually } from '../../support/eventually.ts'
import { checkout, executable, freePorts, launch, node, type Outcome, openWorld, type Running, run } from '../machine.ts'

/** Users and their groups of the same number; nobody else's on this machine. */
export const daemonUser = 6601
export const runnerUser = 6602

const programs = '/usr/lib/svidecar-test'
/** A command there that asks AWS who it is, by the SDK for JavaScript, and knows only environment variables. */
export const askAws = (sts: string) => `echo identity | AWS_ENDPOINT_URL_STS=${sts} ${programs}/node ${programs}/client.mjs`

export interface Host {
  /** Of a command on the host, as root. */
  on(command: readonly string[]): readonly string[]
  readonly world: Awaited<ReturnType<typeof openWorld>>
  readonly ports: { readonly credentials: number; readonly metrics: number }
  /** What is /run there. */
  readonly run: string
  /** A shipped file's text, for this world. */
  text(path: string): Promise<string>
  /** Starts a daemon there, as its user, with a configuration that is a shipped file changed for this world; its listeners are open. */
  daemon(configuration: string, runtimeDir?: string, user?: number): Promise<Running>
  /** Runs a command there as this user, who is in these groups, with this environment alone. */
  as(user: number, groups: readonly number[], command: readonly string[], env: NodeJS.ProcessEnv, cwd?: string): Promise<Outcome>
}

/** Lays out a host in this folder; `shipped` says which file of deploy/ lies where. */
export async function openHost(directory: string, shipped: Readonly<Record<string, string>>): Promise<Host> {
  const own = (name: string) => join(directory, name)
  const [credentials = 0, metrics = 0] = await freePorts(2)
  const world = await openWorld(directory)
  const text = async (path: string) =>
    (await readFile(join(checkout, 'deploy', path), 'utf8'))
      .replaceAll('127.0.0.1:9912', `127.0.0.1:${credentials}`)
      .replaceAll('127.0.0.1:9913', `127.0.0.1:${metrics}`)
  for (const path of ['usr/bin', programs]) await mkdir(own(join('files', path)), { recursive: true })
  await copyFile(await executable(), own('files/usr/bin/svidecar'))
  await copyFile(node, own(join('files', programs, 'node')))
  // In one file, because a job may not see the checkout.
  const options = {
    bundle: true,
    platform: 'node',
    format: 'esm',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire('/')" },
  } as const
  await build({ ...options, entryPoints: [join(checkout, 'test/sdk/client.ts')], outfile: own(join('files', programs, 'client.mjs')), logLevel: 'error' })
  for (const [from, to] of Object.entries(shipped)) {
    await cp(join(checkout, 'deploy', from), own(`files${to}`), { recursive: true })
    await writeFile(own(`files${to}`), await text(from))
  }
  for (const path of ['state', 'run', 'run/spire', 'run/spire/sockets']) await mkdir(own(path))
  // A socket is followed through a link, from every namespace.
  await symlink(join(world.sockets, 'agent.sock'), own('run/spire/sockets/agent.sock'))

  const onHost = (command: readonly string[]) => [
    'unshare',
    '--mount',
    join(checkout, 'test/platform/runners/host'),
    own('files'),
    own('run'),
    own('state'),
    ...command,
  ]
  const asUser = (user: number, groups: readonly number[]) => [
    'setpriv',
    `--reuid=${user}`,
    `--regid=${user}`,
    ...(groups.length === 0 ? ['--clear-groups'] : [`--groups=${groups.join(',')}`]),
    '--inh-caps=-all',
    '--bounding-set=-all',
    '--no-new-privs',
  ]
  return {
    on: onHost,
    world,
    ports: { credentials, metrics },
    run: own('run'),
    text,
    async daemon(configuration, runtimeDir = '/run/svidecar', user = daemonUser) {
      const config = parse(configuration) as { profiles: Record<string, object> }
      for (const profile of Object.values(config.profiles)) Object.assign(profile, { endpoint: world.aws.issuingUrl })
      const { trustAnchor, profile, role } = world.arns
      const here = JSON.stringify(config)
        .replaceAll(/arn:aws:rolesanywhere:[^"]*:trust-anchor\/[^"]*/g, trustAnchor)
        .replaceAll(/arn:aws:rolesanywhere:[^"]*:profile\/[^"]*/g, profile)
        .replaceAll(/arn:aws:iam::[^"]*:role\/[^"]*/g, role)
        .replaceAll('"group":"svidecar"', `"group":"${daemonUser}"`)
      const folder = own(`run${runtimeDir.slice('/run'.length)}`)
      await mkdir(folder, { recursive: true })
      await chown(folder, user, user)
      await chmod(folder, 0o755)
      const command = [...asUser(user, []), '/usr/bin/svidecar', 'run']
      const daemon = launch(onHost(command), { PATH: '/usr/bin:/bin', SVIDECAR_CONFIG_YAML: here, SVIDECAR_RUNTIME_DIR: runtimeDir })
      await eventually('the daemon listens', () => {
        daemon.check()
        return daemon.said().includes('"daemon.listening"')
      })
      return daemon
    },
    as: (user, groups, command, env, cwd = '/') => run(onHost([...asUser(user, groups), '--', ...command]), { env: { PATH: '/usr/bin:/bin', ...env }, cwd }),
  }
}
