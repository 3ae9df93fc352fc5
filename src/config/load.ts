// Finds the configuration, reads it, and either returns all of it or says everything that is wrong with it.
import { existsSync, readFileSync } from 'node:fs'
import { errorText, failure } from '../core/errors.ts'
import type { Config } from './config.ts'
import { envConfig, envMistakes, envNameOf, hasEnvConfig } from './env.ts'
import { type Locate, type Mistake, mistakesFailure, type Path } from './mistakes.ts'
import { type Declared, resolveConfig, type Surroundings } from './resolve.ts'
import { parseShape } from './shape.ts'

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
  const shape = parseShape(value)
  const resolved = shape.data === undefined ? undefined : resolveConfig(shape.data, origin, around, namesIn(value))
  const meaning = resolved?.mistakes.filter(({ path }) => !shape.removed.some((gone) => touches(path, gone))) ?? []
  // A variable that is missing is the whole story of the value that it stands in.
  const rest = [...shape.mistakes, ...meaning].filter(({ path }) => !mistakes.some((expansion) => expansion.path.join() === path.join()))
  const found = [...mistakes, ...rest]
  if (resolved === undefined || found.length > 0) throw mistakesFailure(origin, origin === environment ? found.map(byVariable) : found, locate)
  return resolved.config
}

/** One of the two is inside the other: what is said about the one may come from the other's absence. */
const touches = (path: Path, gone: Path): boolean => path.length > 0 && path.slice(0, gone.length).join() === gone.slice(0, path.length).join()

/** What was written, also where it was wrong: a reference to it is no second mistake. */
function namesIn(value: unknown): Declared {
  const names = (key: string): string[] => {
    const map = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
    return typeof map === 'object' && map !== null ? Object.keys(map) : []
  }
  const identities = names('identities')
  return { profiles: names('profiles'), identities: identities.length === 0 ? ['default'] : identities }
}

/** The text of the configuration that the environment names, or of the default file; undefined where there is none to read. */
export function findConfigText(env: NodeJS.ProcessEnv): string | undefined {
  try {
    return env['SVIDECAR_CONFIG_YAML'] || readFileSync(env['SVIDECAR_CONFIG'] || defaultFile, 'utf8')
  } catch {
    return undefined
  }
}

async function find(file: string | undefined, env: NodeJS.ProcessEnv): Promise<Found> {
  const inline = env['SVIDECAR_CONFIG_YAML']
  if (file === undefined && inline) return { origin: 'SVIDECAR_CONFIG_YAML', ...(await import('./yaml.ts')).readYaml(inline, 'SVIDECAR_CONFIG_YAML', env) }
  const path = file ?? (env['SVIDECAR_CONFIG'] || (existsSync(defaultFile) ? defaultFile : undefined))
  if (path !== undefined) return { origin: path, ...(await import('./yaml.ts')).readYaml(readConfigFile(path), path, env) }
  if (hasEnvConfig(env)) {
    const locate: Locate = () => undefined
    const mistakes = envMistakes(env)
    if (mistakes.length > 0) throw mistakesFailure(environment, mistakes, locate)
    return { origin: environment, value: envConfig(env), locate, mistakes }
  }
  throw failure('config_invalid', `there is no configuration: no ${defaultFile}, no SVIDECAR_CONFIG_YAML, and SVIDECAR_ROLE_ARN is not set`, {
    remedy: 'Name a file with --config, or set SVIDECAR_ROLE_ARN with SVIDECAR_TRUST_ANCHOR_ARN and SVIDECAR_PROFILE_ARN, or with SVIDECAR_AUDIENCE.',
  })
}

function readConfigFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw failure('config_invalid', `cannot read the configuration ${path}: ${errorText(error)}`, { remedy: 'Check the path and its rights.' })
  }
}
