// The demo as one screen: what it shows, a pure function of what is known, and the terminal that it is drawn on.
import { writeSync } from 'node:fs'
import { styleText } from 'node:util'
import { count, entryLine, expectation, left, profileNames, profiles, type Story, tail } from './story.ts'

/** The lines of the screen, as many as `rows`. Without colour if NO_COLOR is set: styleText sees to that. */
export function render(story: Story, columns: number, rows: number): string[] {
  const key = (letter: string, text: string) => `${styleText('inverse', ` ${letter} `)} ${text}   `
  const take = (part: 'agent' | 'AWS') => (story.away.has(part) ? `bring ${part} back` : `take ${part} away`)
  const below = [
    '',
    story.paste === undefined ? '' : ` Another shell  ${story.paste}`,
    ` ${key('a', take('agent'))}${key('i', `${take('AWS')} (issuing)`)}${key('q', 'quit')}`,
  ]
  const above = [
    `${styleText('bold', ' svidecar demo')}  for ${Math.floor((story.now() - story.startedAt) / 1_000)} s`,
    ' A development world with a fake AWS, on loopback: nothing leaves this machine.',
    ...facts(story, columns),
    ...notice(story, columns),
    '',
  ].slice(0, rows - below.length)
  const room = rows - above.length - below.length
  const news = room === 0 ? [] : story.entries.slice(-room).map((entry) => styleText('dim', ` ${entryLine(entry)}`.slice(0, columns)))
  return [...above, ...news, ...Array<string>(room - news.length).fill(''), ...below]
}

const heading = (name: string, text: string) => `${styleText('bold', ` ${name.padEnd(13)}`)}${text}`
const row = (name: string, text: string) => ` ${name.padEnd(13)}${text}`
const ending = (seconds: number) => (seconds > 0 ? `ends in ${seconds} s` : 'ended').padEnd(14)

/** Identity, credentials, calls, and what the daemon says of itself. */
function facts(story: Story, columns: number): string[] {
  const { status, rotations, calls, failed, options } = story
  const now = story.now()
  const [identity] = status?.identities ?? []
  const problems = Map.groupBy(status?.problems ?? [], ({ message }) => message)
  const health = status === undefined ? 'starting' : status.ready ? 'ready' : `not ready: no valid credentials for ${status.missing.join(' and ')}`
  return [
    '',
    heading('Identity', `SVIDs of ${options.svidSeconds} s, ${count(rotations.svids, 'rotation')}`),
    row('X.509-SVID', identity?.serial === undefined ? 'none yet' : `${tail(identity.serial)}  ${ending(left(identity.notAfter, now))}${identity.spiffeId}`),
    '',
    heading('Credentials', `sessions of ${options.sessionSeconds} s, ${count(rotations.credentials, 'rotation')}`),
    ...profileNames.map((name) => {
      const report = status?.profiles.find((one) => one.name === name)
      if (report?.expiration === undefined) return row(name, 'none yet')
      const due = left(report.nextRefresh, now)
      const plan = report.accessKeyId === undefined ? '' : due > 0 ? `renewed in ${due} s` : 'renewal is due'
      return row(name, `${tail(report.accessKeyId).padEnd(7)}${ending(left(report.expiration, now))}${plan.padEnd(17)}${profiles[name]}`)
    }),
    '',
    heading('Calls', `${calls} of sts:GetCallerIdentity by the AWS SDK, ${failed === 0 ? 'none' : failed} failed`),
    ...profileNames.map((name) => {
      const call = story.last[name]
      if (call === undefined) return row(name, 'none yet')
      if (!call.ok) return row(name, styleText('red', `failed: ${call.error}`.slice(0, columns - 14)))
      return row(name, `${styleText('green', 'ok')}, signed with ${tail(call.accessKeyId)}, as ${call.arn.replace(/^.*assumed-role\//, '')}`)
    }),
    '',
    heading('Daemon', styleText(status?.ready === false ? 'red' : 'green', `${health}${problems.size > 0 ? '' : ', no problem'}`)),
    ...[...problems].flatMap(([message, alike]) => {
      const subjects = new Set(alike.map(({ subject }) => subject))
      return wrap(`${[...subjects].join(' and ')}: ${message}`, columns - 15).map((line) => row('', styleText('yellow', line)))
    }),
  ]
}

/** What to expect, as long as a part is away or has come back a moment ago. */
function notice(story: Story, columns: number): string[] {
  const { lastSwitch, away } = story
  if (lastSwitch === undefined || (!away.has(lastSwitch.part) && story.now() - lastSwitch.at > 10_000)) return []
  const lines = wrap(expectation(lastSwitch.part, story), columns - 2)
  return ['', ...lines.map((line) => ` ${styleText(away.has(lastSwitch.part) ? 'yellow' : 'green', line)}`)]
}

/** Breaks at spaces; a longer word is left to the terminal. */
const wrap = (text: string, width: number): string[] => (text.match(new RegExp(`.{1,${Math.max(1, width)}}(?= |$)|\\S+`, 'g')) ?? []).map((line) => line.trim())

/** Takes the terminal: a screen of its own, on which a line that is too long is cut. Returns how to draw, and how to give it back. */
export function openScreen(): { draw(story: Story): void; close(): void } {
  const { stdout, stdin } = process
  stdout.write('\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J')
  const close = () => {
    process.off('exit', close)
    if (stdin.isTTY) stdin.setRawMode(false)
    try {
      // At once, since this may be the last thing that the process does.
      writeSync(1, '\x1b[?7h\x1b[?25h\x1b[?1049l')
    } catch {} // the terminal has gone
  }
  process.once('exit', close)
  const draw = (story: Story) => {
    const lines = render(story, stdout.columns || 80, stdout.rows || 24)
    stdout.write(`\x1b[H${lines.map((line) => `\x1b[2K${line}`).join('\r\n')}`)
  }
  return { draw, close }
}

/** Calls back with each key; from a pipe as well, so that a script can press them. */
export function readKeys(pressed: (key: string) => void): void {
  const { stdin, stdout } = process
  // Reading a terminal while the output goes elsewhere would stop a demo that runs in the background.
  if (stdin.isTTY && !stdout.isTTY) return
  if (stdin.isTTY) stdin.setRawMode(true)
  stdin.setEncoding('utf8').on('data', (keys: string) => keys.split('').forEach(pressed))
  stdin.on('error', () => {}) // no keys then
}
