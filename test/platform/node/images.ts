// The images that pods are made of besides svidecar's own: the one that holds a pod together, and an application.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import { commit, install } from '../base-images.ts'
import { must, node } from '../machine.ts'
import { pauseImage } from './containerd.ts'

export const applicationImage = 'localhost/application:1'
export const agentImage = 'localhost/spire-agent:1'

const pause = '#include <unistd.h>\nint main(void) { for (;;) pause(); }\n'

/** Makes them with buildah in a folder of its own, and one of SPIRE's agent. `spire`: the folder of its executables. */
export async function makeImages(directory: string, spire: string, env: NodeJS.ProcessEnv): Promise<void> {
  const sleeper = join(directory, 'pause')
  await mkdir(sleeper)
  await writeFile(`${sleeper}.c`, pause)
  await must(['cc', '-static', '-Os', '-o', join(sleeper, 'pause'), `${sleeper}.c`])
  await commit(sleeper, pauseImage, 'USER 65535:65535\nENTRYPOINT ["/pause"]\n', env)

  const application = join(directory, 'application')
  await install(application, node, '/node')
  // SPIRE's own client of the Workload API, for an application that asks for what is not its own.
  await install(application, join(spire, 'spire-agent'), '/spire-agent')
  const entry = join(import.meta.dirname, 'application-child.ts')
  // The SDK is in CommonJS and asks for Node's modules as such.
  const banner = { js: "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)" }
  await build({
    entryPoints: [entry],
    outfile: join(application, 'application.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    banner,
    logLevel: 'warning',
  })
  await commit(application, applicationImage, 'ENTRYPOINT ["/node", "/application.mjs"]\n', env)

  const agent = join(directory, 'agent')
  await install(agent, join(spire, 'spire-agent'), '/spire-agent')
  await commit(agent, agentImage, 'ENTRYPOINT ["/spire-agent", "run"]\n', env)
}

/** An image as a file; `as`: what it is called where the file is taken in. */
export async function archive(directory: string, name: string, as: string, env: NodeJS.ProcessEnv): Promise<string> {
  const file = join(directory, `${as.replaceAll(/\W/g, '-')}.tar`)
  await must(['buildah', 'push', '--quiet', name, `docker-archive:${file}:${as}`], { env, timeoutMs: 120_000 })
  return file
}
