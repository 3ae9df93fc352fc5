// Sends a signal to the process whose number is in a file.
import type { Clock } from '../core/clock.ts'
import { failure, isFailure, systemReason } from '../core/errors.ts'
import { readShortFile } from '../core/short-file.ts'
import { signalNumber } from '../core/signals.ts'
import type { Action } from './hook.ts'

/** Sends a signal by its name. Throws hook_failed. */
export function sendSignal(pid: number, signal: string): void {
  const number = signalNumber(signal)
  if (number === undefined) throw failure('hook_failed', `error getting signal: ${signal}`, { remedy: 'Write a name such as SIGHUP.', retry: 'never' })
  try {
    process.kill(pid, number)
  } catch (error) {
    throw failure('hook_failed', `cannot send ${signal} to process ${pid}: ${systemReason(error)}`, { cause: error })
  }
}

/** The process number in the text of a pid file. Zero, one and negative numbers mean a group, init or everybody. Throws hook_failed. */
export function parsePid(text: string, path: string): number {
  // As Go's TrimSpace, to which a byte order mark is no space.
  const digits = text.startsWith('\uFEFF') ? text : text.trim()
  const pid = /^[+-]?\d+$/.test(digits) ? Number(digits) : Number.NaN
  if (!Number.isSafeInteger(pid))
    throw failure('hook_failed', `failed to parse pid file ${JSON.stringify(path)}: ${JSON.stringify(digits.slice(0, 40))} is not a number`)
  if (pid <= 1)
    throw failure('hook_failed', `the pid file ${JSON.stringify(path)} holds ${pid}, which is not one process`, {
      remedy: 'The file must hold the number of the process that is to be told.',
      retry: 'never',
    })
  return pid
}

const longest = 4_096
const tries = 10
const firstDelayMs = 100

/**
 * Reads the file at each try, because the process may be starting or restarting just now; gives up after ten tries in
 * 51 s, as spiffe-helper does. Of two hooks on one file each sends its own signal.
 */
export const signalPidFile =
  (path: string, signal: string, clock: Clock): Action =>
  async (stop) => {
    for (let attempt = 0; ; attempt++) {
      try {
        const text = await readShortFile(path, longest).catch((error) => {
          throw failure('hook_failed', `failed to read pid file ${JSON.stringify(path)}: open ${path}: ${systemReason(error)}`, { cause: error })
        })
        return sendSignal(parsePid(text, path), signal)
      } catch (error) {
        if (attempt === tries - 1 || !isFailure(error) || error.retry === 'never') throw error
        await clock.sleep(firstDelayMs * 2 ** attempt, stop)
      }
    }
  }
