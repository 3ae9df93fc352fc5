// What svid, jwt and bundle share: they look at an agent, with or without a configuration.
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { isFailure } from '../core/errors.ts'
import { parseSocketAddress } from '../spiffe/socket-address.ts'
import { configOption, type Io, type Option, textOf, type Values } from './command.ts'
import { surroundings } from './configuration.ts'

export const agentOptions: Readonly<Record<string, Option>> = {
  config: configOption,
  socket: { type: 'string', value: 'ADDRESS', help: 'Address of the Workload API. Default: the configuration, else SPIFFE_ENDPOINT_SOCKET.' },
  identity: { type: 'string', value: 'NAME', help: 'Identity of the configuration. Default: default.' },
}

/** Looks at the agent that the options, the configuration or the environment name. Throws a Failure. */
export async function openAgent(values: Values, io: Io) {
  const { identityNamed, inspect } = await import('../daemon/inspect.ts')
  const address = textOf(values, 'socket') ?? (textOf(values, 'config') === undefined ? io.env['SPIFFE_ENDPOINT_SOCKET'] : undefined)
  if (address !== undefined) return inspect({ name: 'default', workloadApi: parseSocketAddress(address) }, io.clock)
  let config: Config
  try {
    config = await loadConfig(textOf(values, 'config'), surroundings(io))
  } catch (error) {
    if (!isFailure(error) || textOf(values, 'config') !== undefined) throw error
    throw Object.assign(error, { remedy: 'Set SPIFFE_ENDPOINT_SOCKET, or name the agent with --socket.' })
  }
  return inspect(identityNamed(config, textOf(values, 'identity') ?? 'default'), io.clock)
}
