// Signals: by name, and as something to wait for. The names are those of golang.org/x/sys/unix for Linux, so that one spelling serves everywhere.
import { constants } from 'node:os'

// Node knows these as well.
const foreign = new Set(['SIGIOT', 'SIGPOLL', 'SIGUNUSED', 'SIGINFO', 'SIGLOST', 'SIGBREAK'])

/** The number of a signal by its whole name in capitals, such as SIGHUP; undefined for any other text. */
export function signalNumber(name: string): number | undefined {
  const numbers: Readonly<Record<string, number>> = constants.signals
  return foreign.has(name) || !Object.hasOwn(numbers, name) ? undefined : numbers[name]
}

/**
 * Waits for signals, one at a time. A handler stays once it is there, because without one the next signal would end the process before
 * anybody asks for it; what comes meanwhile is kept, each name once. `listen` installs a handler for good.
 */
export function createSignalQueue(listen: (name: NodeJS.Signals, handler: () => void) => void) {
  const known = new Set<NodeJS.Signals>()
  const kept = new Set<NodeJS.Signals>()
  const waiting = new Set<{ readonly names: readonly NodeJS.Signals[]; readonly resolve: (name: NodeJS.Signals) => void }>()
  const take = (name: NodeJS.Signals) => () => {
    const first = [...waiting].find(({ names }) => names.includes(name))
    if (first === undefined) return kept.add(name)
    waiting.delete(first)
    first.resolve(name)
  }
  /** Resolves with the name of the first of these that comes, or has come since somebody asked for it before. */
  return (names: readonly NodeJS.Signals[]): Promise<NodeJS.Signals> => {
    for (const name of names) if (!known.has(name)) listen(name, take(name))
    for (const name of names) known.add(name)
    const early = names.find((name) => kept.delete(name))
    return early === undefined ? new Promise((resolve) => waiting.add({ names, resolve })) : Promise.resolve(early)
  }
}
