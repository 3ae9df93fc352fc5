// The executable: argv to a command. The only file that ends the process.
import { writeSync } from 'node:fs'
import { basename } from 'node:path'
import { cli } from './cli/cli.ts'
import type { Io } from './cli/command.ts'
import './core/umask.ts'
import { systemClock } from './core/clock.ts'
import { type FailureCode, isFailure, sentence } from './core/errors.ts'
import { createSignalQueue } from './core/signals.ts'

process.title = 'svidecar'

// SIGUSR1 opens Node's inspector, which reads every secret of the process: taken away first of all.
process.on('SIGUSR1', () => {})
// These would end it, and nobody means them to.
for (const name of ['SIGUSR2', 'SIGALRM', 'SIGIO'] as const) process.on(name, () => {})

const io: Io = {
  env: process.env,
  clock: systemClock,
  out: (text) => write(1, text),
  err: (text) => write(2, text),
  version: process.env['SVIDECAR_VERSION'] ?? 'development',
  commit: process.env['SVIDECAR_COMMIT'] ?? 'unknown',
  nextSignal: createSignalQueue((name, handler) => process.on(name, handler)),
}

/** Writes all of it before the process may end; a reader that has gone away is no error. */
function write(descriptor: 1 | 2, text: string): void {
  let bytes = Buffer.from(text)
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(descriptor, bytes))
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : ''
      if (code !== 'EAGAIN') return
    }
  }
}

const wrongUsage = new Set<FailureCode>(['usage', 'config_invalid', 'socket_address_invalid', 'spiffe_id_invalid'])

async function main(): Promise<number> {
  if (process.platform === 'win32') {
    io.err('svidecar: Windows is not supported; svidecar runs on Linux, and its client commands on macOS.\n')
    return 2
  }
  if (Number(process.versions.node.split('.')[0]) < 24) {
    io.err(`svidecar: Node.js 24 or newer is needed, and this is ${process.version}.\n`)
    return 2
  }
  try {
    const [name = '', first, ...rest] = process.argv.slice(1)
    // By the name of the invocation, or as a command.
    const helper = basename(name) === 'spiffe-helper' ? process.argv.slice(2) : first === 'spiffe-helper' ? rest : undefined
    if (helper !== undefined) return await (await import('./spiffe-helper/main.ts')).spiffeHelper(helper, io)
    return await cli(process.argv.slice(2), io)
  } catch (error) {
    if (!isFailure(error)) throw error
    io.err(`svidecar: ${sentence(error)}\n`)
    return wrongUsage.has(error.code) ? 2 : 1
  }
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    io.err(`svidecar: this is a defect, please report it: ${error instanceof Error ? error.stack : String(error)}\n`)
    process.exit(1)
  },
)
