// Waiting for a condition in real time, with a deadline and a reason.
import { setTimeout } from 'node:timers/promises'

/** Resolves with the first truthy result; throws with `what` when the time is over. */
export async function eventually<T>(what: string, probe: () => T | Promise<T>, timeoutMs = 10_000, everyMs = 10): Promise<NonNullable<T>> {
  const end = performance.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      const result = await probe()
      if (result) return result
      last = result
    } catch (error) {
      last = error
    }
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`)
    await setTimeout(everyMs)
  }
}
