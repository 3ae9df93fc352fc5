// What a command of the command line is, and what it is handed.
import type { Clock } from '../core/clock.ts'

export interface Io {
  readonly env: NodeJS.ProcessEnv
  readonly clock: Clock
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly version: string
  readonly commit: string
  /** Resolves with its name when one of the signals comes; from the first call on the process does not die of any of them. */
  readonly nextSignal: (names: readonly NodeJS.Signals[]) => Promise<NodeJS.Signals>
}

/** `value`: how it is called in the help text. */
export type Option = { readonly help: string } & ({ readonly type: 'boolean'; readonly value?: never } | { readonly type: 'string'; readonly value: string })

/** What was given, by option: its value, or 'true' where it has none. */
export type Values = Readonly<Record<string, string | undefined>>

export interface Command {
  /** After the name: "[options] -- COMMAND …". Only options unless said. */
  readonly usage?: string
  readonly options: Readonly<Record<string, Option>>
  /** How many words it takes at most besides options, none unless said. */
  readonly words?: number
  /** Further words of help: a sentence or two. */
  readonly details: string
  readonly example: string
  /** Resolves with the exit status, 0 when left out. Throws a Failure. */
  readonly run: (values: Values, io: Io, words: readonly string[]) => Promise<number | void>
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
