// Finds the configuration, reads it, and either returns all of it or says everything that is wrong with it.
import { existsSync, readFileSync } from 'node:fs'
import * as z from 'zod/mini'
import en from 'zod/v4/locales/en.js'
import { errorText, failure } from '../core/errors.ts'
import type { Config } from './config.ts'
import { envConfig, envNameOf, hasEnvConfig } from './env.ts'
import { type Locate, type Mistake, mistakesFailure, nearest } from './mistakes.ts'
import { resolveConfig, type Surroundings } from './resolve.ts'
import { configSchema } from './schema.ts'

const defaultFile = '/etc/svidecar/config.yaml'
const environment = 'the environment'

/** A mistake of the environment is about a variable, so the variable stands in front of it. */
function byVariable(mistake: Mistake): Mistake {
  const name = envNameOf(mistake.path)
  return name === undefined ? mistake : { ...mistake, path: [name] }
}

interface Found {
  readonly origin: string
  readonly value: unknown
  readonly locate: Locate
  readonly mistakes: readonly Mistake[]
}

/**
 * Loads the configuration: the file of --config, else SVIDECAR_CONFIG_YAML, else SVIDECAR_CONFIG, else
 * /etc/svidecar/config.yaml if it exists, else the environment alone. Throws config_invalid with all mistakes.
 */
export async function loadConfig(file: string | undefined, around: Surroundings): Promise<Config> {
  const { origin, value, locate, mistakes } = await find(file, around.env)
  z.config(en())
  const parsed = configSchema.safeParse(value)
  const found = [...mistakes]
  if (!parsed.success) for (const issue of parsed.error.issues) found.push(...explain(issue, value))
  const complain = () => mistakesFailure(origin, origin === environment ? found.map(byVariable) : found, locate)
  if (!parsed.success) throw complain()
  const resolved = resolveConfig(parsed.data, origin, around)
  found.push(...resolved.mistakes)
  if (found.length > 0) throw complain()
  return resolved.config
}

async function find(file: string | undefined, env: NodeJS.ProcessEnv): Promise<Found> {
  const inline = env['SVIDECAR_CONFIG_YAML']
  if (file === undefined && inline)
    return { origin: 'SVIDECAR_CONFIG_YAML', ...(await import('./yaml.ts')).readYaml(inline, 'SVIDECAR_CONFIG_YAML', env) }
  const path = file ?? (env['SVIDECAR_CONFIG'] || (existsSync(defaultFile) ? defaultFile : undefined))
  if (path !== undefined) return { origin: path, ...(await import('./yaml.ts')).readYaml(readConfigFile(path), path, env) }
  if (hasEnvConfig(env)) {
    return { origin: environment, value: envConfig(env), locate: () => undefined, mistakes: [] }
  }
  throw failure('config_invalid', `there is no configuration: no ${defaultFile}, no SVIDECAR_CONFIG_YAML, and SVIDECAR_ROLE_ARN is not set`, {
    remedy: 'Name a file with --config, or set SVIDECAR_ROLE_ARN with SVIDECAR_TRUST_ANCHOR_ARN and SVIDECAR_PROFILE_ARN, or with SVIDECAR_AUDIENCE.',
  })
}

function readConfigFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw failure('config_invalid', `cannot read the configuration: ${errorText(error)}`, { remedy: 'Check the path and its rights.' })
  }
}

/** zod's issue as one of ours: unknown keys one by one, each with the nearest key of its place. */
function explain(issue: z.core.$ZodIssue, document: unknown): Mistake[] {
  const path = issue.path.filter((part): part is string | number => typeof part !== 'symbol')
  if (issue.code !== 'unrecognized_keys') {
    const missing = path.reduce<unknown>((value, part) => (value as Record<string | number, unknown> | undefined)?.[part], document) === undefined
    return [{ path, message: missing ? 'is missing' : issue.message.replace(/^Invalid input: /, '') }]
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

const step = (definition: Definition | undefined, part: string | number): unknown =>
  definition?.shape?.[part] ?? definition?.valueType ?? definition?.element
