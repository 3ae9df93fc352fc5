// Help, and what happens to whoever types something else.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commands } from '../../src/cli/cli.ts'
import { call, run } from './support.ts'

const columns = 100
const rowsOf = (text: string): number =>
  text
    .trimEnd()
    .split('\n')
    .reduce((rows, line) => rows + Math.max(1, Math.ceil(line.length / columns)), 0)

for (const name of Object.keys(commands))
  test(`svidecar ${name} --help fits one screen and ends with one example of ${name}`, async () => {
    const { status, out, err } = await call([name, '--help'])
    assert.deepEqual([status, err], [0, ''])
    assert.ok(rowsOf(out) <= 30, `${rowsOf(out)} rows`)
    const lines = out.trimEnd().split('\n')
    assert.match(lines[0] ?? '', new RegExp(`^svidecar ${name}: .+\\.$`))
    assert.match(lines.at(-1) ?? '', new RegExp(`^Example: .*svidecar ${name}\\b`))
    assert.equal(lines.filter((line) => line.startsWith('Example')).length, 1)
    assert.match(out, new RegExp(`\nUsage: svidecar ${name} `))
    for (const again of [
      [name, '-h'],
      ['help', name],
    ])
      assert.equal((await call(again)).out, out)
  })

test('the overview lists every command on one screen and ends with an example', async () => {
  const { status, out } = await call(['--help'])
  assert.equal(status, 0)
  assert.ok(rowsOf(out) <= 30)
  for (const [name, { summary }] of Object.entries(commands)) assert.match(out, new RegExp(`^  ${name} +${summary.replaceAll(/[()]/g, '\\$&')}$`, 'm'))
  assert.match(out.trimEnd().split('\n').at(-1) ?? '', /^Example: svidecar /)
  for (const again of [['-h'], ['help']]) assert.equal((await call(again)).out, out)
})

test('the summary of a command is the same in both places', async () => {
  for (const [name, { summary }] of Object.entries(commands)) assert.equal((await call([name, '--help'])).out.split('\n')[0], `svidecar ${name}: ${summary}.`)
})

test('every option says what it does', async () => {
  for (const [name, { load }] of Object.entries(commands))
    for (const [option, { help }] of Object.entries((await load()).options)) assert.match(help, /\.$/, `${name} --${option}`)
})

test('an unknown command is refused with the nearest one, and exit status 2', async (t) => {
  const { code, out, err } = await run(t, ['rnu'])
  assert.deepEqual([code, out], [2, ''])
  assert.equal(err, 'svidecar: there is no command "rnu"; did you mean run? `svidecar --help` lists them.\n')
  for (const name of ['toString', '__proto__', 'constructor', '', 'RUN ME', 'kubernetes']) {
    const { failure } = await call([name])
    assert.equal(failure?.code, 'usage', name)
    assert.ok(!failure.message.includes('did you mean'), failure.message)
  }
})

test('without any command the overview goes to stderr, and the exit status is 2', async (t) => {
  const { code, out, err } = await run(t, [])
  assert.deepEqual([code, out], [2, ''])
  assert.equal(err, (await call(['--help'])).out)
})

test('an unknown option is refused with the nearest one, and exit status 2', async (t) => {
  const { code, err } = await run(t, ['run', '--confg', 'x'])
  assert.equal(code, 2)
  assert.equal(err, 'svidecar: svidecar run has no option --confg; did you mean --config? See svidecar run --help.\n')
  for (const args of [
    ['status', '--jsn'],
    ['status', '-x'],
    ['wait', '--timeuot=3s'],
    ['check', '--__proto__'],
  ])
    assert.equal((await call(args)).failure?.code, 'usage', args.join(' '))
})

test('an option without its value, a value without need and a word too many are refused', async () => {
  for (const args of [
    ['run', '--config'],
    ['status', '--json=yes'],
    ['run', 'now'],
    ['refresh', 'app', 'reports'],
    ['healthcheck', 'x'],
  ]) {
    const { failure, out } = await call(args)
    assert.equal(failure?.code, 'usage', args.join(' '))
    assert.equal(out, '')
    assert.match(failure.remedy, new RegExp(`svidecar ${args[0]} --help`))
  }
})

test('a time that is none is refused before anything is done', async () => {
  for (const command of ['wait', 'once'])
    for (const text of ['', 'soon', '-1s', '1d', '1.5s', '5 s', '0x10'])
      assert.equal((await call([command, '--timeout', text])).failure?.code, 'usage', `${command} --timeout ${text}`)
})

test('--version says version, commit and Node.js', async () => {
  for (const args of [['--version'], ['version']]) assert.equal((await call(args)).out, `svidecar 1.2.3 (abc, Node.js ${process.version})\n`)
})

test('a build without the demo beside it says so in one sentence', async () => {
  const { failure, err } = await call(['demo'])
  assert.equal(failure?.code, 'usage')
  assert.match(err, /^this build has no demo\. /)
})
