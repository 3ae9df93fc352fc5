// What a person sees of the demo: the story as plain lines, the same story as a screen, and the verdict.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { render } from '../../demo/screen.ts'
import { createStory, entryLine, objections } from '../../demo/story.ts'
import type { ProfileReport, StatusReport } from '../../src/core/health.ts'

const start = Date.UTC(2026, 0, 1, 12)
const iso = (seconds: number): string => new Date(start + seconds * 1000).toISOString()
const session = 'arn:aws:sts::123456789012:assumed-role/web/5eaf00d'

const credentials = (name: string, accessKeyId: string, ends: number): ProfileReport => ({
  name,
  required: true,
  identity: 'default',
  method: 'rolesanywhere',
  roleArn: '',
  status: 'fresh',
  accessKeyId,
  expiration: iso(ends),
  nextRefresh: iso(ends - 16),
  exchanges: { succeeded: 1, failed: 0 },
})

const well: StatusReport = {
  ready: true,
  started: true,
  missing: [],
  version: '1.0.0',
  now: iso(0),
  pid: 7,
  identities: [{ name: 'default', status: 'ready', connected: true, spiffeId: 'spiffe://dev.local/web', serial: '11112222', notAfter: iso(20) }],
  profiles: [credentials('app', 'ASIAAPP1', 30), credentials('reports', 'ASIAREPORTS1', 30)],
  outputs: [],
  listeners: {},
  problems: [],
  events: [],
}
const renewed: StatusReport = {
  ...well,
  identities: well.identities.map((identity) => ({ ...identity, serial: '11113333', notAfter: iso(29) })),
  profiles: [credentials('app', 'ASIAAPP2', 39), ...well.profiles.slice(1)],
}
const unreachable = { code: 'network', message: 'cannot reach 127.0.0.1:1', remedy: 'Check DNS.', since: iso(20), runbook: '' } as const
const { accessKeyId: _, ...withoutKey } = credentials('app', '', 30)
const troubled: StatusReport = {
  ...well,
  ready: false,
  missing: ['app'],
  profiles: [{ ...withoutKey, status: 'expired' }, ...well.profiles.slice(1)],
  problems: [
    { ...unreachable, subject: 'profile app' },
    { ...unreachable, subject: 'profile reports' },
  ],
}

/** A story whose clock a test sets, in seconds since it began, and the plain lines that it has told. */
function begin() {
  let now = start
  const lines: string[] = []
  const story = createStory(
    { svidSeconds: 20, sessionSeconds: 30 },
    () => now,
    (entry) => lines.push(entryLine(entry).slice(10)),
  )
  story.paste = '. /tmp/demo/env'
  return {
    story,
    lines,
    at: (seconds: number) => {
      now = start + seconds * 1000
    },
    called: (key: string) => story.called('app', { ok: true, arn: session, accessKeyId: key }),
    failed: () => story.called('app', { ok: false, error: 'CredentialsProviderError: none' }),
    screen: (columns: number, rows: number) => render(story, columns, rows).map((line) => stripVTControlCharacters(line).trimEnd()),
  }
}

test('tells what the daemon did, and a call only when it was signed with another key', () => {
  const { story, lines, at, called } = begin()
  story.observed(well)
  called('ASIAAPP1')
  called('ASIAAPP1')
  at(9)
  story.observed(renewed)
  called('ASIAAPP2')
  assert.deepEqual(lines, [
    'daemon    svidecar 1.0.0 runs as process 7',
    'identity  spiffe://dev.local/web has a new X.509-SVID …2222, which ends in 20 s',
    'app       new credentials ASIAAPP1, which end in 30 s',
    'reports   new credentials ASIAREPORTS1, which end in 30 s',
    `app       GetCallerIdentity, signed with ASIAAPP1: ${session}`,
    'identity  spiffe://dev.local/web has a new X.509-SVID …3333, which ends in 20 s',
    'app       new credentials ASIAAPP2, which end in 30 s',
    `app       GetCallerIdentity, signed with ASIAAPP2: ${session}`,
  ])
  assert.deepEqual(story.rotations, { svids: 1, credentials: 1 })
})

test('says what to expect when AWS issues nothing, each problem once, and when it will be over', () => {
  const { story, lines, at, failed, called } = begin()
  story.observed(well)
  lines.length = 0
  at(10)
  story.switched('AWS', false)
  at(30)
  story.observed(troubled)
  story.observed(troubled)
  failed()
  failed()
  story.switched('AWS', false)
  story.observed({ ...troubled, identities: renewed.identities.map((identity) => ({ ...identity, notAfter: iso(45) })) })
  story.switched('AWS', true)
  story.observed({ ...renewed, identities: story.status?.identities ?? [] })
  called('ASIAAPP2')
  assert.deepEqual(lines, [
    'AWS       AWS issues nothing. The daemon goes on serving the last good credentials: app for 20 s, reports for 20 s. Then callers get 503.',
    'app       the last good credentials have ended: callers get 503',
    'daemon    profile app: cannot reach 127.0.0.1:1. Check DNS.',
    'daemon    profile reports: cannot reach 127.0.0.1:1. Check DNS.',
    'app       GetCallerIdentity failed: CredentialsProviderError: none',
    'AWS       AWS issues nothing, and there are no valid credentials: callers get 503 until i brings it back.',
    'identity  spiffe://dev.local/web has a new X.509-SVID …3333, which ends in 15 s',
    'AWS       AWS issues again. The daemon asks for new credentials when they are due; after a failure, at the latest with its next X.509-SVID, within 15 s.',
    'app       new credentials ASIAAPP2, which end in 9 s',
    'daemon    all is well again',
    'app       GetCallerIdentity succeeds again',
    `app       GetCallerIdentity, signed with ASIAAPP2: ${session}`,
  ])
})

test('says what to expect when the agent is away, while its SVID lasts and after', () => {
  const { story, lines, at } = begin()
  story.observed(well)
  lines.length = 0
  for (const seconds of [8, 20, 30]) {
    at(seconds)
    story.switched('agent', false)
  }
  story.switched('agent', true)
  assert.deepEqual(lines, [
    'agent     The agent is away. Its X.509-SVID still renews app, for 12 s; reports needs a new JWT-SVID each time. The daemon goes on serving the last good credentials: app for 22 s, reports for 22 s. Then callers get 503.',
    'agent     The agent is away. Nothing can be renewed. The daemon goes on serving the last good credentials: app for 10 s, reports for 10 s. Then callers get 503.',
    'agent     The agent is away, and there are no valid credentials: callers get 503 until a brings it back.',
    'agent     The agent is back. The daemon connects again within seconds and takes a new SVID.',
  ])
})

test('is content only if every call succeeded and both kinds of rotation were seen', () => {
  const { story, called, failed } = begin()
  assert.deepEqual(objections(story), ['no call was made', 'no new X.509-SVID was seen', 'no new AWS credentials were seen'])
  story.observed(well)
  called('ASIAAPP1')
  story.observed(renewed)
  called('ASIAAPP2')
  assert.deepEqual(objections(story), [])
  failed()
  assert.deepEqual(objections(story), ['1 of 3 calls failed, the first with "CredentialsProviderError: none"'])
})

test('shows identity, credentials, calls and daemon on an ordinary terminal', () => {
  const { story, at, called, screen } = begin()
  story.observed(well)
  called('ASIAAPP1')
  at(5)
  const lines = screen(80, 24)
  assert.deepEqual(lines.slice(0, 16), [
    ' svidecar demo  for 5 s',
    ' A development world with a fake AWS, on loopback: nothing leaves this machine.',
    '',
    ' Identity     SVIDs of 20 s, 0 rotations',
    ' X.509-SVID   …2222  ends in 15 s  spiffe://dev.local/web',
    '',
    ' Credentials  sessions of 30 s, 0 rotations',
    ' app          …APP1  ends in 25 s  renewed in 9 s   Roles Anywhere',
    ' reports      …RTS1  ends in 25 s  renewed in 9 s   web identity',
    '',
    ' Calls        1 of sts:GetCallerIdentity by the AWS SDK, none failed',
    ' app          ok, signed with …APP1, as web/5eaf00d',
    ' reports      none yet',
    '',
    ' Daemon       ready, no problem',
    '',
  ])
  assert.match(lines[16] ?? '', /^ \d\d:\d\d:\d\d {2}daemon {4}svidecar 1/)
  assert.deepEqual(lines.slice(-2), [' Another shell  . /tmp/demo/env', '  a  take agent away    i  take AWS away (issuing)    q  quit'])
})

test('shows what is wrong, once for two profiles, and what to expect, on as many lines as there are', () => {
  const { story, at, failed, screen } = begin()
  story.observed(well)
  at(31)
  story.switched('AWS', false)
  story.observed(troubled)
  failed()
  const text = screen(80, 24).join('\n')
  assert.match(text, / app {17}ended {26}Roles Anywhere\n/)
  assert.match(text, / app {10}failed: CredentialsProviderError: none\n/)
  assert.match(text, / Daemon {7}not ready: no valid credentials for app\n {14}profile app and profile reports: cannot reach 127\.0\.0\.1:1\n/)
  assert.match(text, /\n AWS issues nothing, and there are no valid credentials: callers get 503 until\n i brings it back\.\n/)
  assert.match(text, / {2}i {2}bring AWS back/)
  for (const rows of [8, 16, 24, 60]) assert.equal(screen(60, rows).length, rows)
})
