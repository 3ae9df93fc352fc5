// Finds the configuration, reads it, and either returns all of it or says everything that is wrong with it.
import { existsSync, readFileSync } from 'node:fs'
import { errorText, failure } from '../core/errors.ts'
import type { Config } from './config.ts'
import { readEnv } from './env.ts'
import { type Declared, mistakesFailure, type Path } from './mistakes.ts'
import { resolveConfig, type Surroundings } from './resolve.ts'
import { parseShape, valueAt } from './shape.ts'

const defaultFile = '/etc/svidecar/config.yaml'

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
  if (resolved === undefined || found.length > 0) throw mistakesFailure(origin, found.map(locate))
  return resolved.config
}

/** One of the two is inside the other: what is said about the one may come from the other's absence. */
const touches = (path: Path, gone: Path): boolean => path.length > 0 && path.slice(0, gone.length).join() === gone.slice(0, path.length).join()

/** What was written, also where it was wrong: a reference to it is no second mistake. */
function namesIn(value: unknown): Declared {
  const names = (key: string): string[] => {
    const map = valueAt(value, [key])
    return typeof map === 'object' && map !== null ? Object.keys(map) : []
  }
  const identity = names('identities')
  return { profile: names('profiles'), identity: identity.length === 0 ? ['default'] : identity }
}

/** The file that the configuration is read from; undefined where it is in the environment alone. */
export function configFile(file: string | undefined, env: NodeJS.ProcessEnv): string | undefined {
  if (file === undefined && env['SVIDECAR_CONFIG_YAML']) return undefined
  return file ?? (env['SVIDECAR_CONFIG'] || (existsSync(defaultFile) ? defaultFile : undefined))
}

/** The text of the configuration that the environment names, or of the default file; undefined where there is none to read. */
export function findConfigText(env: NodeJS.ProcessEnv): string | undefined {
  try {
    return env['SVIDECAR_CONFIG_YAML'] || readFileSync(env['SVIDECAR_CONFIG'] || defaultFile, 'utf8')
  } catch {
    return undefined
  }
}

/** What was written and where it comes from, what is wrong with it already, and how to tell the place of a mistake. */
async function find(file: string | undefined, env: NodeJS.ProcessEnv) {
  const path = configFile(file, env)
  const inline = path === undefined && env['SVIDECAR_CONFIG_YAML']
  const origin = inline ? 'SVIDECAR_CONFIG_YAML' : path
  if (origin !== undefined) return { origin, ...(await import('./yaml.ts')).readYaml(inline || readConfigFile(origin), origin, env) }
  const found = readEnv(env, 'the environment')
  if (found !== undefined) return { origin: 'the environment', ...found }
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
