// All mistakes of a configuration at once, each with its place and, for a wrong key, the nearest right one.
import { closest, distance } from 'fastest-levenshtein'
import { errorText, type Failure, failure, isFailure, sentence } from '../core/errors.ts'

export type Path = readonly (string | number)[]

export interface Mistake {
  readonly path: Path
  readonly message: string
  /** The mistake is about the key itself, not its value. */
  readonly key?: boolean | undefined
  /** In the text that was read. */
  readonly place?: { readonly line: number; readonly col: number } | undefined
}

const spell = (path: Path): string => path.reduce<string>((text, part) => (typeof part === 'number' ? `${text}[${part}]` : `${text}${text && '.'}${part}`), '')

/** One Failure that lists every mistake with file, line and column, from top to bottom. */
export function mistakesFailure(origin: string, mistakes: readonly Mistake[]): Failure {
  const sorted = mistakes.toSorted(({ place: a }, { place: b }) => (a?.line ?? 0) - (b?.line ?? 0) || (a?.col ?? 0) - (b?.col ?? 0))
  const lines = sorted.map(({ place, path, message }) => {
    const where = place === undefined ? origin : `${origin}:${place.line}:${place.col}`
    return `${where}: ${path.length === 0 ? '' : `${spell(path)}: `}${message}`
  })
  return failure('config_invalid', lines.join('\n'))
}

/** The candidate that a person most likely meant, or undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const meant = word.toLowerCase().replaceAll('-', '_')
  const best = candidates.length === 0 ? undefined : closest(meant, candidates)
  return best !== undefined && distance(meant, best) <= Math.max(2, Math.floor(word.length / 3)) ? best : undefined
}

/** That there is no such thing, and what there is instead. */
export function unknown(what: string, word: string, candidates: readonly string[]): string {
  const near = nearest(word, candidates)
  return `there is no ${what}${near === undefined ? ` (there is ${candidates.join(', ') || 'none'})` : `; did you mean ${near}?`}`
}

/** Names that the document has, also of what is wrong in itself. */
export type Declared = Readonly<Record<'profile' | 'identity', readonly string[]>>

export type Checker = ReturnType<typeof createChecker>

/** Collects mistakes instead of stopping at the first. */
export function createChecker(declared: Declared) {
  const mistakes: Mistake[] = []
  const wrong = (path: Path, message: string, key = false) => void mistakes.push({ path, message, key })
  return {
    mistakes,
    wrong,
    /** What `make` returns, or `fallback` with its complaint among the mistakes. */
    attempt<T>(path: Path, make: () => T, fallback: T): T {
      try {
        return make()
      } catch (error) {
        // A noun's own remedy says how to write it; that of a configuration stands below all mistakes.
        wrong(path, isFailure(error) && error.code !== 'config_invalid' ? sentence(error) : errorText(error))
        return fallback
      }
    },
    /** There must be a `what` of that name. */
    reference(path: Path, what: keyof Declared, name: string) {
      if (!declared[what].includes(name)) wrong(path, unknown(`${what} ${JSON.stringify(name)}`, name, declared[what]))
    },
  }
}
