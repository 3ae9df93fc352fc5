// What the tests of hooks share: a folder, events, and a look at which processes live.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Failure, isFailure } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/events.ts'

export function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'hooks-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

export function recorder() {
  const events: Event[] = []
  return {
    events,
    emit: (event: Event): void => void events.push(event),
    of: <T extends Event['type']>(type: T) => events.filter((event): event is Extract<Event, { type: T }> => event.type === type),
  }
}

/** Whether there is such a process that is no zombie. */
export function lives(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

export const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** The Failure that a promise rejects with; anything else is a defect. */
export async function failureOf(work: Promise<unknown>): Promise<Failure> {
  try {
    await work
  } catch (error) {
    if (isFailure(error)) return error
    throw error
  }
  throw new Error('it was done')
}
