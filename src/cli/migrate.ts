// svidecar migrate: spiffe-helper's configuration as svidecar's.
import { readFileSync } from 'node:fs'
import { errorText, failure } from '../core/errors.ts'
import type { Command } from './command.ts'

export const migrate: Command = {
  usage: 'HELPER_CONF',
  options: {},
  words: 1,
  details: 'Prints YAML, with a comment for each thing that differs. The file also runs as it is: svidecar spiffe-helper -config HELPER_CONF.',
  example: 'svidecar migrate /etc/spiffe-helper/helper.conf > config.yaml',
  async run(_values, io, [file]) {
    if (file === undefined) throw failure('usage', 'svidecar migrate needs the file of spiffe-helper', { remedy: 'Such as: svidecar migrate helper.conf.' })
    const helper = await import('../spiffe-helper/migrate.ts')
    try {
      io.out(helper.migrate(readFileSync(file, 'utf8'), io.env))
    } catch (error) {
      throw failure('config_invalid', `${file}: ${errorText(error)}`, { remedy: 'Correct it: spiffe-helper would not take it either.' })
    }
  },
}
