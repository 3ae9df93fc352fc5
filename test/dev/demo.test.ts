// The demo as people start it: the built bundles in processes of their own, with lifetimes that a test can wait for.
import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { eventually } from '../support/eventually.ts'

const bundle = 'dist/demo.cjs'
// npm test builds before; somebody who runs this file alone may not have.
if (!existsSync(bundle)) spawnSync(process.execPath, ['build.ts'], { stdio: 'inherit' })

interface Running {
  readonly child: ChildProcessWithoutNullStreams
  /** The temporary folder of this run and nobody else's. */
  readonly temporary: string
  output(): string
  /** Waits until the output matches; gives the first group. */
  until(pattern: RegExp): Promise<string>
  readonly ended: Promise<{ status: number | null; signal: string | null }>
}

async function start(t: TestContext, words: readonly string[], command = [process.execPath, bundle]): Promise<Running> {
  const temporary = await mkdtemp(join(tmpdir(), 'demo-'))
  const [program = '', ...before] = command
  const env = { PATH: process.env['PATH'] ?? '', TMPDIR: temporary, TERM: 'xterm', SVIDECAR_DEMO_SECONDS: '4,6' }
  const child = spawn(program, [...before, ...words], { env, stdio: 'pipe' })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stdin.on('error', () => {})
  const ended = new Promise<{ status: number | null; signal: string | null }>((resolve) => {
    child.once('close', (status, signal) => resolve({ status, signal }))
  })
  t.after(async () => {
    child.kill('SIGTERM')
    await ended
    await rm(temporary, { recursive: true, force: true })
  })
  return { child, temporary, output: () => output, until: (pattern) => eventually(`${pattern} in ${output}`, () => pattern.exec(output)?.[1]), ended }
}

const listening = /^To be one more client.*:\n((?: .*\n)+)/m

/** Processes that still have the temporary folder in their environment: the demo's children, and theirs. */
const processesOf = ({ temporary }: Running): string[] =>
  globSync('/proc/[0-9]*/environ').filter((file) => {
    try {
      return readFileSync(file, 'utf8').includes(temporary)
    } catch {
      return false // it has ended meanwhile
    }
  })

async function assertNothingLeft(demo: Running): Promise<void> {
  await eventually('no process is left', () => processesOf(demo).length === 0)
  assert.deepEqual(readdirSync(demo.temporary), [])
}

suite('the demo', { concurrency: 3 }, () => {
  test('every call succeeds while identities and credentials change, another shell is one more client, and no secret is printed', async (t) => {
    const demo = await start(t, ['--for', '9s'])
    const paste = await demo.until(listening)
    const folder = /(\/\S+)\/app\.token/.exec(paste)?.[1] ?? ''
    const token = await readFile(join(folder, 'app.token'), 'utf8')
    const url = /FULL_URI=(\S+)/.exec(paste)?.[1] ?? ''
    const reply = await fetch(url, { headers: { authorization: token, connection: 'close' } })
    const { SecretAccessKey, Token } = (await reply.json()) as { SecretAccessKey: string; Token: string }

    const env = { PATH: process.env['PATH'] ?? '', AWS_ACCESS_KEY_ID: 'of the person', AWS_PROFILE: 'theirs' }
    const shell = spawn('/bin/sh', ['-c', `${paste}\nexec "$0" "$1" client`, process.execPath, bundle], { env, stdio: 'pipe' })
    t.after(() => shell.kill())
    const [line] = (await shell.stdout.setEncoding('utf8').take(1).toArray()) as [string]
    shell.stdin.end()
    assert.match(line, /^\{"ok":true,"arn":"arn:aws:sts::123456789012:assumed-role\/web\//)

    assert.deepEqual(await demo.ended, { status: 0, signal: null }, demo.output())
    const output = demo.output()
    assert.match(output, /^svidecar demo\n.*fake AWS, on loopback: nothing leaves this machine/)
    assert.match(output, /identity {2}spiffe:\/\/dev\.local\/web has a new X\.509-SVID …\w{4}, which ends in \d s\n/)
    for (const [profile, role] of [
      ['app', 'web/'],
      ['reports', 'web-identity/dev.local.web'],
    ]) {
      const calls = new RegExp(`${profile} +GetCallerIdentity, signed with ASIA\\w+: arn:aws:sts::\\d+:assumed-role/${role}`, 'g')
      assert.ok([...output.matchAll(calls)].length >= 2, output)
    }
    assert.match(output, /\nsvidecar demo: \d+ calls, none failed, \d SVID rotations?, \d credential rotations?\.\n$/)
    assert.ok(!output.includes('\x1b'))
    for (const secret of [token, SecretAccessKey, Token]) assert.ok(secret.length >= 40 && !output.includes(secret))
    await assertNothingLeft(demo)
  })

  test('with AWS taken away before its first session it says why there are no credentials, and fails', async (t) => {
    const demo = await start(t, ['--for', '3s'])
    demo.child.stdin.write('i')
    assert.deepEqual(await demo.ended, { status: 1, signal: null }, demo.output())
    assert.match(demo.output(), / AWS issues nothing/)
    assert.match(demo.output(), /daemon {4}profile app: cannot reach 127\.0\.0\.1:.* Check DNS/)
    assert.match(demo.output(), /\nsvidecar demo: failed: no call was made; .*no new AWS credentials were seen\.\n$/)
    await assertNothingLeft(demo)
  })

  test('takes the agent away and brings it back at a key press, says what to expect, and ends at SIGTERM', async (t) => {
    const demo = await start(t, [])
    await demo.until(listening)
    demo.child.stdin.write('a')
    await demo.until(/ (The agent is away\.) Its X\.509-SVID still renews app/)
    await demo.until(/daemon {4}identity default: (cannot connect to the Workload API)/)
    demo.child.stdin.write('a')
    await demo.until(/ (The agent is back\.)/)
    await demo.until(/daemon {4}(all is well again)/)
    demo.child.kill('SIGTERM')
    assert.deepEqual(await demo.ended, { status: 0, signal: null }, demo.output())
    await assertNothingLeft(demo)
  })

  test('a daemon that ends is a failure with its reason', async (t) => {
    const demo = await start(t, [])
    process.kill(Number(await demo.until(/runs as process (\d+)/)), 'SIGKILL')
    assert.deepEqual(await demo.ended, { status: 1, signal: null }, demo.output())
    assert.match(demo.output(), /failed: ended by the daemon, with signal SIGKILL; /)
    await assertNothingLeft(demo)
  })

  test('leaves nothing behind even if it is killed', { skip: !existsSync('/bin/sh') }, async (t) => {
    const demo = await start(t, [])
    await demo.until(listening)
    demo.child.kill('SIGKILL')
    assert.deepEqual(await demo.ended, { status: null, signal: 'SIGKILL' })
    await eventually('the folder is removed', () => readdirSync(demo.temporary).length === 0)
    await assertNothingLeft(demo)
  })

  test('on a terminal it draws over a screen of its own and gives the terminal back', { skip: !existsSync('/usr/bin/script') }, async (t) => {
    const demo = await start(t, [], ['/usr/bin/script', '--quiet', '--return', '--command', `${process.execPath} ${bundle}`, '/dev/null'])
    await demo.until(/(Another shell) .*\/env && aws sts/)
    demo.child.stdin.write('\x03')
    assert.deepEqual(await demo.ended, { status: 0, signal: null }, demo.output())
    const output = demo.output()
    assert.equal(output.indexOf('\x1b[?1049h'), 0)
    assert.match(output.split('\x1b[?7h\x1b[?25h\x1b[?1049l')[1] ?? '', /^svidecar demo: \d+ calls?, .*\.\r\n$/)
    await assertNothingLeft(demo)
  })

  test('answers wrong arguments with a sentence and 2', () => {
    for (const [words, reason] of [
      [['--four', '5s'], "Unknown option '--four'"],
      [['--for', '0s'], '--for "0s" is not a duration'],
    ] as const) {
      const { status, stderr, stdout } = spawnSync(process.execPath, [bundle, ...words], { encoding: 'utf8' })
      assert.deepEqual({ status, stdout }, { status: 2, stdout: '' })
      assert.ok(stderr.startsWith(`svidecar demo: ${reason}`) && stderr.includes('Usage: svidecar demo [--for DURATION]'), stderr)
    }
  })
})
