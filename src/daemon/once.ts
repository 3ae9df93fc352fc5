// Everything once: identities, profiles and outputs run until all of it is there and every hook has been told, then they stop.
import type { Config } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'
import { createEvents } from '../core/events.ts'
import type { StatusReport } from '../core/health.ts'
import { linked } from '../core/run.ts'
import { createCell } from '../core/source.ts'
import { createHealth } from '../telemetry/health.ts'
import { createLog, listenerOf, type OtherLog } from '../telemetry/log.ts'
import { loadedEvent } from './assemble.ts'
import { createParts } from './parts.ts'

export interface OnceOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** A log of another form, instead of the configured one. */
  readonly log?: OtherLog | undefined
}

/**
 * Resolves with the state at the end: ready, timed out, stopped by the signal, or as good as it gets when a file cannot be
 * written, which another try in a moment will hardly cure. It is not ready before every hook has been told of everything. A child
 * that lives beside a daemon has no place here, and is left out.
 */
export async function runOnce(config: Config, { clock, random, timeoutMs, signal, log }: OnceOptions): Promise<StatusReport> {
  const events = createEvents()
  const health = createHealth(clock)
  const over = createCell(false)
  const parts = createParts({ clock, random, emit: events.emit })
  events.subscribe(listenerOf(log) ?? createLog({ ...config.log, clock }))
  events.subscribe(health.listener)
  events.subscribe(() => {
    const { missing, outputs } = health.status()
    const failed = outputs.filter(({ status }) => status === 'failed').map(({ name }) => name)
    if (missing.every((name) => failed.includes(name)) && parts.idle()) over.set(true)
  })
  const hooks = config.hooks.filter(({ action }) => action.kind !== 'child')
  // What is written once is for those who come after.
  const files = config.files.map((file) => ({ ...file, removeAtStop: false }))
  events.emit(loadedEvent({ ...config, hooks }, clock))
  await parts.apply({ ...config, hooks, files })
  const limit = linked(signal)
  await Promise.race([over.next(false, limit.signal), clock.sleep(timeoutMs, limit.signal)]).catch(() => {})
  limit.stop()
  const report = health.status()
  const told = parts.idle()
  await parts.stop()
  return told ? report : { ...report, ready: false, missing: [...report.missing, 'hooks'] }
}
