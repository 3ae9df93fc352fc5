// svidecar healthcheck: one question, one exit status; for ECS and Docker.
import { daemonOptions } from './client.ts'
import type { Command } from './command.ts'
import { runtimeDir } from './configuration.ts'
import { waitUntilReady } from './wait.ts'

export const healthcheck: Command = {
  options: daemonOptions,
  details: 'Exit status 0 when every required profile has valid credentials, else 1 with the reason.',
  example: 'svidecar healthcheck',
  async run(values, _positionals, io) {
    await waitUntilReady(await runtimeDir(values, io), {}, 0, io)
    return 0
  },
}
