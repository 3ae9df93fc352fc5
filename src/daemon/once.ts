// Everything once: identities and profiles run until each required profile has credentials, then all of it stops.
import type { Config } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'
import { createEvents } from '../core/events.ts'
import type { StatusReport } from '../core/health.ts'
import { linked } from '../core/run.ts'
import { createCell } from '../core/source.ts'
import { createHealth } from '../telemetry/health.ts'
import { createLog } from '../telemetry/log.ts'
import { loadedEvent } from './assemble.ts'
import { createParts } from './parts.ts'

export interface OnceOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** Resolves with the state at the end: ready, timed out, or stopped by the signal. */
export async function runOnce(config: Config, { clock, random, timeoutMs, signal }: OnceOptions): Promise<StatusReport> {
  const events = createEvents()
  const health = createHealth(clock)
  const ready = createCell(false)
  events.subscribe(createLog({ ...config.log, clock }))
  events.subscribe(health.listener)
  events.subscribe((event) => {
    if (event.type === 'credentials.fresh') ready.set(health.health().ready)
  })
  const parts = createParts({ clock, random, emit: events.emit })
  events.emit(loadedEvent(config, clock))
  await parts.apply(config)
  const limit = linked(signal)
  await Promise.race([ready.next(false, limit.signal), clock.sleep(timeoutMs, limit.signal)]).catch(() => {})
  limit.stop()
  const report = health.status()
  await parts.stop()
  return report
}
