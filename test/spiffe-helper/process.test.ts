// spiffe-helper as a process: the bundle by its command and by its name, exit statuses, signals, and svidecar's configuration below it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { folder, worldIn } from '../cli/support.ts'
import { eventually } from '../support/eventually.ts'

const executable = join(import.meta.dirname, '../../dist/svidecar.cjs')
const compileCache = join(tmpdir(), 'node-compile-cache')
const x509 = 'svid_file_name = "s" svid_key_file_name = "k" svid_bundle_file_name = "b"\n'

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly out: string
  readonly err: string
  readonly ms: number
}

/** Starts a program of Node's in a folder of its own, where helper.conf is what is given. */
async function start(
  t: TestContext,
  args: readonly string[],
  conf?: string,
  more: { env?: Readonly<Record<string, string>>; program?: readonly string[]; cwd?: string } = {},
) {
  const cwd = more.cwd ?? (await folder(t))
  if (conf !== undefined) await writeFile(join(cwd, 'helper.conf'), `agent_address = "${cwd}/away.sock"\n${conf}`)
  const begun = performance.now()
  const child = spawn(process.execPath, [...(more.program ?? [executable, 'spiffe-helper']), ...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', NODE_COMPILE_CACHE: compileCache, ...more.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const texts = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (texts.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (texts.err += text))
  const ended = new Promise<Ended>((resolve) => child.once('close', (code, signal) => resolve({ code, signal, ...texts, ms: performance.now() - begun })))
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended
  })
  /** Waits for it on stderr; fails at once when the process ends without. */
  const said = (what: string | RegExp): Promise<unknown> => {
    const told = () => (typeof what === 'string' ? texts.err.includes(what) : what.test(texts.err))
    return Promise.race([eventually(`stderr has ${what}`, told), ended.then(({ code, err }) => assert.ok(told(), `it ended with ${code}: ${err}`))])
  }
  return { child, cwd, texts, ended, said }
}
const run = async (...args: Parameters<typeof start>): Promise<Ended> => (await start(...args)).ended

/** Level, message and error of each line; anything that is no line of logrus fails. */
const lines = (text: string): (readonly (string | undefined)[])[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const [, level, message, error] =
        /^time="[^"]+" level=(\w+) msg=("(?:[^"\\]|\\.)*"|\S+)(?: error=("(?:[^"\\]|\\.)*"|\S+))?(?: spiffe_id="[^"]+")? system=spiffe-helper$/.exec(line) ??
        assert.fail(line)
      return [level, message, error].filter((part) => part !== undefined).map((part) => (part.startsWith('"') ? (JSON.parse(part) as string) : part))
    })

test('help goes to stderr with status 0', async (t) => {
  const { code, out, err } = await run(t, ['-h'])
  assert.deepEqual([code, out], [0, ''])
  assert.ok(err.startsWith(`Usage of ${executable}:\n  -config string\n`), err)
})

test('the version goes to stdout with status 0, and no configuration is needed', async (t) => {
  const { code, out, err } = await run(t, ['-version', '-config', 'missing'])
  assert.deepEqual([code, err], [0, ''])
  assert.match(out, /^v0\.11\.0\+svidecar\.\S+\n$/)
})

test('an unknown flag ends with status 2', async (t) => {
  const { code, out, err } = await run(t, ['-x'])
  assert.deepEqual([code, out], [2, ''])
  assert.ok(err.startsWith(`flag provided but not defined: -x\nUsage of ${executable}:\n`), err)
})

test('under the name spiffe-helper it is spiffe-helper', async (t) => {
  const cwd = await folder(t)
  await symlink(executable, join(cwd, 'spiffe-helper'))
  const { code, out } = await run(t, ['-version'], undefined, { cwd, program: [join(cwd, 'spiffe-helper')] })
  assert.equal(code, 0)
  assert.match(out, /^v0\.11\.0/)
})

test('a missing file is told as the original tells it, with status 1', async (t) => {
  const { code, out, err } = await run(t, ['-config', 'no such.conf'])
  assert.deepEqual([code, out], [1, ''])
  assert.deepEqual(lines(err), [
    ['info', 'Using configuration file: "no such.conf"'],
    ['error', 'failed to parse configuration', 'failed to parse "no such.conf": open no such.conf: no such file or directory'],
  ])
})

test('a directory is no file', async (t) => {
  const { code, err } = await run(t, ['-config', '.'])
  assert.equal(code, 1)
  assert.deepEqual(lines(err)[1], ['error', 'failed to parse configuration', 'failed to parse ".": read .: is a directory'])
})

const mistakes: readonly (readonly [conf: string, message: string, error: string])[] = [
  ['cmd = @', 'failed to parse configuration', 'failed to parse "helper.conf": At 2:7: illegal char'],
  ['cmd = true', 'failed to parse configuration', 'failed to parse "helper.conf": At 2:7: root.cmd: unknown type for string *ast.LiteralType'],
  ['foo = 1', 'invalid configuration', 'unknown top level key(s): foo'],
  [`${x509}cert_file_mode = -1`, 'invalid configuration', 'cert file mode must be positive'],
]
for (const [conf, message, error] of mistakes)
  test(`a wrong configuration ends with status 1: ${error}`, async (t) => {
    const { code, out, err } = await run(t, [], conf)
    assert.deepEqual([code, out], [1, ''])
    assert.deepEqual(lines(err), [
      ['info', 'Using configuration file: "helper.conf"'],
      ['error', message, error],
    ])
  })

test('bytes that are no UTF-8 are refused', async (t) => {
  const cwd = await folder(t)
  await writeFile(join(cwd, 'helper.conf'), Buffer.concat([Buffer.from('foo = 1\ncmd = "a'), Buffer.from([0xff]), Buffer.from('"\n')]))
  const { err } = await run(t, [], undefined, { cwd })
  assert.equal(lines(err)[1]?.[2], 'failed to parse "helper.conf": At 2:9: illegal UTF-8 encoding')
})

test('SIGTERM ends the daemon within a second with status 0, also while the agent is away', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { child, said, ended } = await start(t, [], x509)
    await said('Error while watching x509 context')
    const begun = performance.now()
    child.kill(signal)
    const { code, out, err } = await ended
    assert.deepEqual([code, out], [0, ''])
    assert.ok(performance.now() - begun < 1_000, `${performance.now() - begun} ms`)
    assert.deepEqual(lines(err).slice(0, 3), [
      ['info', 'Using configuration file: "helper.conf"'],
      ['info', 'Launching daemon'],
      ['info', 'Watching for X509 Context'],
    ])
    assert.deepEqual(lines(err).at(-1), ['info', 'Exiting'])
  }
})

test('SIGTERM right after the first line ends the daemon with status 0', async (t) => {
  const { child, said, ended } = await start(t, [], x509)
  await said('Using configuration file')
  child.kill('SIGTERM')
  assert.equal((await ended).code, 0)
})

test('SIGTERM ends a run once with status 1 while the agent is away', async (t) => {
  const { child, said, ended } = await start(t, ['-daemon-mode=false'], x509)
  await said('Daemon mode disabled')
  await setTimeout(200)
  const begun = performance.now()
  child.kill('SIGTERM')
  const { code, err } = await ended
  assert.equal(code, 1)
  assert.ok(performance.now() - begun < 1_000, `${performance.now() - begun} ms`)
  assert.match(err, /msg="Error fetching x509 certificates" error=.*SIGTERM/)
  assert.equal(lines(err).at(-1)?.[1], 'Error starting spiffe-helper')
})

test('SIGUSR1 and SIGUSR2 do nothing, and open no inspector', async (t) => {
  const { child, texts, said, ended } = await start(t, [], x509)
  await said('Watching for X509 Context')
  for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGUSR1'] as const) child.kill(signal)
  await setTimeout(200)
  assert.deepEqual([child.exitCode, child.signalCode], [null, null])
  assert.doesNotMatch(texts.err, /[Dd]ebugger|inspector/)
  child.kill('SIGTERM')
  assert.equal((await ended).code, 0)
})

test('without an agent a run once gives up after svidecar_timeout, with status 1', async (t) => {
  const { code, ms, err } = await run(t, ['-daemon-mode=false'], `${x509}"svidecar_timeout" = "1s"`)
  assert.equal(code, 1)
  assert.ok(ms > 900 && ms < 4_000, `${ms} ms`)
  const told = lines(err)
  assert.deepEqual(
    told.filter(([level]) => level === 'error').map(([, message]) => message),
    ['Error fetching x509 certificates', 'Error starting spiffe-helper'],
  )
})

test('a svidecar_timeout that is none is refused by the name of its key', async (t) => {
  const { code, err } = await run(t, ['-daemon-mode=false'], `${x509}"svidecar_timeout" = "soon"`)
  assert.equal(code, 1)
  assert.match(err, /error="svidecar_timeout \\"soon\\" is not a duration/)
})

test('a svidecar_timeout that is none is refused by a daemon, too', async (t) => {
  const { child, ended } = await start(t, [], `${x509}"svidecar_timeout" = "soon"`)
  const timer = setTimeout(1_500).then(() => child.kill('SIGTERM'))
  assert.equal((await ended).code, 1)
  await timer
})

test('a run once warns of what it ignores', async (t) => {
  const { code, err } = await run(t, [], `${x509}daemon_mode = false cmd = "c" renew_signal = "SIGHUP" "svidecar_timeout" = "1ms"`)
  assert.equal(code, 1)
  const more = 'This may become an error in a future release.'
  assert.deepEqual(lines(err).slice(1, 4), [
    ['warning', `cmd is set but daemon_mode is false. cmd will be ignored. ${more}`],
    ['warning', `renew_signal is set but daemon_mode is false. renew_signal will be ignored. ${more}`],
    ['info', 'Daemon mode disabled'],
  ])
})

test('an agent address that is none ends with status 1', async (t) => {
  const cwd = await folder(t)
  await writeFile(join(cwd, 'helper.conf'), `${x509}agent_address = "relative.sock"`)
  const { code, err } = await run(t, [], undefined, { cwd })
  assert.equal(code, 1)
  assert.equal(lines(err).at(-1)?.[1], 'Error starting spiffe-helper')
})

test('what only goes wrong later is a warning at the start', async (t) => {
  const { child, texts, said, ended } = await start(t, [], `${x509}cmd = "c" cmd_args = "\\"" renew_signal = "HUP"`)
  await said('Watching for X509 Context')
  child.kill('SIGTERM')
  assert.equal((await ended).code, 0)
  assert.equal(lines(texts.err).filter(([level]) => level === 'warning').length, 2)
})

test('the health port answers while the agent is away: live, not ready', async (t) => {
  const free = await new Promise<number>((resolve) => {
    const server = createServer().listen(0, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
  const { child, ended } = await start(t, [], `${x509}health_checks { listener_enabled = true bind_port = ${free} }`)
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${free}${path}`)
    return [response.status, response.headers.get('content-type'), await response.text()]
  }
  const statuses = '"health":{"file_write_statuses":{"x509_write_status":"unwritten","jwt_write_status":{}}}'
  await eventually('the health port answers', () => get('/live'))
  assert.deepEqual(await get('/live'), [200, 'application/json', `{"status":"OK",${statuses}}`])
  assert.deepEqual(await get('/ready?verbose=1'), [503, 'application/json', `{"status":"Service Unavailable",${statuses}}`])
  assert.equal((await get('/other'))[0], 404)
  child.kill('SIGTERM')
  assert.equal((await ended).code, 0)
})

test('svidecar_config names a configuration of svidecar, whose files and hooks are taken along', async (t) => {
  const cwd = await folder(t)
  const yaml = `identities:
  default: { workload_api: "unix://${cwd}/other.sock" }
files:
  - x509: { directory: ${cwd}/own, certificate: c.pem, key: k.pem, bundle: b.pem }
hooks:
  - { on: [x509], run: [touch, ${cwd}/hooked] }
runtime_dir: ${cwd}/run
`
  await writeFile(join(cwd, 'svidecar.yaml'), yaml)
  const { child, said, ended, texts } = await start(t, [], `${x509}"svidecar_config" = "${cwd}/svidecar.yaml"`, { cwd })
  await said('Error while watching x509 context')
  await said(/other\.sock/)
  child.kill('SIGTERM')
  assert.equal((await ended).code, 0)
  lines(texts.err)
})

test('with an agent both write their files, and hooks of both are run', async (t) => {
  const cwd = await folder(t)
  const { socket } = await worldIn(t, cwd)
  const yaml = `identities:
  default: { workload_api: "${socket}" }
files:
  - x509: { directory: ${cwd}/own, certificate: c.pem, key: k.pem, bundle: b.pem }
hooks:
  - { on: [x509], run: [touch, ${cwd}/hooked] }
runtime_dir: ${cwd}/run
`
  await writeFile(join(cwd, 'svidecar.yaml'), yaml)
  const more = `agent_address = "${socket.replace('unix://', '')}"\ncmd = "touch" cmd_args = "started"\n"svidecar_config" = "svidecar.yaml"\n`
  const { child, texts, ended, said } = await start(t, [], x509 + more, { cwd })
  await said('X.509 certificates updated')
  for (const name of ['s', 'k', 'b', 'own/c.pem', 'hooked', 'started']) await eventually(`${name} in\n${texts.err}`, () => existsSync(join(cwd, name)))
  child.kill('SIGTERM')
  assert.equal((await ended).code, 0)
})

test('a broken configuration of svidecar ends with status 1, and says what is wrong with it', async (t) => {
  const cwd = await folder(t)
  await writeFile(join(cwd, 'svidecar.yaml'), 'nonsense: 1\n')
  for (const flags of [[], ['-daemon-mode=false']]) {
    const { code, err } = await run(t, flags, `${x509}"svidecar_config" = "svidecar.yaml"`, { cwd })
    assert.equal(code, 1)
    const last = lines(err).at(-1)
    assert.equal(last?.[1], 'Error starting spiffe-helper')
    assert.match(last?.[2] ?? '', /svidecar\.yaml:1:1: nonsense: there is no such key/)
  }
})

test('a configuration of svidecar that is not there ends with status 1', async (t) => {
  const { code, err } = await run(t, [], `${x509}"svidecar_config" = "missing.yaml"`)
  assert.equal(code, 1)
  assert.match(lines(err).at(-1)?.[2] ?? '', /missing\.yaml/)
})
