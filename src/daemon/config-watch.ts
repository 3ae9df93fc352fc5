// Notices that the configuration file has changed, for those who cannot send a signal: `reload: watch`.
import { stat } from 'node:fs/promises'
import type { Clock } from '../core/clock.ts'
import type { Task } from '../core/run.ts'
import type { Daemon } from './daemon.ts'

// Looked at, and not waited for by inotify: its instances are counted per user for the whole node (128 by default), and every sidecar has the same uid.
const lookMs = 1_000

/** Another text when the file was written, replaced, or reached by another link, as a ConfigMap's is; undefined while it is not there. */
export const versionOf = (path: string): Promise<string | undefined> =>
  stat(path, { bigint: true }).then(
    ({ dev, ino, size, ctimeNs }) => [dev, ino, size, ctimeNs].join(),
    () => undefined,
  )

/**
 * Has the daemon load the file when it is not what it has `loaded` last, by whomever it was told to, once it has stayed the same for two looks: somebody may still be writing.
 * A file that is gone is no change. Asks the configuration in force whether it is to look at all.
 */
export const watchConfig =
  (path: string, loaded: () => string | undefined, daemon: Pick<Daemon, 'config' | 'reload'>, clock: Clock): Task =>
  async (signal) => {
    let before = loaded()
    for (;;) {
      await clock.sleep(lookMs, signal)
      if (daemon.config.reload !== 'watch') continue
      const now = await versionOf(path)
      const settled = now === before
      before = now
      if (!settled || now === undefined || now === loaded()) continue
      await daemon.reload().catch(() => {}) // told by its event
    }
  }
