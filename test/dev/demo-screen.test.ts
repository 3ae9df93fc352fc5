// What a person sees of the demo: the story as plain lines, the same story as a screen of any size, and the verdict.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { StatusReport } from '../../src/core/health.ts'
import { parseArguments } from '../../src/dev/demo-arguments.ts'
import { render, type View } from '../../src/dev/demo-screen.ts'
import { createStory, type Story } from '../../src/dev/demo-story.ts'
import { paint, wrap } from '../../src/dev/demo-text.ts'
import { entryLine, objections, shellLines, tallies } from '../../src/dev/demo-words.ts'

const start = Date.UTC(2026, 0, 1, 12)
const iso = (seconds: number): string => new Date(start + seconds * 1000).toISOString()
const session = 'arn:aws:sts::123456789012:assumed-role/web/5eaf00d'

/** A story whose clock a test sets, in seconds since it began, and the plain lines that it has told. */
function begin() {
  let seconds = 0
  const lines: string[] = []
  const story = createStory(
    () => start + seconds * 1000,
    (entry) => lines.push(entryLine(entry).slice(10)),
  )
  const info = (event: string, fields: object = {}) => story.logged({ level: 'info', event, msg: '', ...fields })
  return {
    story,
    lines,
    at: (next: number) => {
      seconds = next
    },
    now: () => start + seconds * 1000,
    svid: (serial: string, ends: number) => info('x509.updated', { spiffe_id: 'spiffe://dev.local/web', serial, not_after: iso(ends) }),
    token: (ends: number) => info('jwt.fetched', { expires: iso(ends) }),
    credentials: (profile: string, key: string, ends: number) => info('credentials.fresh', { profile, access_key_id: key, expires: iso(ends) }),
    refused: (profile: string, wait: number) =>
      story.logged({ level: 'warn', event: 'exchange.failed', msg: '', profile, code: 'network', retry_in_seconds: wait }),
    expired: (profile: string) => story.logged({ level: 'error', event: 'credentials.expired', msg: '', profile }),
    failing: (text: string) => story.logged({ level: 'warn', event: 'identity.failing', msg: `identity default: ${text}`, identity: 'default' }),
    recovered: () => info('identity.recovered', { identity: 'default' }),
    call: (profile: 'app' | 'reports', accessKeyId: string) => story.called(profile, { ok: true, arn: session, accessKeyId }),
    failedCall: (profile: 'app' | 'reports') => story.called(profile, { ok: false, error: 'CredentialsProviderError: none' }),
  }
}

/** A world in which everything is well. */
function well() {
  const world = begin()
  world.svid('11112222', 20)
  world.token(20)
  for (const name of ['app', 'reports'] as const) {
    world.credentials(name, `ASIA${name.toUpperCase()}1`, 30)
    world.call(name, `ASIA${name.toUpperCase()}1`)
  }
  return world
}

test('tells what the daemon did, and a call only when it was signed with another key', () => {
  const world = well()
  world.at(1)
  world.call('app', 'ASIAAPP1')
  world.at(9)
  world.svid('11113333', 29)
  world.credentials('app', 'ASIAAPP2', 39)
  world.call('app', 'ASIAAPP2')
  assert.deepEqual(world.lines, [
    'identity  spiffe://dev.local/web has X.509-SVID …2222, which ends in 20 s',
    'app       new credentials ASIAAPP1, which end in 30 s',
    `app       GetCallerIdentity, signed with ASIAAPP1: ${session}`,
    'reports   new credentials ASIAREPORTS1, which end in 30 s',
    `reports   GetCallerIdentity, signed with ASIAREPORTS1: ${session}`,
    'identity  a new X.509-SVID …3333, which ends in 20 s',
    'app       new credentials ASIAAPP2, which end in 30 s',
    `app       GetCallerIdentity, signed with ASIAAPP2: ${session}`,
  ])
  assert.deepEqual(world.story.rotations, { svids: 1, credentials: 1 })
})

test('says what to expect when AWS issues nothing, what came of it, and when it will be over', () => {
  const world = well()
  world.lines.length = 0
  world.at(10)
  world.story.switched('AWS', false)
  world.refused('app', 2.5)
  world.at(30)
  world.expired('app')
  world.failedCall('app')
  world.failedCall('app')
  world.svid('11113333', 45)
  world.refused('app', 60)
  world.story.switched('AWS', true)
  world.credentials('app', 'ASIAAPP2', 60)
  world.call('app', 'ASIAAPP2')
  assert.deepEqual(world.lines, [
    'AWS       AWS issues nothing. The daemon goes on serving the last good credentials: app for 20 s, reports for 20 s. Then callers get 503.',
    'app       no new credentials (network): the last good ones stay; the daemon asks again in 3 s',
    'app       the last good credentials have ended: callers get 503',
    'app       GetCallerIdentity failed: CredentialsProviderError: none',
    'identity  a new X.509-SVID …3333, which ends in 15 s',
    'app       no new credentials (network): there are none to serve; the daemon asks again in 60 s',
    'AWS       AWS issues again. The daemon asks for new credentials within 15 s.',
    'app       new credentials ASIAAPP2, which end in 30 s',
    'app       GetCallerIdentity succeeds again',
    `app       GetCallerIdentity, signed with ASIAAPP2: ${session}`,
  ])
})

test('says what to expect when the agent is away, and each complaint about it once', () => {
  const world = well()
  world.lines.length = 0
  world.at(8)
  world.story.switched('agent', false)
  for (let round = 0; round < 3; round++) {
    world.failing('no such file')
    world.failing('it has expired')
  }
  world.at(20)
  world.story.switched('agent', false)
  world.at(30)
  world.story.switched('agent', false)
  world.story.switched('agent', true)
  world.recovered()
  world.recovered()
  assert.deepEqual(world.lines, [
    'agent     The agent is away. Its X.509-SVID still renews app, for 12 s; reports needs a new JWT-SVID each time. The last good credentials serve app for 22 s, reports for 22 s. Then callers get 503.',
    'identity  no such file',
    'identity  it has expired',
    'agent     The agent is away and its last SVID has ended: nothing can be renewed. The last good credentials serve app for 10 s, reports for 10 s. Then callers get 503.',
    'agent     The agent is away, and the last good credentials have ended: callers get 503 until a brings the agent back.',
    'agent     The agent is back. The daemon connects again within a second and takes a new SVID.',
    'identity  the agent answers again',
  ])
})

test('passes on what else the daemon warns of, but not what the SDK does at a 503', () => {
  const { story, lines } = begin()
  story.logged({ level: 'error', event: 'daemon.defect', msg: 'a defect' })
  story.logged({ level: 'warn', event: 'exchange.warning', msg: 'profile app: look', profile: 'app' })
  story.logged({ level: 'info', event: 'daemon.listening', msg: 'all listeners are open' })
  story.logged({ level: 'warn', event: 'listener.refused', msg: 'no token' })
  assert.deepEqual(lines, ['daemon    a defect', 'app       look'])
})

test('promises no date from an SVID that has ended', () => {
  const world = well()
  world.at(40)
  world.refused('app', 9)
  world.story.switched('AWS', true)
  assert.match(world.lines.at(-1) ?? '', /asks for new credentials within 9 s/)
})

test('is content only if every call succeeded and both kinds of rotation were seen', () => {
  assert.deepEqual(objections(begin().story), ['no call was made', 'no new X.509-SVID was seen', 'no new AWS credentials were seen'])
  const world = well()
  world.svid('11113333', 40)
  world.call('app', 'ASIAAPP2')
  assert.deepEqual(objections(world.story), [])
  assert.equal(tallies(world.story), '3 calls, none failed, 1 SVID rotation, 1 credential rotation.')
  world.failedCall('reports')
  assert.deepEqual(objections(world.story), ['1 of 4 calls failed, the first with "CredentialsProviderError: none"'])
})

const report = (change: Partial<StatusReport> = {}): StatusReport => ({
  ready: true,
  started: true,
  missing: [],
  version: '1.0.0',
  now: iso(5),
  pid: 1,
  identities: [{ name: 'default', status: 'ready', connected: true, spiffeId: 'spiffe://dev.local/web', serial: '11112222' }],
  profiles: [
    { ...profile, name: 'app', accessKeyId: 'ASIAAPP1' },
    { ...profile, name: 'reports', accessKeyId: 'ASIAREPORTS1' },
  ],
  listeners: {},
  problems: [],
  ...change,
})

const profile = {
  required: true,
  identity: 'default',
  method: 'rolesanywhere',
  roleArn: '',
  status: 'fresh',
  nextRefresh: iso(14),
  exchanges: { succeeded: 1, failed: 0 },
} as const

const paste = shellLines({ AWS_REGION: 'us-east-1' })
const view = (story: Story, now: number, change: Partial<View> = {}): View => ({
  now,
  startedAt: start,
  options: { svidSeconds: 20, sessionSeconds: 30 },
  story,
  status: report(),
  paste,
  folder: '/tmp/svidecar-demo-abcdef',
  keys: true,
  ...change,
})
const plainly = (shown: View, columns: number, rows: number): string[] => render(shown, columns, rows).map((line) => paint(line, columns, false).trimEnd())
/** With the local time of an entry made everybody's. */
const untimed = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/^ \d\d:\d\d:\d\d /, ' 12:00:00 '))

test('shows identity, credentials, calls and daemon on an ordinary terminal', () => {
  const world = well()
  world.at(5)
  world.call('app', 'ASIAAPP1')
  world.failedCall('reports')
  assert.deepEqual(untimed(plainly(view(world.story, world.now()), 80, 24)), [
    ' svidecar demo                                                             0:05',
    ' A development world with a fake AWS, on loopback: nothing leaves this machine.',
    '',
    ' Identity    spiffe://dev.local/web  from the dev agent',
    ' X.509-SVID  serial …2222 ━━━━━━──  ends in 15 s',
    ' JWT-SVID                 ━━━━━━──  ends in 15 s',
    '',
    ' Credentials sessions of 30 s  from the dev AWS',
    ' app         key …APP1    ━━━━━━━─  end in 25 s renewed in  9 s  Roles Anywhere',
    ' reports     key …RTS1    ━━━━━━━─  end in 25 s renewed in  9 s  web identity',
    '',
    ' Calls       4 of sts:GetCallerIdentity by the AWS SDK, 1 failed',
    ' app         ok     key …APP1  ••  web/5eaf00d',
    ' reports     failed •x',
    '',
    ' Daemon      ready, no problem',
    '',
    ' 12:00:00    identity  spiffe://dev.local/web has X.509-SVID …2222, which ends …',
    ' 12:00:00    app       new credentials ASIAAPP1, which end in 30 s',
    ' 12:00:00    reports   new credentials ASIAREPORTS1, which end in 30 s',
    ' 12:00:00    reports   GetCallerIdentity failed: CredentialsProviderError: none',
    '',
    ' Another shell  . /tmp/svidecar-demo-abcdef/env && aws sts get-caller-identity',
    "  a  take the agent away    i  take AWS's issuing away    q  quit",
  ])
})

test('shows what is wrong, once for two profiles, and what to expect, and keeps its lines in place', () => {
  const world = well()
  world.at(40)
  world.story.switched('AWS', false)
  world.refused('app', 9)
  world.failedCall('app')
  const problem = { code: 'network', message: 'cannot reach 127.0.0.1:1', remedy: 'Check DNS.', since: iso(20), runbook: '' } as const
  const status = report({
    ready: false,
    missing: ['app', 'reports'],
    problems: [
      { ...problem, subject: 'profile app' },
      { ...problem, subject: 'profile reports' },
    ],
  })
  const lines = plainly(view(world.story, world.now(), { status }), 80, 24)
  const shown = (start: string) => lines.filter((line) => line.startsWith(start))
  assert.deepEqual(shown(' Credentials'), [' Credentials sessions of 30 s  nothing issued for 0 s'])
  assert.deepEqual(shown(' app'), [' app         key …APP1    ────────  ended       retry in  9 s    Roles Anywhere', ' app         failed •x'])
  assert.deepEqual(shown(' reports')[0], ' reports     key …RTS1    ────────  ended       renewal is due   web identity')
  assert.deepEqual(lines.slice(15, 20), [
    ' Daemon      not ready: no valid credentials for app and reports',
    '             profile app and profile reports, for 20 s: cannot reach',
    '             127.0.0.1:1.',
    '',
    ' AWS issues nothing, and the last good credentials have ended: callers get 503',
  ])
  assert.equal(lines.at(-1), "  a  take the agent away    i  bring AWS's issuing back    q  quit")
  assert.equal(lines.length, 24)
})

test('on a tall terminal the environment itself can be pasted, and no line of it is ever cut', () => {
  const { story, now } = well()
  const tall = plainly(view(story, now()), 100, 40)
  for (const line of paste) assert.ok(tall.includes(` ${line}`), line)
  for (const columns of [30, 40, 60, 79, 80, 200])
    for (const rows of [24, 36, 60])
      for (const line of plainly(view(story, now()), columns, rows).filter((text) => /env|export|unset/.test(text)))
        assert.doesNotMatch(line, /…$/, `${columns}x${rows}`)
})

test('without keys it says how to end it', () => {
  const { story, now } = well()
  assert.equal(plainly(view(story, now(), { keys: false }), 80, 24).at(-1), ' Ctrl-C ends the demo.')
})

test('fits every terminal, in every state', () => {
  const begun = begin()
  const troubled = well()
  troubled.at(25)
  troubled.story.switched('agent', false)
  troubled.failing('a complaint of many words '.repeat(20))
  const views = [
    view(begun.story, begun.now(), { status: undefined, paste: [] }),
    view(troubled.story, troubled.now()),
    view(troubled.story, troubled.now(), { options: { svidSeconds: 20, sessionSeconds: 30, forMs: 60_000 } }),
  ]
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 250 }), fc.integer({ min: 1, max: 100 }), fc.constantFrom(...views), (columns, rows, shown) => {
      const lines = render(shown, columns, rows)
      assert.ok(lines.length <= rows, `${lines.length} lines on ${rows} rows`)
      for (const line of lines) assert.ok(paint(line, columns, false).length <= columns)
    }),
  )
})

test('colours a line without changing its text, and not at all without colour', () => {
  const line = [['a title', 'title'], [' and '], ['trouble', 'bad']] as const
  assert.equal(paint(line, 80, true), '\x1b[1ma title\x1b[0m and \x1b[31mtrouble\x1b[0m')
  assert.equal(paint(line, 80, false), 'a title and trouble')
  assert.equal(paint(line, 10, false), 'a title a…')
})

test('breaks lines at spaces, and never between a number and its seconds', () => {
  assert.deepEqual(wrap('ends in 10 s, then 503', 11), ['ends in', '10 s, then', '503'])
  assert.deepEqual(wrap('averyverylongword and more', 8), ['averyverylongword', 'and more'])
})

test('takes a duration, and answers anything else with a sentence', () => {
  assert.deepEqual(parseArguments([], {}), { svidSeconds: 20, sessionSeconds: 30 })
  for (const [text, forMs] of [
    ['30s', 30_000],
    ['45', 45_000],
    ['1m', 60_000],
    ['1500ms', 1_500],
  ] as const) {
    assert.deepEqual(parseArguments(['--for', text], {}), { svidSeconds: 20, sessionSeconds: 30, forMs })
    assert.deepEqual(parseArguments([`--for=${text}`], {}), { svidSeconds: 20, sessionSeconds: 30, forMs })
  }
  assert.deepEqual(parseArguments([], { SVIDECAR_DEMO_SECONDS: '4,6' }), { svidSeconds: 4, sessionSeconds: 6 })
  for (const words of [['--for'], ['--for', 'ever'], ['--for', '0s'], ['--for', '1s', 'more'], ['--fro', '1s'], ['now']])
    assert.match(JSON.stringify(parseArguments(words, {})), /^"(the demo does not know|--for) .*Usage: svidecar demo/)
})
