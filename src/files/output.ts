// One output: keeps what lies on disk the same as what the identity is, writes again what could not be written, and says so.
import { createHash } from 'node:crypto'
import { steady } from '../core/backoff.ts'
import { toFailure } from '../core/errors.ts'
import type { OutputKind, World } from '../core/events.ts'
import { nextWithin, type Source } from '../core/source.ts'
import { fileFailure, type NewFile, type Place } from './place.ts'

export interface Rendered {
  readonly files: readonly NewFile[]
  /** When what is in them ends; wall clock, milliseconds. */
  readonly expiresAt?: number
}

export interface OutputOptions<S> extends World {
  readonly name: string
  readonly kind: OutputKind
  readonly source: Source<S>
  /** undefined: nothing yet, or nothing any more. Throws a Failure when there is nothing to be made of it. */
  readonly render: (state: S, now: number) => Rendered | undefined
  readonly place: Place
  /** Take the files away when what is in them has ended, and when the daemon stops. */
  readonly removeExpired: boolean
  readonly removeAtStop: boolean
}

export type Output = ReturnType<typeof createOutput>

function digestOf(files: readonly NewFile[]): string {
  const hash = createHash('sha256')
  for (const { path, mode, data } of files) hash.update(JSON.stringify([path, mode, data.length])).update(data)
  return hash.digest('hex')
}

const again = { baseMs: 500, capMs: 10_000 }
// Also without news: somebody may have set the wall clock, by which certificates end.
const longestWaitMs = 60_000

// What an earlier run has left: no digest of ours, so that the first news is written.
const ofEarlierRun = 'of an earlier run'

/**
 * Creates an output. Equal bytes are not written again, but for the first time, when whoever waits for a hook hears of it, and after
 * somebody has taken the files away.
 */
export function createOutput<S>(options: OutputOptions<S>) {
  const { name: output, kind, source, place, clock, random, emit } = options
  let written = ''
  let endsAt: number | undefined
  let attempt = 0
  let removals = 0

  /** Makes the files those of the state; resolves with the milliseconds to wait before the next look. */
  async function update(state: S): Promise<number> {
    try {
      const rendered = options.render(state, clock.now())
      if (rendered === undefined) return longestWaitMs
      const digest = digestOf(rendered.files)
      const over = options.removeExpired && (rendered.expiresAt ?? Number.POSITIVE_INFINITY) <= clock.now()
      if (!over && (digest !== written || !(await place.isThere()))) {
        await place.write(rendered.files)
        written = digest
        const files = rendered.files.map(({ path }) => path)
        endsAt = rendered.expiresAt
        emit({ type: 'output.written', output, kind, files, ...(endsAt === undefined ? {} : { expiresAt: endsAt }) })
      }
      attempt = 0
      return longestWaitMs
    } catch (error) {
      const delay = steady(again, attempt++, random)
      emit({ type: 'output.failed', output, kind, failure: toFailure(error), retryInSeconds: delay / 1000 })
      return delay
    }
  }

  /** Takes the files away; resolves with the milliseconds to wait before another try, if it failed. */
  async function remove(why: string): Promise<number> {
    if (written === '') return longestWaitMs
    try {
      const removed = await place.remove()
      written = ''
      endsAt = undefined
      // Somebody else may have removed what could not be: then nothing is wrong any more.
      if (removed || removals > 0) emit({ type: 'output.removed', output, kind, why })
      removals = 0
      return longestWaitMs
    } catch (error) {
      const delay = steady(again, removals++, random)
      emit({ type: 'output.failed', output, kind, failure: fileFailure(output, error, 'remove'), retryInSeconds: delay / 1000 })
      return delay
    }
  }

  return {
    async run(signal: AbortSignal): Promise<void> {
      const earlier = written === '' ? await place.earlier?.() : undefined
      if (earlier !== undefined) {
        written = ofEarlierRun
        endsAt = earlier.expiresAt
      }
      for (;;) {
        const state = source.current
        let wait = await update(state)
        if (options.removeExpired && endsAt !== undefined) wait = Math.min(wait, endsAt <= clock.now() ? await remove('it has expired') : endsAt - clock.now())
        const sweepMs = (await place.sweep?.().catch(() => undefined)) ?? wait
        await nextWithin(source, state, Math.max(1, Math.min(wait, sweepMs)), clock, signal)
      }
    },
    /** Called when the output is gone for good. */
    gone: async (why: string): Promise<void> => {
      if (options.removeAtStop) await remove(why)
    },
  }
}
