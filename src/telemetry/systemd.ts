// Tells systemd: a fold over the events, sent by systemd-notify, because Node has no unix datagram sockets.
import { execFile } from 'node:child_process'
import type { Clock } from '../core/clock.ts'
import type { Event } from '../core/events.ts'
import type { HealthReport } from '../core/health.ts'

const changes: ReadonlySet<Event['type']> = new Set([
  'credentials.fresh',
  'credentials.expired',
  'credentials.dropped',
  'credentials.forgotten',
  'output.written',
  'output.removed',
  'config.loaded',
])

/** undefined when this process was not started by systemd with Type=notify. */
export function createSystemd({ env, health, clock }: { env: NodeJS.ProcessEnv; health: () => HealthReport; clock: Clock }) {
  const socket = env['NOTIFY_SOCKET']
  if (socket === undefined || socket === '') return undefined
  // One after the other: READY must not overtake the status before it. NotifyAccess=all, since the sender is a child.
  let queue = Promise.resolve()
  const notify = (...words: string[]) => {
    queue = queue.then(
      () =>
        new Promise((resolve) => execFile('systemd-notify', words, { env: { NOTIFY_SOCKET: socket, PATH: env['PATH'] ?? '/usr/bin:/bin' } }, () => resolve())),
    )
  }
  // undefined until all listeners are open: READY comes first.
  let said: string | undefined
  const status = (text: string) => {
    if (said === undefined || said === text) return
    said = text
    notify(`--status=${text}`)
  }
  const summary = () => {
    const { missing } = health()
    return missing.length === 0 ? 'ready' : `waiting for ${missing.join(', ')}`
  }
  const watchdogMs = Number(env['WATCHDOG_USEC']) / 1000
  return {
    listener(event: Event): void {
      if (event.type === 'daemon.listening') {
        said = summary()
        notify('--ready', `--status=${said}`)
      } else if (event.type === 'daemon.stopping') notify('STOPPING=1', `--status=stopping: ${event.reason}`)
      else if (changes.has(event.type)) status(summary())
      else if ((event.type === 'identity.failing' || event.type === 'exchange.failed') && health().missing.length > 0)
        status(`${summary()}: ${event.failure.message}`.slice(0, 400))
    },
    /** Pings the watchdog as long as the event loop turns. */
    async run(signal: AbortSignal): Promise<void> {
      if (!(watchdogMs > 0)) return
      for (;;) {
        await clock.sleep(watchdogMs / 2, signal)
        notify('WATCHDOG=1')
      }
    },
  }
}
