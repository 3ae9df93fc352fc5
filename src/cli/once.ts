// svidecar once: credentials of every profile, once; for init containers and jobs.
import { type Command, configOption, textOf } from './command.ts'
import { configuration } from './configuration.ts'
import { parseDuration } from './duration.ts'

export const once: Command = {
  options: { config: configOption, timeout: { type: 'string', value: 'DURATION', help: 'How long to try. Default 60s.' } },
  details: 'Exit status 0 when every required profile got credentials. Tries until the timeout: an agent that comes late is no error.',
  example: 'svidecar once --config /etc/svidecar/config.yaml --timeout 30s',
  async run(values, _positionals, io) {
    const timeoutMs = parseDuration(textOf(values, 'timeout') ?? '60s', 'timeout')
    const config = await configuration(values, io)
    const { runOnce } = await import('../daemon/once.ts')
    const stop = new AbortController()
    const signal = io.nextSignal(['SIGTERM', 'SIGINT']).then((name) => {
      stop.abort()
      return name
    })
    const report = await runOnce(config, { clock: io.clock, random: Math.random, timeoutMs, signal: stop.signal })
    if (stop.signal.aborted) io.err(`svidecar: stopped by ${await signal}\n`)
    for (const profile of report.profiles)
      io.out(`${profile.name}: ${profile.status === 'fresh' ? `credentials ${profile.accessKeyId} until ${profile.expiration}` : 'no credentials'}\n`)
    for (const { subject, message, remedy } of report.ready ? [] : report.problems) io.err(`${subject}: ${message} ${remedy}\n`)
    return report.ready ? 0 : 1
  },
}
