// The bundle as a process of its own beside a development world, and raw connections to it.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/core/clock.ts'
import { anywhere } from '../daemon/support.ts'
import { startWorld, type World } from '../support/dev/world.ts'
import { eventually } from '../support/eventually.ts'

export interface Subject {
  readonly world: World
  readonly token: string
  /** Port by listener. */
  readonly ports: Readonly<Record<string, number>>
  readonly alive: () => boolean
  /** Resident memory, bytes. */
  readonly memory: () => number
}

/** Starts svidecar with every listener and plays; `cold`: AWS hangs from the start. */
export async function withDaemon(cold: boolean, play: (subject: Subject) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'fault-'))
  const world = await startWorld({ directory, clock: systemClock, x509TtlSeconds: 3_600, jwtTtlSeconds: 300, sessionSeconds: 3_600 })
  if (cold) world.aws.setFault('hang')
  const any = '{ listen: "127.0.0.1:0" }'
  const yaml = `profiles: { app: ${anywhere(world)} }\nconsumers: { app: { profiles: [app] } }\ncontainer_endpoint: ${any}\nimds_endpoints: [ { listen: "127.0.0.1:0", profile: app } ]\nmetrics_endpoint: ${any}\nstatus_endpoint: ${any}\nruntime_dir: ${directory}/run\nlog: { format: json }\n`
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../dist/svidecar.cjs'), 'run'], {
    env: { PATH: process.env['PATH'], SVIDECAR_CONFIG_YAML: yaml, SPIFFE_ENDPOINT_SOCKET: world.socket },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    // Reads fill it; what is looked for comes at the start.
    if (log.length < 100_000) log += text
  })
  try {
    await eventually('it listens', () => log.includes('"event":"daemon.listening"') && (cold || log.includes('"event":"credentials.fresh"')), 20_000)
    const opened = [...log.matchAll(/"listener":"(\w+)[^"]*","address":"127\.0\.0\.1:(\d+)"/g)]
    await play({
      world,
      token: readFileSync(join(directory, 'run/app.token'), 'utf8'),
      ports: Object.fromEntries(opened.map(([, name, port]) => [name, Number(port)])),
      alive: () => child.exitCode === null && child.signalCode === null,
      memory: () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1024,
    })
  } finally {
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('close', resolve))
    await world.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Sends bytes on a connection of its own, and resolves with all that came back: 'hang' if it is not closed in time. */
export function exchange(port: number, bytes: Buffer, limitMs = 12_000): Promise<Buffer | 'hang'> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const socket = connect(port, '127.0.0.1')
    const timer = setTimeout(() => {
      socket.destroy()
      resolve('hang')
    }, limitMs)
    const done = () => {
      clearTimeout(timer)
      resolve(Buffer.concat(chunks))
    }
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', () => {})
    socket.on('close', done)
    socket.end(bytes)
  })
}
