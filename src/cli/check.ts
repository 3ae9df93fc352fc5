// svidecar check: is the configuration right, and what does it mean?
import { type Command, configOption, runtimeDirOption } from './command.ts'
import { configuration } from './configuration.ts'
import { pretty } from './render.ts'

export const check: Command = {
  options: { config: configOption, 'runtime-dir': runtimeDirOption, schema: { type: 'boolean', help: "Print the configuration file's JSON Schema instead." } },
  details: 'Nothing is started and nobody is asked. Mistakes go to stderr, all at once, and the exit status is 2.',
  example: 'svidecar check --config config.yaml',
  async run(values, _positionals, io) {
    if (values['schema'] === true) {
      const { jsonSchema } = await import('../config/schema.ts')
      io.out(pretty(jsonSchema()))
      return 0
    }
    const config = await configuration(values, io)
    io.out(pretty(config, (key, value) => (key === 'ca' && value !== undefined ? '[PEM]' : isNoun(value) ? value.text : value)))
    return 0
  },
}

/** ARNs and addresses print as what was written. */
const isNoun = (value: unknown): value is { text: string } => typeof value === 'object' && value !== null && 'text' in value && typeof value.text === 'string'
