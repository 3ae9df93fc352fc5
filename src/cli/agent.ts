// What svid, jwt and bundle share: they look at an agent, with or without a configuration.
import { loadConfig } from '../config/load.ts'
import { failure, isFailure } from '../core/errors.ts'
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
  const path = textOf(values, 'config')
  const address = textOf(values, 'socket') ?? (path === undefined ? io.env['SPIFFE_ENDPOINT_SOCKET'] : undefined)
  if (address !== undefined) return inspect({ name: 'default', workloadApi: parseSocketAddress(address) }, io.clock)
  const config = await loadConfig(path, surroundings(io)).catch((error: unknown) => {
    if (!isFailure(error) || path !== undefined) throw error
    throw Object.assign(error, { remedy: 'Set SPIFFE_ENDPOINT_SOCKET, or name the agent with --socket.' })
  })
  return inspect(identityNamed(config, textOf(values, 'identity') ?? 'default'), io.clock)
}

/** What --output names, the first of the formats without it. Throws usage. */
export function outputOf<F extends string>(values: Values, formats: readonly [F, ...F[]]): F {
  const wanted = textOf(values, 'output') ?? formats[0]
  const output = formats.find((one) => one === wanted)
  if (output !== undefined) return output
  throw failure('usage', `there is no output ${JSON.stringify(wanted)}`, { remedy: `There are ${formats.slice(0, -1).join(', ')} and ${formats.at(-1)}.` })
}
