// svidecar reload: load the configuration again.
import { failure, isFailure } from '../core/errors.ts'
import { askControl, daemonOptions } from './client.ts'
import type { Command } from './command.ts'

export const reload: Command = {
  options: daemonOptions,
  details: 'The same as SIGHUP, with an answer. What did not change goes on with its credentials; a file with mistakes changes nothing.',
  example: 'svidecar reload',
  async run(values, _positionals, io) {
    const body = await askControl(values, io, 'POST', '/reload').catch((error: unknown) => {
      if (!isFailure(error) || error.code !== 'usage') throw error
      throw failure('config_invalid', `nothing has changed: ${error.message}`, { remedy: error.remedy })
    })
    const { changed } = JSON.parse(body) as { changed: string[] }
    io.out(`reloaded; changed: ${changed.join(', ') || 'nothing'}\n`)
    return 0
  },
}
