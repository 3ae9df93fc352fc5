// Loading the configuration for a command, and finding the daemon that runs with it.
import { resolve } from 'node:path'
import { isatty } from 'node:tty'
import type { Config } from '../config/config.ts'
import { findConfigText, loadConfig } from '../config/load.ts'
import { defaultRuntimeDir, type Surroundings } from '../config/resolve.ts'
import type { Io, Values } from './command.ts'

export const surroundings = (io: Io): Surroundings => ({ env: io.env, uid: process.getuid?.(), terminal: isatty(2) })

/** The configuration of --config and the environment; --runtime-dir goes before it. Throws config_invalid. */
export async function configuration({ config: path, 'runtime-dir': runtimeDir }: Values, io: Io): Promise<Config> {
  const config = await loadConfig(path, surroundings(io))
  return runtimeDir === undefined ? config : { ...config, runtimeDir: resolve(runtimeDir) }
}

/**
 * Where a client command looks for the daemon: --runtime-dir, else what the configuration says if it can be read, else the default.
 */
export async function runtimeDir(values: Values, io: Io): Promise<string> {
  const { config: path, 'runtime-dir': given } = values
  if (given !== undefined) return resolve(given)
  if (path !== undefined) return (await configuration(values, io)).runtimeDir
  // As the daemon finds it, but read only where it could matter, and never in the way: a client need not be able to.
  if (findConfigText(io.env)?.includes('runtime_dir') === true) {
    const config = await configuration({}, io).catch(() => undefined)
    if (config !== undefined) return config.runtimeDir
  }
  return defaultRuntimeDir(surroundings(io))
}
