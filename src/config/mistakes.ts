// All mistakes of a configuration at once, each with its place and, for a wrong key, the nearest right one.
import { errorText, type Failure, failure, isFailure, sentence } from '../core/errors.ts'

export type Path = readonly (string | number)[]

export interface Mistake {
  readonly path: Path
  readonly message: string
  /** The mistake is about the key itself, not its value. */
  readonly key?: boolean | undefined
}

export interface Place {
  readonly line: number
  readonly column: number
}

/** Where things stand in the text that was read. */
export type Locate = (path: Path, key: boolean, mistake: Mistake) => Place | undefined

const spell = (path: Path): string =>
  path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`))
    .join('')
    .replace(/^\./, '')

/** One Failure that lists every mistake with file, line and column. */
export function mistakesFailure(origin: string, mistakes: readonly Mistake[], locate: Locate): Failure {
  const lines = mistakes.map((mistake) => {
    const { path, message, key = false } = mistake
    const place = locate(path, key, mistake)
    return { place, line: `${origin}${place === undefined ? '' : `:${place.line}:${place.column}`}: ${path.length === 0 ? '' : `${spell(path)}: `}${message}` }
  })
  lines.sort((a, b) => (a.place?.line ?? 0) - (b.place?.line ?? 0) || (a.place?.column ?? 0) - (b.place?.column ?? 0))
  return failure('config_invalid', lines.map(({ line }) => line).join('\n'))
}

/** The candidate that a person most likely meant, or undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const scored = candidates.map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase().replaceAll('-', '_'), candidate) }))
  scored.sort((a, b) => a.distance - b.distance)
  const best = scored[0]
  return best !== undefined && best.distance <= Math.max(2, Math.floor(word.length / 3)) ? best.candidate : undefined
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [i, one] of a.split('').entries()) {
    const next = [i + 1]
    for (const [j, other] of b.split('').entries()) next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (one === other ? 0 : 1)))
    row = next
  }
  return row[b.length] ?? 0
}

export interface Checker {
  readonly mistakes: readonly Mistake[]
  wrong(path: Path, message: string, key?: boolean): void
  /** What `make` returns, or `fallback` with its complaint among the mistakes. */
  attempt<T>(path: Path, make: () => T, fallback: T): T
  /** `name` must be one of `names`. */
  reference(path: Path, name: string, names: readonly string[], what: string): void
  /** Keys that become names of files, sockets and labels. */
  names(path: Path, names: readonly string[]): void
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/

/** Collects mistakes instead of stopping at the first. */
export function createChecker(): Checker {
  const mistakes: Mistake[] = []
  const wrong = (path: Path, message: string, key = false) => void mistakes.push({ path, message, key })
  return {
    mistakes,
    wrong,
    attempt(path, make, fallback) {
      try {
        return make()
      } catch (error) {
        // A noun's own remedy says how to write it; that of a configuration stands below all mistakes.
        wrong(path, isFailure(error) && error.code !== 'config_invalid' ? sentence(error) : errorText(error))
        return fallback
      }
    },
    reference(path, name, names, what) {
      if (names.includes(name)) return
      const near = nearest(name, names)
      wrong(path, `there is no ${what} ${JSON.stringify(name)}${near === undefined ? ` (there is ${names.join(', ') || 'none'})` : `; did you mean ${near}?`}`)
    },
    names(path, names) {
      for (const name of names) if (!namePattern.test(name)) wrong([...path, name], 'a name has letters, digits, dashes and underscores, at most 63', true)
    },
  }
}
