// svidecar as a process beside a real agent, asked as its operator asks it.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { checkout, must, node, type Outcome, run } from '../platform/machine.ts'
import { type Process, startProcess } from './spire.ts'

export interface Daemon {
  readonly runtime: string
  /** Runs a command beside it, to whatever end. */
  svidecar(...args: readonly string[]): Promise<Outcome>
  /** Waits until it has credentials of every profile. */
  ready(): Promise<void>
  stop(): Promise<void>
}

/** Starts it in a new folder. `agent`: path of the Workload API's socket. */
export async function startDaemon(folder: string, agent: string, config: object): Promise<Daemon> {
  const runtime = join(folder, 'run')
  await mkdir(runtime, { recursive: true, mode: 0o700 })
  const file = join(folder, 'config.yaml')
  // JSON is YAML.
  await writeFile(file, JSON.stringify({ ...config, runtime_dir: runtime }))
  const command = [node, join(checkout, 'src/main.ts')]
  const env = { PATH: process.env['PATH'], HOME: folder, SPIFFE_ENDPOINT_SOCKET: `unix://${agent}` }
  const daemon: Process = await startProcess([...command, 'run', '--config', file], {
    env,
    log: join(folder, 'svidecar.log'),
    path: join(runtime, 'control.sock'),
  })
  return {
    runtime,
    svidecar: (...args) => run([...command, ...args, '--config', file], { env }),
    ready: async () => void (await must([...command, 'wait', '--config', file], { env })),
    stop: async () => {
      daemon.signal('SIGTERM')
      await daemon.gone
    },
  }
}
