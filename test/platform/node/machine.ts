// The machine of a Kubernetes node: namespaces on this host that go, with everything in them, when the test does.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '../../support/eventually.ts'
import { checkout, launch, must, type Outcome, type Running, run } from '../machine.ts'

export interface Machine {
  readonly name: string
  /** Where the host is, as seen from the machine and its pods. */
  readonly host: string
  /** Where the machine is, as seen from the host and its pods. */
  readonly address: string
  readonly podNetwork: string
  /** The cgroup, in each hierarchy, below which everything of the node is. */
  readonly cgroup: string
  /** How the host names a path of the machine's. */
  path(inside: string): string
  /** A command that runs there, and ends as by SIGKILL when it gets any signal. */
  command(command: readonly string[]): string[]
  run(command: readonly string[], input?: string): Promise<Outcome>
  must(command: readonly string[], timeoutMs?: number): Promise<string>
  launch(command: readonly string[], env?: NodeJS.ProcessEnv): Running
  stop(): Promise<void>
}

export async function bootMachine(name: string): Promise<Machine> {
  // Addresses that are kept for measuring networks, so that no network of this host has them.
  const subnet = process.pid % 256
  const [host, address, podNetwork] = [`198.18.${subnet}.1`, `198.18.${subnet}.2`, `198.19.${subnet}.0/24`]
  const cgroup = `svidecar-${name}-${process.pid}`
  const link = `sv${process.pid}`
  const boot = launch([join(checkout, 'test/platform/node/boot'), name, cgroup], process.env, 'pipe')
  const stop = async () => {
    boot.kill('SIGTERM')
    await boot.ended
    // The other end goes with its network, which the kernel takes down when it comes to it.
    await run(['ip', 'link', 'delete', link])
  }
  try {
    await eventually('the machine is up', () => {
      boot.check()
      return boot.said().endsWith('up\n')
    })
    const child = async (of: number) => Number((await readFile(`/proc/${of}/task/${of}/children`, 'utf8')).trim())
    const pid = await child(await child(boot.pid))
    // nsenter hands no signal on.
    const enter = ['nsenter', `--target=${pid}`, '--mount', '--pid', '--net', '--uts', 'setpriv', '--pdeathsig=KILL']
    const command = (words: readonly string[]) => [...enter, ...words]
    await must(['ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid)])
    await must(['ip', 'address', 'add', `${host}/30`, 'dev', link])
    await must(['ip', 'link', 'set', link, 'up'])
    await must(['ip', 'route', 'add', podNetwork, 'via', address, 'dev', link, 'onlink'])
    await must(command(['ip', 'address', 'add', `${address}/30`, 'dev', 'eth0']))
    await must(command(['ip', 'link', 'set', 'eth0', 'up']))
    await must(command(['ip', 'route', 'add', 'default', 'via', host]))
    return {
      name,
      host,
      address,
      podNetwork,
      cgroup,
      path: (inside) => join(`/proc/${pid}/root`, inside),
      command,
      run: (words, input = '') => run(command(words), { input }),
      must: (words, timeoutMs = 60_000) => must(command(words), { timeoutMs }),
      launch: (words, env) => launch(command(words), env),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}
