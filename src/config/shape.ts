// The shape of a configuration against its schema. What is wrong in one place does not hide what is wrong in another.
import * as z from 'zod/mini'
import en from 'zod/v4/locales/en.js'
import { type Mistake, nearest, type Path } from './mistakes.ts'
import { configSchema, type RawConfig } from './schema.ts'

export interface Shape {
  /** The configuration without what was wrong; undefined when too little is left of it. */
  readonly data: RawConfig | undefined
  readonly mistakes: readonly Mistake[]
  /** What was taken out, and so says nothing more. */
  readonly removed: readonly Path[]
}

type Tree = Record<string | number, unknown>

const mostRounds = 20

/** Parses, takes out what is wrong and parses the rest again, so that its meaning can be looked at, too. */
export function parseShape(value: unknown): Shape {
  z.config(en())
  const mistakes: Mistake[] = []
  const removed: Path[] = []
  const rest: unknown = structuredClone(value)
  for (let round = 0; round < mostRounds; round++) {
    const parsed = configSchema.safeParse(rest)
    if (parsed.success) return { data: parsed.data, mistakes, removed }
    const found = parsed.error.issues.flatMap((issue) => explain(issue, rest))
    if (round === 0) mistakes.push(...found)
    for (const { path } of found) {
      const gone = prune(rest, path)
      if (gone === undefined) return { data: undefined, mistakes, removed }
      removed.push(gone)
    }
  }
  return { data: undefined, mistakes, removed }
}

const at = (tree: unknown, path: Path): unknown =>
  path.reduce<unknown>((value, part) => (typeof value === 'object' && value !== null ? (value as Tree)[part] : undefined), tree)

/** Takes out the value at `path`, or what holds it where it is missing or in a list. Returns what went. */
function prune(tree: unknown, path: Path): Path | undefined {
  for (let depth = path.length; depth > 0; depth--) {
    const holder = at(tree, path.slice(0, depth - 1))
    const key = path[depth - 1] ?? ''
    if (typeof holder === 'object' && holder !== null && !Array.isArray(holder) && Object.hasOwn(holder, key)) {
      delete (holder as Tree)[key]
      return path.slice(0, depth)
    }
  }
  return undefined
}

/** zod's issue as one of ours: unknown keys one by one, each with the nearest key of its place. */
function explain(issue: z.core.$ZodIssue, document: unknown): Mistake[] {
  const path: Path = issue.path.filter((part): part is string | number => typeof part !== 'symbol')
  if (issue.code !== 'unrecognized_keys') {
    return [{ path, message: at(document, path) === undefined ? 'is missing' : issue.message.replace(/^Invalid input: /, '') }]
  }
  const known = keysAt(path)
  return issue.keys.map((key) => {
    const near = nearest(key, known)
    return {
      path: [...path, key],
      key: true,
      message: `there is no such key${near === undefined ? ` (there is ${known.join(', ')})` : `; did you mean ${near}?`}`,
    }
  })
}

/** The keys that the schema has at a path: follows objects, records and lists. */
function keysAt(path: readonly (string | number)[]): string[] {
  let schema: unknown = configSchema
  for (const part of path) schema = step(unwrap(schema), part)
  const last = unwrap(schema)
  return last?.shape === undefined ? [] : Object.keys(last.shape)
}

type Definition = { type: string; innerType?: unknown; shape?: Record<string, unknown>; valueType?: unknown; element?: unknown }

function unwrap(schema: unknown): Definition | undefined {
  let definition = (schema as { def?: Definition } | undefined)?.def
  while (definition?.type === 'optional') definition = (definition.innerType as { def?: Definition } | undefined)?.def
  return definition
}

const step = (definition: Definition | undefined, part: string | number): unknown => definition?.shape?.[part] ?? definition?.valueType ?? definition?.element
