// The log: a fold over the events, written at once to stderr, as JSON or as text for people.
import { writeSync } from 'node:fs'
import { pino } from 'pino'
import type { Clock } from '../core/clock.ts'
import type { Event, Listener } from '../core/events.ts'
import { describe, isRead, type Level, type Line } from './describe.ts'

export interface LogOptions {
  readonly level: Level
  readonly format: 'json' | 'text'
  readonly clock: Clock
  /** Where lines go; stderr when left out. */
  readonly write?: ((line: string) => void) | undefined
}

/** A log of another form: it gets the event, and on demand the line that would be logged here. */
export type OtherLog = (event: Event, line: () => Line) => void

export const listenerOf = (log: OtherLog | undefined): Listener | undefined => log && ((event) => log(event, () => describe(event)))

// A neighbour who knocks at a closed door a thousand times a second must not fill the disk.
const quietMs = 10_000
// So much a pipe takes as a whole or not at all (PIPE_BUF): no line is torn.
const atomicBytes = 4_096

/** Creates the listener that logs. */
export function createLog({ level, format, clock, write = toStderr }: LogOptions): Listener {
  // Lines of reads, until the end of this turn: under load many come in one, and one write for each would cost more than the answers.
  let reads = ''
  const flush = (): void => {
    if (reads !== '') write(reads)
    reads = ''
  }
  const atOnce = (line: string): void => {
    flush()
    write(line)
  }
  const together = (line: string): void => {
    if (reads.length + line.length > atomicBytes) flush()
    if (reads === '') setImmediate(flush)
    reads += line
  }
  const loggerTo = (put: (line: string) => void) =>
    pino(
      { level, base: null, timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`, formatters: { level: (label) => ({ level: label }) } },
      { write: put },
    )
  const logger = loggerTo(atOnce)
  const readLogger = loggerTo(together)
  const last = new Map<string, number>()
  /** True for a refusal or a clock warning that was logged a moment ago in the same words. */
  const quiet = (event: Event, { message }: Line): boolean => {
    if (event.type !== 'listener.refused' && event.type !== 'exchange.clock_skew') return false
    const now = clock.boot()
    if (now - (last.get(message) ?? Number.NEGATIVE_INFINITY) < quietMs) return true
    if (last.size > 100) last.clear()
    last.set(message, now)
    return false
  }
  return (event) => {
    // The one event of every request: not put into words that nobody reads.
    if (event.type === 'served' && !logger.isLevelEnabled(isRead(event) ? 'info' : 'debug')) return
    const line = describe(event)
    if (!logger.isLevelEnabled(line.level) || quiet(event, line)) return
    const isOfRead = event.type === 'served'
    if (format === 'json') (isOfRead ? readLogger : logger)[line.level](line.fields, line.message)
    else (isOfRead ? together : atOnce)(textLine(line, clock.now()))
  }
}

/** At once, and never an end: a reader of the log that goes away must not take the daemon with it. */
function toStderr(line: string): void {
  try {
    writeSync(2, line)
  } catch {
    // Nobody is left to be told.
  }
}

const textLine = ({ level, message, fields }: Line, now: number): string => {
  const code = typeof fields['code'] === 'string' ? ` [${fields['code']}]` : ''
  // What others have named must not move the cursor of whoever reads it.
  return `${new Date(now).toISOString().slice(11, 19)} ${level.toUpperCase().padEnd(5)} ${message.replaceAll(/[^\P{Cc}\n]/gu, '?')}${code}\n`
}
