// svidecar status: what the running daemon knows.
import type { StatusReport } from '../core/health.ts'
import { askControl, daemonOptions } from './client.ts'
import type { Command } from './command.ts'
import { renderStatus } from './render.ts'

export const status: Command = {
  options: { ...daemonOptions, json: { type: 'boolean', help: 'Print JSON.' } },
  details: 'Exit status 0 when every required profile has valid credentials, else 1.',
  example: 'svidecar status --json',
  async run(values, _positionals, io) {
    const body = await askControl(values, io, 'GET', '/status')
    const report = JSON.parse(body) as StatusReport
    io.out(values['json'] === true ? body : renderStatus(report))
    return report.ready ? 0 : 1
  },
}
