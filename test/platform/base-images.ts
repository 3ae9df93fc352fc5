// The two base images that the Dockerfile names, made from this machine's own files, since no registry can be asked.
import { chmod, copyFile, cp, mkdir, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { must, node } from './machine.ts'

const certificates = '/etc/ssl/certs/ca-certificates.crt'

/** Puts a program and the libraries that it loads into a root file system. */
export async function install(root: string, program: string, as: string): Promise<void> {
  const libraries = [...(await must(['ldd', program])).matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path)
  for (const [from, to] of [[program, as] as const, ...libraries.map((path) => [path, path] as const)]) {
    await mkdir(dirname(join(root, to)), { recursive: true })
    await copyFile(await realpath(from), join(root, to))
  }
}

/** Makes an image of a root file system, which is gone then. */
export async function commit(root: string, name: string, instructions: string, env: NodeJS.ProcessEnv): Promise<void> {
  const file = `${root}.Dockerfile`
  await writeFile(file, `FROM scratch\nCOPY . /\n${instructions}`)
  await must(['buildah', 'build', '--quiet', '--isolation', 'chroot', '--file', file, '--tag', name, root], { env, timeoutMs: 300_000 })
  await rm(root, { recursive: true })
}

/** With Node.js, npm and a shell, as the official image of Node.js has them. */
export async function buildBase(folder: string, name: string, env: NodeJS.ProcessEnv): Promise<void> {
  const root = join(folder, 'build')
  await install(root, node, '/usr/local/bin/node')
  for (const program of ['/bin/sh', '/bin/mkdir', '/usr/bin/env', '/bin/cp', '/bin/ln', '/usr/bin/find', '/usr/bin/touch'])
    await install(root, program, program)
  const npm = dirname(dirname(await realpath((await must(['sh', '-c', 'command -v npm'])).trim())))
  await cp(npm, join(root, 'usr/local/lib/node_modules/npm'), { recursive: true })
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'))
  // What this machine trusts, since the network may end TLS itself.
  await mkdir(dirname(join(root, certificates)), { recursive: true })
  await copyFile(certificates, join(root, certificates))
  await mkdir(join(root, 'tmp'))
  await commit(root, name, `ENV PATH=/usr/local/bin:/usr/bin:/bin NODE_EXTRA_CA_CERTS=${certificates}\n`, env)
}

/** With the libraries of C++ and the folders of Debian's base-files, as distroless/cc has them; no shell. */
export async function runtimeBase(folder: string, name: string, env: NodeJS.ProcessEnv): Promise<void> {
  const root = join(folder, 'runtime')
  // Node.js loads what the executable loads. It is not in that base.
  await install(root, node, 'node')
  await rm(join(root, 'node'))
  for (const path of ['etc', 'run', 'tmp', 'var/cache', 'usr/bin']) await mkdir(join(root, path), { recursive: true })
  await chmod(join(root, 'tmp'), 0o1777)
  // What an engine lays its own files over, and makes when it has nothing to lay them over.
  for (const name of ['hostname', 'hosts', 'resolv.conf']) await writeFile(join(root, 'etc', name), '')
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n')
  await commit(root, name, 'USER 65532\n', env)
}
