// The demo as one screen: a pure function of what is known, made of pieces of text so that a line can be cut to the
// width of the terminal, coloured or not.
import type { ProfileReport, StatusReport } from '../core/health.ts'
import type { DemoOptions } from './demo-arguments.ts'
import { type ProfileName, profileNames, profiles } from './demo-daemon.ts'
import type { Entry, Story, Tone } from './demo-story.ts'
import { seconds, tail, tallies, timeOf } from './demo-words.ts'

export interface View {
  readonly now: number
  readonly startedAt: number
  readonly options: DemoOptions
  readonly story: Story
  /** What the daemon says; undefined until it answers. */
  readonly status: StatusReport | undefined
  /** What to paste into another shell; empty until there is something. It is in a file of the folder too. */
  readonly paste: readonly string[]
  readonly folder: string
  /** Keys are read. */
  readonly keys: boolean
}

export type Style = Tone | 'title' | 'dim' | 'key'
export type Piece = readonly [text: string, style?: Style | undefined]
export type Line = readonly Piece[]

export const banner = [
  'A development world: its SPIFFE agent and its AWS are made for tests, and listen on',
  'loopback; nothing leaves this machine. The daemon and the AWS SDK are the real ones.',
]

/** The lines of the screen, at most `rows`; those that can be missed give way first. */
export function render(view: View, columns: number, rows: number): Line[] {
  const head = [title(view, columns), ...banner.map((text): Line => [[` ${text}`, 'dim']])]
  const foot = [...notice(view, columns), ...shell(view, columns, rows), keys(view)]
  const body = [identity(view, columns), credentials(view, columns), calls(view, columns), daemon(view, columns)]
  const taken = [head, ...body, foot].flat().length
  const spare = rows - taken
  // With room: empty lines between the parts, and the newest entries. Without: the banner goes, then the lower end.
  const parts = spare < 0 ? [[title(view, columns)], ...body] : [head, ...body]
  const airy = spare > parts.length
  const gap: Line[] = airy ? [[]] : []
  const above = parts.flatMap((part) => [...part, ...gap])
  const room = rows - above.length - foot.length - gap.length
  const feed = room > 0 ? newest(view.story.entries, room) : []
  const fill = Array.from({ length: Math.max(0, room - feed.length) }, (): Line => [])
  return [...above, ...feed, ...fill, ...gap, ...foot].slice(0, rows)
}

function title({ now, startedAt, options }: View, columns: number): Line {
  const ran = seconds(now - startedAt)
  const time = options.forMs === undefined ? clockOf(ran) : `${clockOf(ran)} of ${clockOf(options.forMs / 1000)}`
  const name = ' svidecar demo'
  return [
    [name, 'title'],
    [time.padStart(Math.max(time.length + 1, Math.min(columns, 84) - name.length - 1)), 'dim'],
  ]
}

const clockOf = (all: number): string => `${Math.floor(all / 60)}:${String(Math.floor(all % 60)).padStart(2, '0')}`

const row = (label: string, ...pieces: Piece[]): Line => [[` ${label.padEnd(12)}`], ...pieces]
const heading = (name: string, ...pieces: Piece[]): Line => [[` ${name.padEnd(12)}`, 'title'], ...pieces]

/** A part's state, in words: here, or away and for how long. */
const presence = (here: string, gone: string, since: number | undefined, now: number): Piece =>
  since === undefined ? [here, 'dim'] : [`${gone} for ${seconds(now - since)} s`, 'warn']

function identity({ now, story, status, options }: View, columns: number): Line[] {
  const known = status?.identities[0]
  const ends = (endsAt: number, id: string): Piece[] => [[id.padEnd(12)], ...life(endsAt - now, options.svidSeconds, 'ends', columns)]
  return [
    heading(
      'Identity',
      [known?.spiffeId ?? 'waiting for the agent'],
      ['   '],
      presence('from the dev agent', 'the agent is away', story.away.agent, now),
    ),
    ...(known?.serial === undefined ? [] : [row('X.509-SVID', ...ends(story.x509EndsAt, tail(known.serial)))]),
    ...(story.jwtEndsAt === 0 ? [] : [row('JWT-SVID', ...ends(story.jwtEndsAt, ''))]),
  ]
}

/** A bar that grows shorter, and the seconds; `verb` is "ends" or "end". */
function life(ms: number, wholeSeconds: number, verb: string, columns: number): Piece[] {
  const left = seconds(ms)
  const long = 12
  const full = Math.max(0, Math.min(long, Math.round((ms / 1000 / wholeSeconds) * long)))
  const style: Style = ms <= 0 ? 'bad' : left <= wholeSeconds / 5 ? 'warn' : 'good'
  const bar: Piece[] = columns < 72 ? [] : [['━'.repeat(full), style], ['─'.repeat(long - full), 'dim'], ['  ']]
  return [...bar, ms <= 0 ? ['has ended'.padEnd(13), 'bad'] : [`${verb} in ${String(left).padStart(2)} s`.padEnd(13)]]
}

function credentials(view: View, columns: number): Line[] {
  const { now, story, status } = view
  const found = (name: ProfileName) => status?.profiles.find((one) => one.name === name)
  return [
    heading(
      'Credentials',
      ['sessions of '],
      [`${view.options.sessionSeconds} s   `],
      presence('from the dev AWS', 'AWS has issued nothing', story.away.AWS, now),
    ),
    ...profileNames.map((name) => row(name, ...session(name, found(name), view, columns))),
  ]
}

function session(name: ProfileName, report: ProfileReport | undefined, { now, story, options }: View, columns: number): Piece[] {
  if (report?.accessKeyId === undefined && report?.status !== 'expired') return [['none yet', 'dim']]
  const { retryAt, endsAt } = story.profiles[name]
  const plan: Piece =
    retryAt === undefined
      ? [report.nextRefresh === undefined ? '' : `renewed in ${String(seconds(Date.parse(report.nextRefresh) - now)).padStart(2)} s`]
      : [`asks again in ${String(seconds(retryAt - now)).padStart(2)} s`, 'warn']
  return [
    [(report.accessKeyId === undefined ? '' : tail(report.accessKeyId)).padEnd(12)],
    ...life(endsAt - now, options.sessionSeconds, 'end', columns),
    ['  '],
    [plan[0].padEnd(19), plan[1]],
    [profiles[name], 'dim'],
  ]
}

function calls({ story }: View, columns: number): Line[] {
  return [
    heading('Calls', ['GetCallerIdentity, once a second, by @aws-sdk/client-sts in a process of its own']),
    ...profileNames.map((name) => {
      const { ok, failed, last, recent } = story.profiles[name]
      if (last === undefined) return row(name, ['none yet', 'dim'])
      const strip = recent.slice(-Math.max(8, Math.min(30, columns - 60))).map((good): Piece => (good ? ['•', 'good'] : ['x', 'bad']))
      const outcome: Piece = last.ok ? [`ok, signed with ${tail(last.accessKeyId ?? '')}  `] : ['failed  ', 'bad']
      return row(name, outcome, ...strip, [`  ${ok} ok`], ...(failed === 0 ? [] : [[`, ${failed} failed`, 'bad'] as Piece]))
    }),
  ]
}

function daemon({ now, status, story }: View, columns: number): Line[] {
  if (status === undefined) return [heading('Daemon', ['starting', 'dim'])]
  const problems = status.problems.flatMap(({ subject, message, remedy, since }) =>
    wrap(`${subject}, for ${seconds(now - Date.parse(since))} s: ${message.replace(/\.?$/, '.')} ${remedy}`, columns - 14).map((text) =>
      row('', [text, 'warn']),
    ),
  )
  const missing = status.missing.join(' and ')
  const verdict: Piece = status.ready ? ['ready', 'good'] : [`not ready: no valid credentials for ${missing}`, 'bad']
  return [heading('Daemon', verdict, [problems.length === 0 ? ', no problem' : '']), ...problems, row('', [tallies(story), 'dim'])]
}

function newest(entries: readonly Entry[], room: number): Line[] {
  return entries
    .filter(({ subject }) => subject !== 'you')
    .slice(-room)
    .map(({ at, subject, text, tone }) => [
      [` ${timeOf(at)}    `, 'dim'],
      [`${subject.padEnd(9)} `, 'dim'],
      [text, tone === 'good' ? 'plain' : tone],
    ])
}

/** What the last key press leads to, as long as a part is away or has just come back. */
function notice({ now, story }: View, columns: number): Line[] {
  const last = story.entries.findLast(({ subject }) => subject === 'you')
  if (last === undefined || (Object.keys(story.away).length === 0 && now - last.at > 10_000)) return []
  return [...wrap(last.text, columns - 2).map((text): Line => [[` ${text}`, last.tone]]), []]
}

/** The environment itself where there is room for it, else how to read it from its file; never cut, since it is to be pasted. */
function shell({ paste, folder }: View, columns: number, rows: number): Line[] {
  if (paste.length === 0) return []
  const fits = (text: string): boolean => text.length < columns
  if (rows >= 36 && paste.every(fits)) return [[[' Paste into another shell to be one more client:', 'dim']], ...paste.map((line): Line => [[` ${line}`]]), []]
  const read = `. ${folder}/env`
  const whole = `${read} && aws sts get-caller-identity`
  return [[[' Another shell  ', 'dim'], [fits(`${whole} Another shell  `) ? whole : read]]]
}

function keys({ keys: read, story }: View): Line {
  if (!read) return [[' Ctrl-C ends the demo', 'dim']]
  const key = (letter: string, text: string): Piece[] => [
    [` ${letter} `, 'key'],
    [` ${text}   `, 'dim'],
  ]
  return [
    [' '],
    ...key('a', story.away.agent === undefined ? 'take the agent away' : 'bring the agent back'),
    ...key('i', story.away.AWS === undefined ? "take AWS's issuing away" : "bring AWS's issuing back"),
    ...key('q', 'quit'),
  ]
}

/** Breaks at spaces; a word that is too long stays whole and is cut with its line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

const codes: Readonly<Record<Style, string>> = { plain: '', good: '32', warn: '33', bad: '31', title: '1', dim: '2', key: '7' }

/** A line as the terminal takes it, no wider than `columns`. */
export function paint(line: Line, columns: number, colour: boolean): string {
  let left = columns
  return line
    .map(([text, style = 'plain']) => {
      const cut = text.length > left ? `${text.slice(0, Math.max(0, left - 1))}${left > 0 ? '…' : ''}` : text
      left -= cut.length
      return colour && codes[style] !== '' && cut !== '' ? `\x1b[${codes[style]}m${cut}\x1b[0m` : cut
    })
    .join('')
}
