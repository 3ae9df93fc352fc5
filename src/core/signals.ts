// Signals by name. The names are those of golang.org/x/sys/unix for Linux, so that one spelling serves everywhere.
import { constants } from 'node:os'

// Node knows these as well.
const foreign = new Set(['SIGIOT', 'SIGPOLL', 'SIGUNUSED', 'SIGINFO', 'SIGLOST', 'SIGBREAK'])

/** The number of a signal by its whole name in capitals, such as SIGHUP; undefined for any other text. */
export function signalNumber(name: string): number | undefined {
  const numbers: Readonly<Record<string, number>> = constants.signals
  return foreign.has(name) || !Object.hasOwn(numbers, name) ? undefined : numbers[name]
}
