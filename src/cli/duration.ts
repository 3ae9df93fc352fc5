// Durations on the command line.
import { failure } from '../core/errors.ts'

/** Milliseconds of "500ms", "30s", "5m" or "1h"; a bare number is seconds. Throws usage. */
export function parseDuration(text: string, name: string): number {
  const match = /^(\d+)(ms|s|m|h)?$/.exec(text)
  if (match === null) throw failure('usage', `${name} ${JSON.stringify(text)} is not a duration such as 30s`)
  const factor = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match[2] ?? 's'] ?? 1_000
  return Number(match[1]) * factor
}
