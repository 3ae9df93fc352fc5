// What the demo can be asked for.

export interface DemoOptions {
  /** When it ends by itself and judges; left out, a person ends it. */
  readonly forMs?: number
  /** How long an SVID lives, X.509 and JWT. */
  readonly svidSeconds: number
  /** How long a session of AWS lives. */
  readonly sessionSeconds: number
}

export const usage = 'Usage: svidecar demo [--for DURATION], with a duration such as 30s or 1m.'

/** Reads the words of the command line. Returns what is asked for, or a sentence that says what is wrong. */
export function parseArguments(words: readonly string[], env: NodeJS.ProcessEnv): DemoOptions | string {
  // For tests, which cannot watch for half a minute: the seconds of an SVID and of a session.
  const [svidSeconds = 20, sessionSeconds = 30] = (env['SVIDECAR_DEMO_SECONDS'] ?? '20,30').split(',').map(Number)
  const lifetimes = { svidSeconds, sessionSeconds }
  const [first, ...rest] = words.flatMap((word) => (word.startsWith('--for=') ? ['--for', word.slice(6)] : [word]))
  if (first === undefined) return lifetimes
  if (first !== '--for') return `the demo does not know ${JSON.stringify(first)}. ${usage}`
  const [text, extra] = rest
  if (text === undefined) return `--for needs a duration. ${usage}`
  if (extra !== undefined) return `the demo does not know ${JSON.stringify(extra)}. ${usage}`
  const [, digits = '0', unit = 's'] = /^(\d{1,6})(ms|s|m|h)?$/.exec(text) ?? []
  const forMs = Number(digits) * (units[unit] ?? 0)
  return forMs > 0 ? { ...lifetimes, forMs } : `--for ${JSON.stringify(text)} is not a duration. ${usage}`
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
