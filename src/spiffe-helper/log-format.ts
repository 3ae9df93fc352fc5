// The log as spiffe-helper writes it, in logrus's text form: the lines that people grep for, and ours among them in the same form.
import type { Clock } from '../core/clock.ts'
import { type Failure, sentence } from '../core/errors.ts'
import type { Event, EventOf, Stream } from '../core/events.ts'
import { goQuote } from './go-quote.ts'

export type LogLevel = 'info' | 'warning' | 'error'
export type HelperLog = (level: LogLevel, message: string, fields?: Readonly<Record<string, string>>) => void

/** Nothing around an empty text, as logrus has it. */
const quote = (text: string): string => (/^[a-zA-Z0-9._/@^+-]*$/.test(text) ? text : goQuote(text))

/** RFC 3339 with the offset of this machine. */
function timestamp(ms: number): string {
  const offset = -new Date(ms).getTimezoneOffset()
  const local = new Date(ms + offset * 60_000).toISOString().slice(0, 19)
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0')
  return offset === 0 ? `${local}Z` : `${local}${offset < 0 ? '-' : '+'}${two(Math.abs(offset) / 60)}:${two(Math.abs(offset) % 60)}`
}

const colours = { info: 36, warning: 33, error: 31 } as const

/** Creates the log. `terminal`: in colours, with seconds since the start. */
export function createHelperLog(write: (line: string) => void, clock: Clock, terminal: boolean): HelperLog {
  const begun = clock.boot()
  return (level, message, fields = {}) => {
    const sorted = Object.entries({ ...fields, system: 'spiffe-helper' }).toSorted(([a], [b]) => (a < b ? -1 : 1))
    const paint = (text: string): string => (terminal ? `\x1b[${colours[level]}m${text}\x1b[0m` : text)
    const rest = sorted.map(([key, value]) => ` ${paint(key)}=${quote(value)}`).join('')
    const seconds = String(Math.floor((clock.boot() - begun) / 1000)).padStart(4, '0')
    if (terminal) write(`${paint(level.toUpperCase().slice(0, 4))}[${seconds}] ${message.padEnd(44)} ${rest}\n`)
    else write(`time="${timestamp(clock.now())}" level=${level} msg=${quote(message)}${rest}\n`)
  }
}

/** The reason alone, where the original has Go's words for it. */
export const reasonOf = ({ facts, message }: Failure): string => (facts?.['path'] === undefined ? message : `open ${facts['path']}: ${facts['reason']}`)

/** A line of svidecar's own log. */
interface Line {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
}

type Lines = { readonly [T in Event['type']]?: (event: EventOf<T>) => void }

/** What everything is called that helper.conf asks for: identity, outputs, hooks and listener. */
export const origin = 'helper.conf'
export const hookNames = { cmd: `${origin} cmd`, pidFile: `${origin} pid_file_name` }

const subjectOf = (event: Event): string =>
  'identity' in event ? event.identity : 'output' in event ? event.output : 'hook' in event ? event.hook : 'listener' in event ? event.listener : ''

/**
 * The log of a daemon that runs with helper.conf. `onX509`: called after the line of each new X.509 set, for mistakes
 * that the original tells then. Events of which the original knows nothing get svidecar's own line, but for those of every start and end.
 */
export function createHelperListener(log: HelperLog, onX509: () => void): (event: Event, line: () => Line) => void {
  const failing = ({ stream, failure }: { stream: Stream; failure: Failure }): void => {
    const missing = failure.code === 'identity_missing'
    const message = sentence(failure)
    if (stream === 'jwt_bundles') log('error', `Error while watching JWT bundles: ${message}`)
    else if (stream === 'jwt') log('error', `Unable to update JWT SVID: ${missing ? 'failed to find the hinted JWT SVID' : message}`)
    else if (missing) log('error', 'Unable to dump bundle', { error: 'failed to find the hinted x509 SVID' })
    else log('error', `Error while watching x509 context: ${message}`)
  }
  const lines: Lines = {
    'x509.received': ({ spiffeIds }) => {
      for (const id of spiffeIds) log('info', 'Received update', { spiffe_id: id })
    },
    'identity.failing': failing,
    'identity.withdrawn': failing,
    'identity.warning': ({ message }) => log('warning', message),
    'output.written': ({ kind }) => {
      log('info', { x509: 'X.509 certificates updated', jwt: 'JWT SVID updated', jwt_bundle: 'JWT bundle updated', credentials: 'credentials updated' }[kind])
      if (kind === 'x509') onX509()
    },
    'output.failed': ({ kind, failure }) => {
      const reason = reasonOf(failure)
      if (kind === 'x509') log('error', 'Unable to dump bundle', { error: reason })
      else log('error', kind === 'jwt' ? `Unable to update JWT SVID: ${reason}` : `Error writing JWT Bundle to disk: unable to write JSON file: ${reason}`)
    },
    'hook.failed': ({ hook, failure }) =>
      log('error', hook === hookNames.cmd ? 'Unable to signal process' : 'Unable to signal PID file', { error: failure.message }),
    'listener.warning': ({ message }) => log('warning', 'Error serving health checks', { error: message }),
  }
  return (event, line) => {
    if (`${subjectOf(event)} `.startsWith(`${origin} `)) return (lines[event.type] as ((event: Event) => void) | undefined)?.(event)
    const { level, message } = line()
    const routine = level === 'info' && /^(daemon|config)\./.test(event.type)
    if (level !== 'debug' && !routine) log(level === 'warn' ? 'warning' : level, message)
  }
}
