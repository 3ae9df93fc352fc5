// The demo's child processes. Each has a session of its own, so that Ctrl-C reaches the demo alone, which then ends
// them in order; the end of their input tells them, should the demo die without a chance to.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

export interface Child {
  readonly pid: number | undefined
  /** Resolves with how it ended and with its last words, such as "exit status 2: …". Never rejects. */
  readonly ended: Promise<string>
  /** Asks it to end, and makes it after three seconds. */
  stop(): Promise<void>
}

export interface ChildOptions {
  /** The words after the name of this very Node. */
  readonly command: readonly string[]
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>
  /** The stream that carries a line of JSON for each thing that it tells; what else it says are its last words. */
  readonly tells: 'stdout' | 'stderr'
  readonly told: (fact: Readonly<Record<string, unknown>>) => void
}

const patienceMs = 3_000

/** Starts a program of Node's. */
export function startChild({ command, env, tells, told }: ChildOptions): Child {
  const child = spawn(process.execPath, command, { env, stdio: 'pipe', detached: true })
  let lastWords = ''
  for (const name of ['stdout', 'stderr'] as const)
    createInterface({ input: child[name] }).on('line', (line) => {
      const fact = name === tells ? parse(line) : undefined
      if (fact === undefined) lastWords = line.trim() === '' ? lastWords : line
      else told(fact)
    })
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (status, signal) =>
      resolve(`${signal === null ? `exit status ${status}` : `signal ${signal}`}${lastWords === '' ? '' : `: ${lastWords}`}`),
    )
  })
  return {
    pid: child.pid,
    ended,
    async stop() {
      child.kill('SIGTERM')
      const late = new AbortController()
      const force = delay(patienceMs, undefined, { signal: late.signal }).then(() => child.kill('SIGKILL'))
      force.catch(() => {}) // it ended in time
      await ended
      late.abort()
    },
  }
}

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

/**
 * For an end that no process can catch: a shell that waits for the end of its input, then ends the daemon, which
 * would go on for ever, and removes the folder. Returns how to send it away.
 */
export function startGuard(pid: number | undefined, folder: string): () => void {
  const script = 'read -r _; kill "$1"; sleep 1; rm -rf -- "$2"'
  const guard = spawn('/bin/sh', ['-c', script, 'sh', String(pid), folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  guard.on('error', () => {}) // a machine without a shell has no guard
  return () => guard.kill('SIGKILL')
}
