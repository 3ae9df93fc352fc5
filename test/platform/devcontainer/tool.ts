// The real tool of dev containers with podman as its engine, an image of this machine's programs, and one workspace made of the shipped example.
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import { commit, install } from '../base-images.ts'
import { containersIn } from '../images.ts'
import { checkout, executable, must, node, type Outcome, run } from '../machine.ts'

export const feature = join(checkout, 'deploy/devcontainer/svidecar')
export const example = join(checkout, 'deploy/devcontainer/example/.devcontainer')
export const image = 'localhost/devcontainer-base'
export const user = 'vscode'

// What an image for development has anyway, of what the tool and the feature use.
const shell = 'sh bash env id getent su ps'
const files =
  'basename cat chmod chown cp cut date dirname find grep head install ls mkdir mktemp mv printf readlink rm sed sort tail tar gzip touch tr uname wc'
const others = 'curl flock setsid sha256sum sleep stat true'

export interface Tool {
  readonly env: NodeJS.ProcessEnv
  /** Where the workspace is on this machine. */
  readonly workspace: string
  devcontainer(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Outcome>
  /** Runs a command in the container as a user of it, as `docker exec` does. */
  inside(command: readonly string[], as?: string): Promise<Outcome>
}

/** The image, with a user that is not root; and Node.js in it, for a program that uses AWS. */
async function buildImage(folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const root = join(folder, 'base')
  for (const name of `${shell} ${files} ${others}`.split(' ')) {
    const program = (await must(['sh', '-c', `PATH=/usr/bin:/bin command -v -p ${name} | grep / || echo /usr/bin/${name}`])).trim()
    await install(root, program, `/usr/bin/${name}`)
  }
  await install(root, node, '/usr/bin/node')
  for (const path of ['etc', 'tmp', 'run', 'proc', 'sys', 'dev', 'root', `home/${user}`]) await mkdir(join(root, path), { recursive: true })
  await writeFile(join(root, 'etc/passwd'), `root:x:0:0::/root:/bin/sh\n${user}:x:1000:1000::/home/${user}:/bin/bash\n`)
  await writeFile(join(root, 'etc/group'), `root:x:0:\n${user}:x:1000:\n`)
  const last = `RUN ["/usr/bin/chmod", "1777", "/tmp"]\nRUN ["/usr/bin/chown", "--recursive", "1000:1000", "/home/${user}"]\n`
  await writeFile(join(root, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\n')
  // Where programs are looked for by their old names.
  await must(['ln', '--symbolic', 'usr/bin', join(root, 'bin')])
  await commit(root, image, `ENV PATH=/usr/local/bin:/usr/bin:/bin\n${last}`, env)
}

export async function openTool(folder: string, cgroups: string, spireAgent: string): Promise<Tool> {
  const own = (name: string) => join(folder, name)
  const env = { ...(await containersIn(folder)), BUILDAH_ISOLATION: 'chroot', BUILDAH_FORMAT: 'docker' }
  // The tool waits for a container by the engine's events.
  const settings = await readFile(own('containers.conf'), 'utf8')
  await writeFile(own('containers.conf'), settings.replace('events_logger = "none"', 'events_logger = "file"'))
  // What it does differently for podman is for one without root.
  await writeFile(own('docker'), '#!/bin/sh\ncase $1 in -v | --version) echo "Docker version 24.0.0" ;; *) exec podman "$@" ;; esac\n', { mode: 0o755 })
  await buildImage(folder, env)
  const workspace = own('workspace')
  await cp(example, join(workspace, '.devcontainer'), { recursive: true })
  const copied = join(workspace, '.devcontainer/svidecar')
  await cp(feature, copied, { recursive: true })
  await cp(await executable(), join(copied, 'svidecar'))
  await cp(spireAgent, join(copied, 'spire-agent'))
  const config = join(workspace, '.devcontainer/devcontainer.json')
  const text = await readFile(config, 'utf8')
  const here = { image, runArgs: ['--network=host', `--cgroup-parent=/${cgroups}`] }
  // Its comments stay, as people have them.
  await writeFile(config, text.replace(/"image": "[^"]*",/, JSON.stringify(here).slice(1, -1) + ','))
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire('/')" }
  const client = { entryPoints: [join(checkout, 'test/sdk/client.ts')], outfile: join(workspace, 'client.mjs') }
  await build({ ...client, bundle: true, platform: 'node', format: 'esm', banner, logLevel: 'error' })
  await chmod(workspace, 0o755)
  const cli = join(checkout, 'node_modules/@devcontainers/cli/devcontainer.js')
  return {
    env,
    workspace,
    devcontainer: ([command = '', ...args], more = {}) =>
      run([node, cli, command, `--docker-path=${own('docker')}`, `--workspace-folder=${workspace}`, ...args], { env: { ...env, ...more }, timeoutMs: 300_000 }),
    async inside(command, as = user) {
      const [id = ''] = (await must(['podman', 'ps', '--quiet'], { env })).split('\n')
      return run(['podman', 'exec', `--user=${as}`, `--env=HOME=/home/${as}`, id, ...command], { env })
    },
  }
}
