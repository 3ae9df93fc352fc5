// The shape of a configuration against its schema. What is wrong in one place does not hide what is wrong in another.
import * as z from 'zod/mini'
import en from 'zod/v4/locales/en.js'
import { type Mistake, type Path, unknown } from './mistakes.ts'
import { configSchema, jsonSchema } from './schema.ts'

type Tree = Record<string | number, unknown>

const mostRounds = 20

/**
 * Parses, takes out what is wrong and parses the rest again, so that its meaning can be looked at, too. `data` is undefined when too
 * little is left; what was `removed` says nothing more.
 */
export function parseShape(value: unknown) {
  z.config(en())
  const mistakes: Mistake[] = []
  const removed: Path[] = []
  const rest: unknown = structuredClone(value)
  let parsed = configSchema.safeParse(rest)
  for (let round = 0; !parsed.success && round < mostRounds; round++) {
    const found = parsed.error.issues.flatMap((issue) => explain(issue, rest))
    if (round === 0) mistakes.push(...found)
    const gone = found.map(({ path }) => prune(rest, path))
    if (gone.some((path) => path.length === 0)) break
    removed.push(...gone)
    parsed = configSchema.safeParse(rest)
  }
  return { data: parsed.data, mistakes, removed }
}

/** The value at a path of what was read; undefined where there is none. */
export const valueAt = (tree: unknown, path: Path): unknown =>
  path.reduce<unknown>((value, part) => (typeof value === 'object' && value !== null ? (value as Tree)[part] : undefined), tree)

/** Takes out the value at `path`, or what holds it where it is missing or in a list. Returns the path of what went, empty when nothing did. */
function prune(tree: unknown, path: Path): Path {
  for (let depth = path.length; depth > 0; depth--) {
    const holder = valueAt(tree, path.slice(0, depth - 1))
    const key = path[depth - 1] ?? ''
    if (typeof holder === 'object' && holder !== null && !Array.isArray(holder) && Object.hasOwn(holder, key)) {
      delete (holder as Tree)[key]
      return path.slice(0, depth)
    }
  }
  return []
}

/** zod's issue as one of ours: unknown keys one by one, each with the nearest key of its place. */
function explain(issue: z.core.$ZodIssue, document: unknown): Mistake[] {
  const path: Path = issue.path.filter((part) => typeof part !== 'symbol')
  if (issue.code !== 'unrecognized_keys')
    return [{ path, message: valueAt(document, path) === undefined ? 'is missing' : issue.message.replace(/^Invalid input: /, '') }]
  const known = keysAt(path)
  return issue.keys.map((key) => ({ path: [...path, key], key: true, message: unknown('such key', key, known) }))
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema
  readonly items?: Schema
}

/** The keys that the schema has at a path of objects, names and lists. */
function keysAt(path: Path): string[] {
  let schema: Schema | undefined = jsonSchema() as Schema
  for (const part of path) schema = schema?.properties?.[part] ?? schema?.items ?? schema?.additionalProperties
  return Object.keys(schema?.properties ?? {})
}
