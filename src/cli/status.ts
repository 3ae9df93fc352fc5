// svidecar status: what the running daemon knows.
import type { StatusReport } from '../core/health.ts'
import { ask, controlSocket, refused } from './client.ts'
import { type Command, configOption, runtimeDirOption } from './command.ts'
import { runtimeDir } from './configuration.ts'
import { renderStatus } from './render.ts'

export const status: Command = {
  summary: "the running daemon's identities, profiles and problems",
  usage: '[options]',
  options: { config: configOption, 'runtime-dir': runtimeDirOption, json: { type: 'boolean', help: 'Print JSON.' } },
  positionals: { names: [] },
  details: 'Exit status 0 when every required profile has valid credentials, else 1.',
  example: 'svidecar status --json',
  async run(values, _positionals, io) {
    const reply = await ask(controlSocket(await runtimeDir(values, io)), 'GET', '/status')
    if (reply.status !== 200) throw refused(reply)
    const report = JSON.parse(reply.body) as StatusReport
    io.out(values['json'] === true ? reply.body : renderStatus(report))
    return report.ready ? 0 : 1
  },
}
