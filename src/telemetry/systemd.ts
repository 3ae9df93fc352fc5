// Tells systemd: a fold over the events, sent by systemd-notify, because Node has no unix datagram sockets.
import { execFile } from 'node:child_process'
import type { Clock } from '../core/clock.ts'
import type { Listener } from '../core/events.ts'
import type { HealthReport } from '../core/health.ts'
import type { Task } from '../core/run.ts'

export interface Systemd {
  readonly listener: Listener
  /** Pings the watchdog as long as the event loop turns. */
  readonly run: Task
}

export interface SystemdOptions {
  readonly env: NodeJS.ProcessEnv
  readonly health: () => HealthReport
  readonly clock: Clock
}

/** undefined when this process was not started by systemd with Type=notify. */
export function createSystemd({ env, health, clock }: SystemdOptions): Systemd | undefined {
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
  let ready = false
  let said = ''
  const status = (text: string) => {
    if (text === said) return
    said = text
    notify(`--status=${text}`)
  }
  const summary = () => {
    const { missing } = health()
    return missing.length === 0 ? 'serving credentials' : `waiting for credentials of ${missing.join(', ')}`
  }
  const watchdogMs = Number(env['WATCHDOG_USEC']) / 1000
  return {
    listener(event) {
      switch (event.type) {
        case 'daemon.listening':
          ready = true
          said = summary()
          notify('--ready', `--status=${said}`)
          break
        case 'daemon.stopping':
          notify('STOPPING=1', `--status=stopping: ${event.reason}`)
          break
        case 'credentials.fresh':
        case 'credentials.expired':
        case 'credentials.dropped':
        case 'config.loaded':
          if (ready) status(summary())
          break
        case 'identity.failing':
        case 'exchange.failed':
          if (ready && health().missing.length > 0) status(`${summary()}: ${event.failure.message}`.slice(0, 400))
          break
        default:
      }
    },
    async run(signal) {
      if (!(watchdogMs > 0)) return
      for (;;) {
        await clock.sleep(watchdogMs / 2, signal)
        notify('WATCHDOG=1')
      }
    },
  }
}
