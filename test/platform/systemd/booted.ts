// A machine that the real systemd has booted, with what the package installs and a dev world: the tests' hands on it.
import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { layTree } from '../../../tools/package/tree.ts'
import { eventually } from '../../support/eventually.ts'
import { checkout, configuration, folder, launch, must, need, node, type Outcome, openWorld, removeCgroups, run } from '../machine.ts'

export type Booted = Awaited<ReturnType<typeof boot>>

export const ports = { credentials: 9912, metrics: 9913 }
export const configFile = '/etc/svidecar/config.yaml'

/** The machine has a network of its own, so its AWS is a port of its loopback that leads to the world's by a socket in the file system. */
async function bridge(path: string, port: number) {
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const)
      one.on('error', () => {}).on('close', () => other.destroy())
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((open) => server.listen(path, open))
  return server
}

const awsUnits = (port: number): Readonly<Record<string, string>> => ({
  'aws.socket': `[Socket]\nListenStream=127.0.0.1:${port}\n`,
  'aws.service': '[Service]\nExecStart=/lib/systemd/systemd-socket-proxyd /run/spire/sockets/aws.sock\n',
  'basic.target.d/aws.conf': '[Unit]\nWants=aws.socket\n',
})

/** Makes the executable, unless the one that is there holds the bundle of these sources; its path. */
export async function executable(): Promise<string> {
  const path = join(checkout, 'dist/svidecar')
  await must([node, 'build.ts'], { cwd: checkout })
  const bundle = await readFile(join(checkout, 'dist/svidecar.cjs'))
  const found = await readFile(path).catch(() => undefined)
  if (found?.includes(bundle) !== true) await must([node, 'build-sea.ts'], { cwd: checkout, timeoutMs: 300_000 })
  return path
}

/** Boots it. `name` is of its cgroups; `files` are laid over it, by their path: texts. Without `installed` nothing of svidecar's is there. */
export async function boot(name: string, { files = {}, installed = true }: { files?: Readonly<Record<string, string>>; installed?: boolean } = {}) {
  need({ unshare: 'util-linux', nsenter: 'util-linux', setpriv: 'util-linux', 'systemd-analyze': 'systemd', ip: 'iproute2', curl: 'curl' })
  const cgroups = `svidecar-${name}-${process.pid}`
  const space = await folder(name)
  const world = await openWorld(space.path)
  const port = Number(new URL(world.aws.issuingUrl).port)
  const tunnel = await bridge(join(world.sockets, 'aws.sock'), port)
  const laid = join(space.path, 'files')
  await mkdir(join(space.path, 'machine'))
  await mkdir(laid)
  if (installed) await layTree(laid, await executable(), 1_000_000_000)
  const units = Object.fromEntries(Object.entries(awsUnits(port)).map(([unit, text]) => [`/etc/systemd/system/${unit}`, text]))
  const texts = { ...units, ...(installed ? { [configFile]: configuration(world, ports) } : {}), ...files }
  for (const [path, text] of Object.entries(texts)) {
    await mkdir(dirname(join(laid, path)), { recursive: true })
    await writeFile(join(laid, path), text)
  }
  // Not what the umask of the test has made of it: other users must be able to read it.
  await chmod(laid, 0o755)
  const machine = launch([join(checkout, 'test/platform/systemd/boot'), cgroups, join(space.path, 'machine'), laid, node, world.sockets])
  /** The machine's first process, as this machine numbers it. */
  let init = 0

  /** Runs a command on that machine, as root. */
  const inside = (command: readonly string[], input = ''): Promise<Outcome> =>
    run(['nsenter', `--target=${init}`, '--mount', '--pid', '--ipc', '--uts', '--cgroup', '--net', '--root', '--wd=/', ...command], { input })

  const end = async () => {
    machine.kill('SIGKILL')
    await machine.ended
    tunnel.close()
    await world.stop()
    await removeCgroups(cgroups)
    await space.remove()
  }
  await eventually(
    'the machine is up',
    async () => {
      machine.check()
      init = Number((await readFile(`/proc/${machine.pid}/task/${machine.pid}/children`, 'utf8')).trim())
      return (await inside(['systemctl', 'is-system-running'])).stdout === 'running\n'
    },
    60_000,
  ).catch(async (error: unknown) => {
    await end()
    throw error
  })

  /** Runs a command there that has to succeed. */
  async function done(...command: string[]): Promise<string> {
    const { status, stdout, stderr } = await inside(command)
    assert.equal(status, 0, `${command.join(' ')}: ${stdout}${stderr}${status === 0 ? '' : (await inside(['journalctl', '--lines=60', '--no-pager'])).stdout}`)
    return stdout
  }
  const write = async (path: string, text: string, mode = '0644'): Promise<void> => {
    await done('mkdir', '--parents', dirname(path))
    assert.equal((await inside(['tee', path], text)).status, 0)
    await done('chmod', mode, path)
  }
  const property = async (name: string, unit = 'svidecar'): Promise<string> => (await done('systemctl', 'show', unit, '--value', `--property=${name}`)).trim()
  /** The status of an answer; 0 when there was none. */
  const get = async (path: string, port = ports.metrics): Promise<number> =>
    Number(
      (await inside(['curl', '--silent', '--max-time', '10', '--output', '/dev/null', '--write-out', '%{http_code}', `http://127.0.0.1:${port}${path}`]))
        .stdout,
    )
  const ready = (port = ports.metrics) => eventually('credentials', async () => (await get('/readyz', port)) === 200, 60_000)

  return {
    world,
    inside,
    done,
    write,
    property,
    get,
    ready,
    end,
    /** A path of that machine as this one sees it. */
    outside: (path: string): string => `/proc/${init}/root${path}`,
    /** As that user, in the user's groups and no others. */
    as: async (user: string, command: readonly string[]): Promise<Outcome> =>
      inside(['setpriv', `--reuid=${user}`, `--regid=${(await done('id', '--group', user)).trim()}`, '--init-groups', '--reset-env', ...command]),
    /** Installs one of deploy/systemd/drop-ins where its first line says; `change` fits it to the test. */
    async dropIn(name: string, change: (text: string) => string = (text) => text, path?: string): Promise<string> {
      const text = await readFile(join(checkout, 'deploy/systemd/drop-ins', name), 'utf8')
      const place = path ?? /^# (\/\S+)/.exec(text)?.[1] ?? ''
      await write(place, change(text))
      await done('systemctl', 'daemon-reload')
      return place
    },
    async remove(...paths: string[]): Promise<void> {
      await done('rm', '--recursive', '--force', ...paths)
      await done('systemctl', 'daemon-reload')
    },
    journal: (unit = 'svidecar'): Promise<string> => done('journalctl', `--unit=${unit}`, '--output=cat', '--no-pager'),
  }
}
