// The commands that obey a configuration: run, the daemon until a signal ends it; once, for init containers and jobs; check, for people.
import { configFile } from '../config/load.ts'
import { sentence, toFailure } from '../core/errors.ts'
import { start } from '../core/run.ts'
import { keepSocketsPrivate } from '../core/umask.ts'
import { type Command, configOption, runtimeDirOption } from './command.ts'
import { configuration } from './configuration.ts'
import { parseDuration } from './duration.ts'
import { pretty } from './render.ts'

export const run: Command = {
  options: { config: configOption, 'runtime-dir': runtimeDirOption },
  details: 'SIGHUP loads the configuration again (with reload: watch also the file itself does); SIGTERM and SIGINT end the daemon. The log goes to stderr.',
  example: 'svidecar run --config /etc/svidecar/config.yaml',
  async run(values, io) {
    keepSocketsPrivate()
    // Asked for before there is anything to stop: whoever reads "ready" may signal at once.
    const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const
    let next = io.nextSignal(signals)
    const [{ startDaemon }, { versionOf, watchConfig }] = await Promise.all([import('../daemon/daemon.ts'), import('../daemon/config-watch.ts')])
    const file = configFile(values['config'], io.env)
    let loaded: string | undefined
    const load = async () => {
      // Before it is read: what changes after that is a change.
      if (file !== undefined) loaded = await versionOf(file)
      return configuration(values, io)
    }
    const daemon = await startDaemon({ ...io, config: await load(), load, random: Math.random })
    process.on('unhandledRejection', (reason) => daemon.defect(toFailure(reason)))
    const watching = file === undefined ? undefined : start(watchConfig(file, () => loaded, daemon, io.clock))
    for (;;) {
      const signal = await next
      next = io.nextSignal(signals)
      if (signal !== 'SIGHUP') {
        void watching?.stop()
        return daemon.stop(signal)
      }
      daemon.reload().catch(() => {}) // told by its event
    }
  },
}

export const once: Command = {
  options: { config: configOption, timeout: { type: 'string', value: 'DURATION', help: 'How long to try. Default 60s.' } },
  details:
    'Exit status 0 when every required profile got credentials, every file was written and every hook was told. Tries until the timeout: an agent that comes late is no error.',
  example: 'svidecar once --config /etc/svidecar/config.yaml --timeout 30s',
  async run(values, io) {
    const timeoutMs = parseDuration(values['timeout'] ?? '60s', '--timeout')
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
    for (const { name, status, notAfter } of report.outputs) io.out(`${name}: ${status}${notAfter === undefined ? '' : ` until ${notAfter}`}\n`)
    const good = report.ready && !report.problems.some(({ code }) => code === 'hook_failed')
    for (const problem of good ? [] : report.problems) io.err(`${problem.subject}: ${sentence(problem)}\n`)
    return good ? 0 : 1
  },
}

export const check: Command = {
  options: { config: configOption, 'runtime-dir': runtimeDirOption, schema: { type: 'boolean', help: "Print the configuration file's JSON Schema instead." } },
  details: 'Nothing is started and nobody is asked. Mistakes go to stderr, all at once, and the exit status is 2.',
  example: 'svidecar check --config config.yaml',
  async run(values, io) {
    if (values['schema'] !== undefined) return io.out(pretty((await import('../config/schema.ts')).jsonSchema()))
    const config = await configuration(values, io)
    const shown = (key: string, value: unknown): unknown => {
      if (/mode$/i.test(key) && typeof value === 'number') return `0${value.toString(8)}`
      return key === 'ca' && value !== undefined ? '[PEM]' : isNoun(value) ? value.text : value
    }
    io.out(pretty(config, shown))
  },
}

/** ARNs and addresses print as what was written. */
const isNoun = (value: unknown): value is { text: string } => typeof value === 'object' && value !== null && 'text' in value && typeof value.text === 'string'
