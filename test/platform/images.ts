// Builds both images from the Dockerfile on base images of this machine, into a containers-storage of one's own.
import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { buildBase, runtimeBase } from './base-images.ts'
import { checkout, must, run } from './machine.ts'

export const images = { svidecar: 'localhost/svidecar', helper: 'localhost/svidecar-spiffe-helper' } as const
/** What the images say of themselves. */
export const version = 'v0.0.0-test'

const cache = process.env['SVIDECAR_TEST_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'svidecar-test')

/** Settings of buildah and podman with which images and containers are in this folder and nowhere else: an environment for both. */
export async function containersIn(folder: string): Promise<NodeJS.ProcessEnv> {
  const own = (name: string) => join(folder, name)
  // An overlay is not possible on an overlay, which is where a container's files are.
  const driver = (await must(['stat', '--file-system', '--format=%T', folder])).trim() === 'overlayfs' ? 'vfs' : 'overlay'
  await writeFile(own('storage.conf'), `[storage]\ndriver = "${driver}"\ngraphroot = "${own('storage')}"\nrunroot = "${own('run')}"\n`)
  await writeFile(
    own('containers.conf'),
    // A machine that may not raise its limits can still lower them.
    `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "runc"
tmp_dir = "${own('tmp')}"
`,
  )
  return { ...process.env, CONTAINERS_CONF: own('containers.conf'), CONTAINERS_STORAGE_CONF: own('storage.conf'), TMPDIR: folder }
}

/** Ends what runs in such a folder and unmounts what is mounted there, so that it can be removed. */
export async function leaveContainers(folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  await run(['podman', 'rm', '--all', '--force', '--time=0', '--volumes'], { env }).catch(() => {}) // no podman, no containers
  await run(['buildah', 'umount', '--all'], { env }).catch(() => {})
  await run(['umount', '--recursive', join(folder, 'storage/overlay')])
}

/** All that the images are made from, in one digest. */
function digest(): string {
  const hash = createHash('sha256').update(process.version)
  const context = readFileSync(join(checkout, '.dockerignore'), 'utf8').match(/(?<=^!).*/gm) ?? []
  const paths = ['Dockerfile', '.dockerignore', 'test/platform/images.ts', 'test/platform/base-images.ts', ...context]
  const files = paths.flatMap((path) => [path, ...globSync(`${path}/**`, { cwd: checkout })]).filter((path) => statSync(join(checkout, path)).isFile())
  for (const path of new Set(files.sort())) hash.update(`${path}\0`).update(readFileSync(join(checkout, path)))
  return hash.digest('hex').slice(0, 16)
}

/**
 * Puts both images into the storage that `env` names, under the names of `images`; `folder` is for what is made on the way. They are built once for a state of
 * the sources and kept outside the checkout.
 */
export async function provideImages(folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const kept = join(cache, `images-${digest()}`)
  if (!existsSync(kept)) {
    await build(folder, env)
    const made = `${kept}.${process.pid}`
    await mkdir(made, { recursive: true })
    for (const [name, image] of Object.entries(images))
      await must(['buildah', 'push', '--quiet', image, `docker-archive:${join(made, name)}.tar:${image}:latest`], { env })
    const yesterday = Date.now() - 86_400_000
    for (const old of globSync(join(cache, 'images-*'))) if (statSync(old).mtimeMs < yesterday) await rm(old, { recursive: true, force: true })
    await rename(made, kept).catch(() => rm(made, { recursive: true })) // another run was first
    return
  }
  for (const name of Object.keys(images)) await must(['buildah', 'pull', '--quiet', `docker-archive:${join(kept, name)}.tar`], { env, timeoutMs: 300_000 })
}

/** The digest by which a local image is referred to. */
const pinned = async (name: string, env: NodeJS.ProcessEnv): Promise<string> =>
  `${name}@${(await must(['buildah', 'inspect', '--type=image', '--format={{.FromImageDigest}}', name], { env })).trim()}`

async function build(folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  await buildBase(folder, 'localhost/build', env)
  await runtimeBase(folder, 'localhost/runtime', env)
  const options = [
    '--isolation=chroot',
    // That of the Open Container Initiative has no health check.
    '--format=docker',
    '--pull-never',
    // The second image is made from the same stages.
    '--layers',
    '--timestamp=0',
    `--volume=${(await must(['npm', 'config', 'get', 'cache'])).trim()}:/root/.npm`,
    `--build-arg=BUILD_IMAGE=${await pinned('localhost/build', env)}`,
    `--build-arg=RUNTIME_IMAGE=${await pinned('localhost/runtime', env)}`,
    `--build-arg=VERSION=${version}`,
  ]
  for (const [target, image] of [
    ['svidecar', images.svidecar],
    ['spiffe-helper', images.helper],
  ] as const)
    await must(['buildah', 'build', ...options, `--target=${target}`, `--tag=${image}`, checkout], { env, timeoutMs: 1_800_000 })
}
