// svidecar reload: load the configuration again.
import { failure } from '../core/errors.ts'
import { ask, controlSocket, daemonOptions } from './client.ts'
import type { Command } from './command.ts'
import { runtimeDir } from './configuration.ts'

export const reload: Command = {
  options: daemonOptions,
  details: 'The same as SIGHUP, with an answer. What did not change goes on with its credentials; a file with mistakes changes nothing.',
  example: 'svidecar reload',
  async run(values, _positionals, io) {
    const reply = await ask(controlSocket(await runtimeDir(values, io)), 'POST', '/reload')
    const document = JSON.parse(reply.body) as { changed?: string[]; message?: string; remedy?: string }
    if (reply.status !== 200) throw failure('config_invalid', `nothing has changed: ${document.message}`, { remedy: document.remedy })
    io.out(`reloaded; changed: ${document.changed?.join(', ') || 'nothing'}\n`)
    return 0
  },
}
