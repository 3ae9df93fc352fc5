// What the tests of an output share: its loop over a scripted source, a scripted place, and a clock that the test moves.
import type { TestContext } from 'node:test'
import { failure } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/events.ts'
import { start } from '../../src/core/run.ts'
import { createCell } from '../../src/core/source.ts'
import { createOutput, type OutputOptions, type Rendered } from '../../src/files/output.ts'
import type { NewFile, Place } from '../../src/files/place.ts'
import type { IdentityState } from '../../src/identity/sources.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { file } from './support.ts'

export interface Value {
  readonly text: string
  readonly expiresAt?: number
}

export const cannot = (reason = 'no space left on device') => failure('file_write', `cannot write /f: ${reason}`, { facts: { path: '/f', reason } })

interface Options extends Partial<Omit<OutputOptions<IdentityState<Value>>, 'render'>> {
  readonly render?: (value: Value, now: number) => Rendered
}

const asIs = ({ text, expiresAt }: Value): Rendered => ({ files: [file('/f', text)], ...(expiresAt === undefined ? {} : { expiresAt }) })

export function setUp(t: TestContext, { render = asIs, ...options }: Options = {}) {
  const clock = createFakeClock()
  const source = createCell<IdentityState<Value>>({ status: 'waiting' })
  const events: Event[] = []
  /** What was written, and 'removed'. */
  const log: string[] = []
  const faults: { write: Error | undefined; remove: Error | undefined; gone: boolean } = { write: undefined, remove: undefined, gone: false }
  let during: Promise<void> | undefined
  const place: Place = {
    async write(files: readonly NewFile[]) {
      await during
      if (faults.write !== undefined) throw faults.write
      log.push(files.map(({ data }) => data.toString()).join())
    },
    async remove() {
      if (faults.remove !== undefined) throw faults.remove
      log.push('removed')
      return true
    },
    isThere: async () => !faults.gone,
  }
  const output = createOutput<IdentityState<Value>>({
    name: 'jwt /f',
    kind: 'jwt',
    source,
    render: (state, now) => (state.status === 'ready' ? render(state.value, now) : undefined),
    place,
    removeExpired: true,
    removeAtStop: false,
    clock,
    random: () => 0,
    emit: (event) => events.push(event),
    ...options,
  })
  const running = start(output.run)
  t.after(() => running.stop())
  const ready = (text: string, lifeMs?: number) =>
    source.set({ status: 'ready', value: { text, ...(lifeMs === undefined ? {} : { expiresAt: clock.now() + lifeMs }) } })
  return {
    clock,
    source,
    events,
    log,
    faults,
    running,
    output,
    ready,
    hold: (work: Promise<void>) => {
      during = work
    },
    of: <T extends Event['type']>(type: T) => events.filter((event): event is Extract<Event, { type: T }> => event.type === type),
  }
}
