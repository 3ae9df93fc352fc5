// The demo as one screen: a pure function of what is known, of the width and of the height.
import type { ProfileReport, StatusReport } from '../core/health.ts'
import type { DemoOptions } from './demo-arguments.ts'
import { profileNames, profiles } from './demo-daemon.ts'
import type { Story } from './demo-story.ts'
import { type Line, type Piece, type Style, wrap } from './demo-text.ts'
import { banner, count, counts, expectation, seconds, tail, timeOf } from './demo-words.ts'

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

// From here on there is room for what a person can do without.
const roomyRows = 30

/** The lines of the screen, never more than `rows`. */
export function render(view: View, columns: number, rows: number): Line[] {
  const parts = [identity(view, columns), credentials(view, columns), calls(view, columns), daemon(view, columns, rows), notice(view, columns)]
  const about = banner.slice(0, rows < roomyRows ? 1 : 2).map((text): Line => [[` ${text}`, 'dim']])
  // What a lower terminal does without, step by step.
  const forms = [
    { head: [title(view, columns), ...about], gap: [[]], shell: shell(view, columns, rows) },
    { head: [title(view, columns), ...about], gap: [[]], shell: [] },
    { head: [title(view, columns)], gap: [], shell: [] },
  ]
  const pages = forms.map((form) => {
    const above = [...form.head, ...parts.flatMap((part) => (part.length > 0 ? [...form.gap, ...part] : []))]
    const below = [...form.shell, keys(view)]
    return { above, below, room: rows - above.length - below.length }
  })
  const { above = [], below = [], room = 0 } = pages.find((page) => page.room >= 0) ?? pages.at(-1) ?? {}
  return [...above.slice(0, rows - below.length), ...news(view, room), ...below]
}

function title({ now, startedAt, options }: View, columns: number): Line {
  const clock = (ms: number) => `${Math.floor(ms / 60_000)}:${String(Math.floor(ms / 1_000) % 60).padStart(2, '0')}`
  const time = `${clock(now - startedAt)}${options.forMs === undefined ? '' : ` of ${clock(options.forMs)}`}`
  const name = ' svidecar demo'
  return [
    [name, 'title'],
    [time.padStart(Math.min(columns, 80) - name.length - 1), 'dim'],
  ]
}

const heading = (name: string, ...pieces: Piece[]): Line => [[` ${name.padEnd(12)}`, 'title'], ...pieces]
const row = (name: string, ...pieces: Piece[]): Line => [[` ${name.padEnd(12)}`], ...pieces]

/** Where something comes from; in another colour if it does not, and for how long. */
const origin = (here: string, gone: string, since: number | undefined, now: number): Piece =>
  since === undefined ? [`  ${here}`, 'dim'] : [`  ${gone} for ${Math.floor((now - since) / 1_000)} s`, 'warn']

/** A bar that grows shorter, and the seconds. */
function life(ms: number, wholeSeconds: number, verb: 'end' | 'ends', columns: number): Piece[] {
  const long = columns < 80 ? 0 : 8
  const full = Math.min(long, Math.ceil((Math.max(0, ms) / 1_000 / wholeSeconds) * long))
  const style: Style = ms < wholeSeconds * 200 ? 'warn' : 'good'
  const words: Piece = ms <= 0 ? ['ended', 'bad'] : [`${verb} in ${String(seconds(ms)).padStart(2)} s`]
  return [['━'.repeat(full), style], ['─'.repeat(long - full), 'dim'], [long > 0 ? '  ' : ''], [words[0].padEnd(12), words[1]]]
}

function identity({ now, story, status, options }: View, columns: number): Line[] {
  const known = status?.identities[0]
  const renewed = story.rotations.svids === 0 ? '' : `, ${count(story.rotations.svids, 'rotation')}`
  const document = (name: string, id: string, endsAt: number): Line[] =>
    endsAt === 0 ? [row(name, ['none yet', 'dim'])] : [row(name, [id.padEnd(13)], ...life(endsAt - now, options.svidSeconds, 'ends', columns))]
  return [
    heading('Identity', [`${known?.spiffeId ?? 'none yet'}${renewed}`], origin('from the dev agent', 'agent away', story.away.agent, now)),
    ...document('X.509-SVID', `serial ${tail(known?.serial ?? '')}`, story.x509EndsAt),
    ...document('JWT-SVID', '', story.jwtEndsAt),
  ]
}

function credentials({ now, story, status, options }: View, columns: number): Line[] {
  const renewed = story.rotations.credentials === 0 ? '' : `, ${count(story.rotations.credentials, 'rotation')}`
  return [
    heading('Credentials', [`sessions of ${options.sessionSeconds} s${renewed}`], origin('from the dev AWS', 'nothing issued', story.away.AWS, now)),
    ...profileNames.map((name) => {
      const report = status?.profiles.find((one) => one.name === name)
      const { endsAt, retryAt } = story.profiles[name]
      if (endsAt === 0) return row(name, ['none yet', 'dim'])
      const key = report?.accessKeyId === undefined ? '' : `key ${tail(report.accessKeyId)}`
      return row(name, [key.padEnd(13)], ...life(endsAt - now, options.sessionSeconds, 'end', columns), plan(report, retryAt, now), [profiles[name], 'dim'])
    }),
  ]
}

function plan(report: ProfileReport | undefined, retryAt: number | undefined, now: number): Piece {
  const wait = (instant: number): string => `${String(seconds(instant - now)).padStart(2)} s`
  if (retryAt !== undefined) return [`retry in ${wait(retryAt)}`.padEnd(17), 'warn']
  if (report?.nextRefresh === undefined) return [' '.repeat(17)]
  const due = Date.parse(report.nextRefresh)
  return due <= now ? ['renewal is due'.padEnd(17), 'warn'] : [`renewed in ${wait(due)}`.padEnd(17)]
}

function calls({ now, story }: View, columns: number): Line[] {
  const total = counts(story)
  const outcome: Piece = total.failed === 0 ? ['none failed', 'good'] : [`${total.failed} failed`, 'bad']
  return [
    heading('Calls', [`${total.calls} of sts:GetCallerIdentity by the AWS SDK, `], outcome),
    ...profileNames.map((name) => {
      const { last, lastAt, recent } = story.profiles[name]
      if (last === undefined) return row(name, ['none yet', 'dim'])
      const state: Piece = now - lastAt > patienceMs ? ['trying', 'warn'] : last.ok ? ['ok', 'good'] : ['failed', 'bad']
      const strip = recent.slice(-Math.max(10, Math.min(40, columns - 70))).map((good): Piece => (good ? ['•', 'good'] : ['x', 'bad']))
      const by = last.ok ? `key ${tail(last.accessKeyId ?? '')}  ` : ''
      const [, short = ''] = /assumed-role\/(.*)/.exec(last.arn ?? '') ?? []
      return row(name, [state[0].padEnd(7), state[1]], [by], ...strip, [`  ${columns < 120 ? short : (last.arn ?? '')}`])
    }),
  ]
}

// The SDK tries again a few times before it gives up.
const patienceMs = 2_500

function daemon({ now, status }: View, columns: number, rows: number): Line[] {
  if (status === undefined) return [heading('Daemon', ['starting', 'dim'])]
  const verdict: Piece = status.ready ? ['ready', 'good'] : [`not ready: no valid credentials for ${status.missing.join(' and ')}`, 'bad']
  // Two profiles meet the same problem; and what to do about it, a person knows who has just caused it.
  const alike = Map.groupBy(status.problems, ({ message, remedy }) => `${message.replace(/\.?$/, '.')}${rows < roomyRows ? '' : ` ${remedy}`}`)
  const problems = [...alike].flatMap(([text, of]) => {
    const since = Math.min(...of.map((problem) => Date.parse(problem.since)))
    return wrap(`${[...new Set(of.map(({ subject }) => subject))].join(' and ')}, for ${seconds(now - since)} s: ${text}`, columns - 14)
  })
  return [heading('Daemon', verdict, [problems.length === 0 ? ', no problem' : '']), ...problems.map((text) => row('', [text, 'warn']))]
}

/** What to expect, as long as a part is away or has come back a moment ago. */
function notice({ now, story }: View, columns: number): Line[] {
  const { lastSwitch } = story
  if (lastSwitch === undefined) return []
  const pending = profileNames.some((name) => story.profiles[name].retryAt !== undefined)
  if (lastSwitch.here && !pending && now - lastSwitch.at > 8_000) return []
  const text = expectation(lastSwitch.part, lastSwitch.here, story, now)
  return wrap(text, columns - 2).map((line): Line => [[` ${line}`, lastSwitch.here ? 'good' : 'warn']])
}

/** The newest entries, between empty lines. */
function news({ story }: View, room: number): Line[] {
  const space = Math.max(0, room - 2)
  // Without what the rows and the notice above say.
  const told = story.entries.filter(({ tone, subject }) => tone !== 'quiet' && subject !== 'agent' && subject !== 'AWS')
  const lines = (space === 0 ? [] : told.slice(-space)).map(
    ({ at, subject, text, tone }): Line => [
      [` ${timeOf(at)}    ${subject.padEnd(9)} `, 'dim'],
      [text, tone],
    ],
  )
  return [...(room > 0 ? [[]] : []), ...lines, ...Array.from({ length: Math.max(0, room - lines.length - 1) }, (): Line => [])]
}

/** The environment itself where there is room for it, else how to read it from its file; never cut, since it is to be pasted. */
function shell({ paste, folder }: View, columns: number, rows: number): Line[] {
  if (paste.length === 0) return []
  const fits = (text: string): boolean => text.length < columns
  if (rows >= 36 && paste.every(fits))
    return [[[' To be one more client, paste this into another shell:', 'dim']], ...paste.map((line): Line => [[` ${line}`]]), []]
  const read = `. ${folder}/env`
  const whole = `${read} && aws sts get-caller-identity`
  return [[[' Another shell  ', 'dim'], [fits(` Another shell  ${whole}`) ? whole : read]]]
}

function keys({ keys: read, story }: View): Line {
  if (!read) return [[' Ctrl-C ends the demo.', 'dim']]
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
