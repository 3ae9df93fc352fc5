// What a command of the command line is, and what it is handed.
import type { ParseArgsOptionsConfig } from 'node:util'
import type { Clock } from '../core/clock.ts'

export interface Io {
  readonly env: NodeJS.ProcessEnv
  readonly clock: Clock
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly version: string
  readonly commit: string
  /** Resolves with its name when one of the signals comes; the process does not die of it. */
  readonly nextSignal: (names: readonly NodeJS.Signals[]) => Promise<NodeJS.Signals>
}

export interface Option {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  readonly help: string
  /** How the value is called in the help text. */
  readonly value?: string
}

export type Values = Readonly<Record<string, string | boolean | undefined>>

export interface Command {
  /** After the name: "[options] -- COMMAND …". Only options unless said. */
  readonly usage?: string
  readonly options: Readonly<Record<string, Option>>
  /** Names of positional arguments, none unless said; `more` for any number. */
  readonly positionals?: { readonly names: readonly string[]; readonly more?: true }
  /** Further words of help: a sentence or two. */
  readonly details: string
  readonly example: string
  /** Resolves with the exit status. Throws a Failure. */
  readonly run: (values: Values, positionals: readonly string[], io: Io) => Promise<number>
}

export const configOption: Option = {
  type: 'string',
  value: 'FILE',
  help: 'Configuration file. Default: SVIDECAR_CONFIG_YAML, SVIDECAR_CONFIG, /etc/svidecar/config.yaml, else the environment.',
}
export const runtimeDirOption: Option = { type: 'string', value: 'DIR', help: "The daemon's runtime directory. Default: as the configuration says." }
export const consumerOption: Option = { type: 'string', value: 'NAME', help: 'Read as this consumer. Default: the only one whose socket can be opened.' }
export const profileOption: Option = { type: 'string', value: 'NAME', help: "The profile. Default: the consumer's only one." }
export const outputOption = (formats: string): Option => ({ type: 'string', value: 'FORMAT', help: formats })

/** The option of that name, if it was given, as text. */
export const textOf = (values: Values, name: string): string | undefined => {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}

/** A command's options as node:util's parseArgs takes them. */
export const parseOptions = (command: Command): ParseArgsOptionsConfig =>
  Object.fromEntries(
    Object.entries({ ...command.options, help: { type: 'boolean' as const, short: 'h', help: '' } }).map(([name, { type, short }]) => [
      name,
      short === undefined ? { type } : { type, short },
    ]),
  )
