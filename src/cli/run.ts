// svidecar run: the daemon, until a signal ends it.
import { toFailure } from '../core/errors.ts'
import { type Command, configOption, runtimeDirOption } from './command.ts'
import { configuration } from './configuration.ts'

export const run: Command = {
  options: { config: configOption, 'runtime-dir': runtimeDirOption },
  details: 'SIGHUP loads the configuration again; SIGTERM and SIGINT end the daemon. The log goes to stderr.',
  example: 'svidecar run --config /etc/svidecar/config.yaml',
  async run(values, _positionals, io) {
    // Sockets exist for a moment before they get their mode; in that moment they must be nobody's but ours.
    process.umask(0o077)
    const load = () => configuration(values, io)
    const { startDaemon } = await import('../daemon/daemon.ts')
    const daemon = await startDaemon({ config: await load(), load, clock: io.clock, random: Math.random, env: io.env, version: io.version, commit: io.commit })
    process.on('unhandledRejection', (reason) => daemon.defect(toFailure(reason)))
    for (;;) {
      const signal = await io.nextSignal(['SIGTERM', 'SIGINT', 'SIGHUP'])
      if (signal === 'SIGHUP')
        daemon.reload().catch(() => {}) // told by its event
      else {
        // Whatever else comes while it stops must not end it half-way.
        const ignore = (): unknown => io.nextSignal(['SIGTERM', 'SIGINT', 'SIGHUP']).then(ignore)
        void ignore()
        await daemon.stop(signal)
        return 0
      }
    }
  },
}
