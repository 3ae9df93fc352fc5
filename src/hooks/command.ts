// Runs a command when something is new, and keeps what it says.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import type { Clock } from '../core/clock.ts'
import { errorText, failure, systemCode } from '../core/errors.ts'
import type { Emit } from '../core/events.ts'
import { within } from '../core/run.ts'
import { withInheritedUmask } from '../core/umask.ts'
import type { Action } from './hook.ts'

export interface CommandOptions {
  readonly hook: string
  readonly command: readonly string[]
  readonly timeoutMs: number
  readonly clock: Clock
  readonly emit: Emit
}

const patienceMs = 2_000
const lastWordsMs = 300
const mostLines = 100
const longestLine = 1_000

/** How a process ended, in words. */
export const ending = (code: number | null, signal: NodeJS.Signals | null): string => (signal === null ? `exit status ${code}` : `killed by ${signal}`)

/** Resolves when the process has ended or could not be started: with its error. */
export const ended = (child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null; error?: Error }> =>
  new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', (error) => resolve({ code: null, signal: null, error }))
  })

/** Starts a process, with the umask that svidecar was started with. Throws hook_failed for what cannot even be tried. */
export function launch([file = '', ...args]: readonly string[], options: SpawnOptions): ChildProcess {
  try {
    return withInheritedUmask(() => spawn(file, args, options))
  } catch (error) {
    throw failure('hook_failed', `${file}: ${errorText(error)}`)
  }
}

/** What a command that could not be started is to people. */
export const notStarted = (command: string, error: Error): string =>
  `${command}: ${({ ENOENT: 'there is no such command', EACCES: 'it may not be executed' } as Record<string, string>)[systemCode(error) ?? ''] ?? error.message}`

/**
 * Each run has its own process group, which ends with it: after the timeout, or when svidecar stops, it is asked with SIGTERM and two
 * seconds later killed. Its output goes into the log line by line. Throws hook_failed for anything but exit status 0.
 */
export const runCommand =
  ({ hook, command, timeoutMs, clock, emit }: CommandOptions): Action =>
  async (signal) => {
    const [file = ''] = command
    const child = launch(command, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const end = ended(child)
    const silent = new Promise((resolve) => child.once('close', resolve))
    let lines = 0
    const listen = (stream: Readable | null) => {
      let rest = ''
      const say = (line: string) => {
        if (line !== '' && lines++ < mostLines) emit({ type: 'hook.said', hook, line: line.slice(0, longestLine) })
      }
      stream?.setEncoding('utf8').on('data', (chunk: string) => {
        const [last = '', ...complete] = (rest + chunk).split('\n').reverse()
        rest = last.slice(0, longestLine)
        for (const line of complete.reverse()) say(line)
      })
      const finish = () => {
        say(rest)
        rest = ''
      }
      stream?.on('end', finish)
      return finish
    }
    const finish = [listen(child.stdout), listen(child.stderr)]
    const first = await within(timeoutMs, () => end, clock, signal).catch(() => undefined)
    // Its last words may still be on the way; a process that it left behind may hold them up.
    if (first !== undefined && first.error === undefined) await within(lastWordsMs, () => silent, clock, signal).catch(() => {})
    if (first === undefined) await endGroup(child, end, clock)
    // What it has left behind may hold them for ever.
    for (const last of finish) last()
    child.stdout?.destroy()
    child.stderr?.destroy()
    if (first === undefined) throw failure('hook_failed', `${file} has not ended within ${timeoutMs / 1000} s and was stopped`)
    if (first.error !== undefined) throw failure('hook_failed', notStarted(file, first.error))
    if (first.code !== 0) throw failure('hook_failed', `${file} ended with ${ending(first.code, first.signal)}`)
  }

async function endGroup(child: ChildProcess, end: Promise<unknown>, clock: Clock): Promise<void> {
  const kill = (signal: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal)
    } catch {
      // It has ended by itself.
    }
  }
  kill('SIGTERM')
  await within(patienceMs, () => end, clock, new AbortController().signal)
  kill('SIGKILL')
}
