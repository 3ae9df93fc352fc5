// The log of the drop-in against logrus: quoting, order of fields, timestamps with offsets, the form on a terminal, and which events say what.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import type { Clock } from '../../src/core/clock.ts'
import { failure } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/events.ts'
import { createHelperListener, createHelperLog, hookNames, type LogLevel } from '../../src/spiffe-helper/log-format.ts'
import { table } from './support.ts'

const clockAt = (now: number, boot = () => 0): Clock => ({ now: () => now, boot, sleep: () => Promise.resolve() })

function line(level: LogLevel, message: string, fields?: Readonly<Record<string, string>>, terminal = false): string {
  let written = ''
  createHelperLog((text) => (written += text), clockAt(0), terminal)(level, message, fields)
  return written
}
/** What follows the time and the level. */
const rest = (text: string) => line('info', text).replace(/^time="[^"]*" level=info /, '')

test('a line has time, level, message and the system', () => {
  assert.match(line('info', 'Launching daemon'), /^time="1970-01-01T\d\d:\d\d:00(Z|[+-]\d\d:\d\d)" level=info msg="Launching daemon" system=spiffe-helper\n$/)
})

test('the levels are called info, warning and error', () => {
  assert.deepEqual(
    (['info', 'warning', 'error'] as const).map((level) => /level=(\w+)/.exec(line(level, 'x'))?.[1]),
    ['info', 'warning', 'error'],
  )
})

test('fields come behind the message in the order of their names', () => {
  assert.match(
    line('error', 'x', { zone: 'z', error: 'e', spiffe_id: 'spiffe://a/b' }),
    / msg=x error=e spiffe_id="spiffe:\/\/a\/b" system=spiffe-helper zone=z\n$/,
  )
})

table(
  'values are quoted as logrus quotes them',
  [
    ['a', 'a'],
    ['a/b.c_d-e^f+g@h', 'a/b.c_d-e^f+g@h'],
    ['a b', '"a b"'],
    ['a:b', '"a:b"'],
    ['a=b', '"a=b"'],
    ['a,b', '"a,b"'],
    ['a%b~', '"a%b~"'],
    ['a"b', '"a\\"b"'],
    ['a\\b', '"a\\\\b"'],
    ['a\nb\tc\rd', '"a\\nb\\tc\\rd"'],
    ['\u0000\u0001\u001f', '"\\x00\\x01\\x1f"'],
    ['\u0007\b\f\v', '"\\a\\b\\f\\v"'],
    ['é', '"é"'],
    ['日本😀', '"日本😀"'],
    ["<>&'", `"<>&'"`],
    ['\\u0007', '"\\\\u0007"'],
    ['C:\\u0001', '"C:\\\\u0001"'],
    ['\u007f', '"\\x7f"'],
    ['\u0080\u009f', '"\\u0080\\u009f"'],
    ['\u00a0', '"\\u00a0"'],
    ['\u2028', '"\\u2028"'],
    ['\u200b\ufeff', '"\\u200b\\ufeff"'],
    ['\u{e0001}', '"\\U000e0001"'],
    ['\ud800', '"\ufffd"'],
  ],
  (text) => /^msg=([^]*) system=spiffe-helper\n$/.exec(rest(text))?.[1],
)

test('an empty field has nothing behind its equals sign', () => {
  assert.match(line('error', 'x', { error: '' }), / error= system=/)
})

// A process of its own, since a time zone is read at its start.
const zones: readonly (readonly [zone: string, summer: string, winter: string])[] = [
  ['UTC', '2024-07-01T12:00:00Z', '2024-01-01T12:00:00Z'],
  ['Europe/Berlin', '2024-07-01T14:00:00+02:00', '2024-01-01T13:00:00+01:00'],
  ['America/St_Johns', '2024-07-01T09:30:00-02:30', '2024-01-01T08:30:00-03:30'],
  ['Asia/Kathmandu', '2024-07-01T17:45:00+05:45', '2024-01-01T17:45:00+05:45'],
  ['Pacific/Kiritimati', '2024-07-02T02:00:00+14:00', '2024-01-02T02:00:00+14:00'],
]
for (const [zone, ...expected] of zones)
  test(`the time is told with the offset of ${zone}`, () => {
    const script = `import { createHelperLog } from ${JSON.stringify(new URL('../../src/spiffe-helper/log-format.ts', import.meta.url).href)}
      for (const now of [1719835200000, 1704110400000])
        createHelperLog((text) => process.stdout.write(text), { now: () => now + 999, boot: () => 0 }, false)('info', 'x')`
    const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env: { TZ: zone, PATH: process.env['PATH'] ?? '' } })
    assert.deepEqual(
      [...out.matchAll(/time="([^"]*)"/g)].map(([, time]) => time),
      expected,
    )
  })

test('on a terminal a line is coloured by its level, and padded to 44 characters', () => {
  const paint = (colour: number, text: string) => `\x1b[${colour}m${text}\x1b[0m`
  const padded = (text: string) => text.padEnd(44)
  assert.equal(line('info', 'hello', {}, true), `${paint(36, 'INFO')}[0000] ${padded('hello')}  ${paint(36, 'system')}=spiffe-helper\n`)
  assert.equal(line('warning', 'hello', {}, true), `${paint(33, 'WARN')}[0000] ${padded('hello')}  ${paint(33, 'system')}=spiffe-helper\n`)
  assert.equal(
    line('error', 'x', { error: 'a b' }, true),
    `${paint(31, 'ERRO')}[0000] ${padded('x')}  ${paint(31, 'error')}="a b" ${paint(31, 'system')}=spiffe-helper\n`,
  )
  assert.equal(line('info', 'm'.repeat(50), {}, true), `${paint(36, 'INFO')}[0000] ${'m'.repeat(50)}  ${paint(36, 'system')}=spiffe-helper\n`)
})

test('on a terminal whole seconds since the start are told', () => {
  let boot = 5_000
  let written = ''
  const log = createHelperLog(
    (text) => (written += text),
    clockAt(0, () => boot),
    true,
  )
  for (const more of [999, 1, 59_000, 9_939_000, 1_000_000]) {
    boot += more
    log('info', 'x')
  }
  assert.deepEqual(
    [...written.matchAll(/\[(\d+)\]/g)].map(([, seconds]) => seconds),
    ['0000', '0001', '0060', '9999', '10999'],
  )
})

/** What is logged of an event. */
function told(event: Event, own: { level: 'debug' | 'info' | 'warn' | 'error'; message: string } = { level: 'info', message: 'own' }): readonly unknown[] {
  const lines: unknown[] = []
  createHelperListener(
    (level, message, fields) => lines.push(fields === undefined ? [level, message] : [level, message, fields]),
    () => lines.push('onX509'),
  )(event, () => own)
  return lines
}
const wrote = failure('internal', 'cannot write', { facts: { path: 'certs/x', reason: 'permission denied' } })
const away = failure('internal', 'the agent is away', { remedy: 'Start it.' })
const missing = failure('identity_missing', 'none', { remedy: '' })
const mine = 'helper.conf'

const events: readonly (readonly [name: string, event: Event, lines: readonly unknown[]])[] = [
  [
    'each SVID of a message',
    { type: 'x509.received', identity: mine, spiffeIds: ['spiffe://a/1', 'spiffe://a/2'] },
    [
      ['info', 'Received update', { spiffe_id: 'spiffe://a/1' }],
      ['info', 'Received update', { spiffe_id: 'spiffe://a/2' }],
    ],
  ],
  ['written X.509 files', { type: 'output.written', output: `${mine} x509`, kind: 'x509', files: [] }, [['info', 'X.509 certificates updated'], 'onX509']],
  ['a written token', { type: 'output.written', output: `${mine} jwt_svids[0]`, kind: 'jwt', files: [] }, [['info', 'JWT SVID updated']]],
  ['a written bundle', { type: 'output.written', output: `${mine} jwt_bundle`, kind: 'jwt_bundle', files: [] }, [['info', 'JWT bundle updated']]],
  [
    'X.509 files that cannot be written',
    { type: 'output.failed', output: `${mine} x509`, kind: 'x509', failure: wrote, retryInSeconds: 1 },
    [['error', 'Unable to dump bundle', { error: 'open certs/x: permission denied' }]],
  ],
  [
    'a token that cannot be written',
    { type: 'output.failed', output: `${mine} jwt_svids[0]`, kind: 'jwt', failure: wrote, retryInSeconds: 1 },
    [['error', 'Unable to update JWT SVID: open certs/x: permission denied']],
  ],
  [
    'a bundle that cannot be written',
    { type: 'output.failed', output: `${mine} jwt_bundle`, kind: 'jwt_bundle', failure: wrote, retryInSeconds: 1 },
    [['error', 'Error writing JWT Bundle to disk: unable to write JSON file: open certs/x: permission denied']],
  ],
  [
    'an agent that is away',
    { type: 'identity.failing', identity: mine, stream: 'x509', failure: away },
    [['error', 'Error while watching x509 context: the agent is away. Start it.']],
  ],
  [
    'an agent that is away for the bundles',
    { type: 'identity.failing', identity: mine, stream: 'jwt_bundles', failure: away },
    [['error', 'Error while watching JWT bundles: the agent is away. Start it.']],
  ],
  [
    'an agent that gives no token',
    { type: 'identity.failing', identity: mine, stream: 'jwt', failure: away },
    [['error', 'Unable to update JWT SVID: the agent is away. Start it.']],
  ],
  [
    'a hint that nothing carries',
    { type: 'identity.failing', identity: mine, stream: 'x509', failure: missing },
    [['error', 'Unable to dump bundle', { error: 'failed to find the hinted x509 SVID' }]],
  ],
  [
    'a hint that no token carries',
    { type: 'identity.failing', identity: mine, stream: 'jwt', failure: missing },
    [['error', 'Unable to update JWT SVID: failed to find the hinted JWT SVID']],
  ],
  ['a cmd that failed', { type: 'hook.failed', hook: hookNames.cmd, failure: away }, [['error', 'Unable to signal process', { error: 'the agent is away' }]]],
  [
    'a pid file that failed',
    { type: 'hook.failed', hook: hookNames.pidFile, failure: away },
    [['error', 'Unable to signal PID file', { error: 'the agent is away' }]],
  ],
  [
    'a port that is taken',
    { type: 'listener.warning', listener: `${mine} health`, message: 'taken' },
    [['warning', 'Error serving health checks', { error: 'taken' }]],
  ],
  ['what the original does not tell', { type: 'hook.child_started', hook: hookNames.cmd, pid: 1 }, []],
  ['what svidecar tells of other things', { type: 'credentials.stale', profile: 'app' }, [['info', 'own']]],
  ['an output of svidecar_config', { type: 'output.written', output: 'x509 /other', kind: 'x509', files: [] }, [['info', 'own']]],
  ['starts and ends of svidecar', { type: 'daemon.listening' }, []],
]
for (const [name, event, lines] of events) test(`in the words of the original, or in none: ${name}`, () => assert.deepEqual(told(event), lines))

test('of the rest debug lines are left out, and warn is called warning', () => {
  const event: Event = { type: 'credentials.stale', profile: 'app' }
  assert.deepEqual(told(event, { level: 'debug', message: 'm' }), [])
  assert.deepEqual(told(event, { level: 'warn', message: 'm' }), [['warning', 'm']])
  assert.deepEqual(told(event, { level: 'error', message: 'm' }), [['error', 'm']])
  assert.deepEqual(told({ type: 'daemon.defect', failure: away }, { level: 'error', message: 'm' }), [['error', 'm']])
})
