// svidecar run as a process: how it starts, lives without an agent, and ends.
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { ask, hangUp, head, talk } from '../endpoints/support.ts'
import { eventually } from '../support/eventually.ts'
import { call, type DaemonProcess, folder, identityAt, run, start, startDaemon, webProfile, writeConfig } from './support.ts'

const lonely = (directory: string, more = ''): string =>
  `${identityAt(`unix://${directory}/agent.sock`)}profiles:\n${webProfile('app')}consumers: { app: { profiles: [app] } }
container_endpoint: { listen: 127.0.0.1:0 }
metrics_endpoint: { listen: 127.0.0.1:0 }
runtime_dir: ${directory}/run
log: { format: json }
${more}`

async function lonelyDaemon(t: TestContext, more?: string): Promise<{ directory: string; daemon: DaemonProcess; portOf: (listener: string) => number }> {
  const directory = await folder(t)
  const daemon = await startDaemon(t, ['--config', await writeConfig(directory, lonely(directory, more))])
  return { directory, daemon, portOf: (listener) => Number(daemon.addressOf(listener).split(':')[1]) }
}

/** Addresses on which a process listens, as its kernel knows them. */
function listening(pid: number): string[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${descriptor}`))?.[1] ?? []
      } catch {
        return [] // closed since
      }
    }),
  )
  const rows = ['tcp', 'tcp6'].flatMap((table) => (existsSync(`/proc/net/${table}`) ? readFileSync(`/proc/net/${table}`, 'utf8').split('\n') : []))
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === '0A' && inodes.has(inode ?? ''))
    .map(([, local]) => local ?? '')
    .sort((a, b) => a.localeCompare(b))
}

/** Sends the signal and measures how long the process takes to end. */
async function end(daemon: DaemonProcess, signal: NodeJS.Signals): Promise<{ code: number | null; ms: number }> {
  const begun = performance.now()
  daemon.child.kill(signal)
  const { code } = await daemon.ended
  return { code, ms: performance.now() - begun }
}

describe('without an agent', () => {
  let directory: string
  let daemon: DaemonProcess
  let at: readonly string[]
  const undo: (() => unknown)[] = []
  const context = { after: (work: () => unknown) => undo.push(work) } as unknown as TestContext
  before(async () => {
    directory = await folder(context)
    // Others may write here, too, so that a token is never reused: whoever looks for one makes a new one.
    mkdirSync(join(directory, 'run'))
    chmodSync(join(directory, 'run'), 0o775)
    daemon = await startDaemon(context, ['--config', await writeConfig(directory, lonely(directory))])
    at = ['--runtime-dir', join(directory, 'run')]
  })
  after(async () => {
    for (const work of undo.toReversed()) await work()
  })
  const portOf = (listener: string) => Number(daemon.addressOf(listener).split(':')[1])
  const credentials = () => ask(portOf('container'), head('GET /v1/credentials', { Authorization: readFileSync(join(directory, 'run/app.token'), 'utf8') }))

  test('the daemon lives: /livez is 200, /startupz and /readyz are 503', async () => {
    const statusOf = async (path: string) => (await ask(portOf('metrics'), head(`GET ${path}`))).status
    assert.deepEqual([await statusOf('/livez'), await statusOf('/startupz'), await statusOf('/readyz')], [200, 503, 503])
  })

  test('the container endpoint is a 503 to a token, and a 401 without one', async () => {
    const answer = await credentials()
    assert.deepEqual([answer.status, answer.headers['retry-after']], [503, '1'])
    assert.equal((await ask(portOf('container'), head('GET /v1/credentials'))).status, 401)
  })

  test('status and log show the reason with a remedy', async () => {
    const shown = await eventually('the status shows the reason', async () => {
      const { status, out } = await call(['status', ...at])
      assert.equal(status, 1)
      return out.includes('PROBLEMS') ? out : ''
    })
    assert.match(shown, /cannot connect to the Workload API at unix:.*agent\.sock: no such file/)
    assert.match(shown, /Is the agent running, and is its socket directory mounted here\?/)
    assert.match((await call(['healthcheck', ...at])).err, /not ready/)
    await daemon.logged({ event: 'identity.failing', code: 'workload_api_unreachable' })
  })

  test('SIGUSR1 opens no inspector, and SIGUSR2 ends nothing', async () => {
    const before = listening(daemon.pid)
    assert.equal(before.length, 2)
    for (let index = 0; index < 3; index++)
      for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
        daemon.child.kill(signal)
        assert.equal((await ask(portOf('metrics'), head('GET /livez'))).status, 200)
      }
    // An inspector is opened by a thread of its own: this answer takes longer than it.
    assert.equal((await ask(portOf('metrics'), head('GET /metrics'))).status, 200)
    assert.deepEqual(listening(daemon.pid), before)
    assert.doesNotMatch(daemon.err, /Debugger|inspector/)
  })

  test('a second daemon in the same runtime directory is refused and takes nothing away from the first', async (t) => {
    const { code, err } = await run(t, ['run', '--config', join(directory, 'config.yaml')])
    assert.equal(code, 1)
    assert.match(err, /cannot listen on .*control\.sock for control: something else is listening there/)
    assert.equal((await credentials()).status, 503, 'the token in the file is the first one’s')
    assert.equal((await call(['status', ...at])).status, 1)
  })

  test('SIGTERM ends it with 0 within a second, and only the tokens stay', async () => {
    const { code, ms } = await end(daemon, 'SIGTERM')
    assert.equal(code, 0)
    assert.ok(ms < 1_000, `${ms} ms`)
    assert.equal(daemon.out, '', 'stdout is nobody’s log')
    assert.deepEqual(readdirSync(join(directory, 'run')), ['app.token'])
    assert.match((await call(['status', ...at])).err, /no daemon answers at .*control\.sock: no such file/)
  })
})

test('SIGTERM ends it within a second also beside clients of every listener that say nothing, half of something, or hold on', async (t) => {
  const more = 'status_endpoint: { listen: 127.0.0.1:0 }\nimds_endpoints: [{ listen: 127.0.0.1:0, profile: app }]\n'
  const { directory, daemon, portOf } = await lonelyDaemon(t, more)
  t.after(hangUp)
  const doors = [...['metrics', 'status', 'container', 'imds app'].map(portOf), ...['control.sock', 'app.sock'].map((name) => join(directory, 'run', name))]
  for (const door of doors) {
    const [silent, half, idle] = [talk(door), talk(door), talk(door)]
    half.send('GET /livez HT')
    idle.send(head('GET /livez'))
    assert.ok((await idle.answer()).status > 0)
    assert.ok(!silent.closed)
  }
  const late = new Promise<undefined>((resolve) => setTimeout(resolve, 3_000, undefined))
  const ended = await Promise.race([end(daemon, 'SIGTERM'), late])
  assert.ok(ended !== undefined, 'it is still there after 3 s')
  assert.equal(ended.code, 0)
  assert.ok(ended.ms < 1_000, `${ended.ms} ms`)
})

test('with shutdown_grace it goes on serving after a signal, and then ends', async (t) => {
  const { daemon, portOf } = await lonelyDaemon(t, 'shutdown_grace: 700ms\n')
  const ending = end(daemon, 'SIGINT')
  await daemon.logged({ event: 'daemon.stopping' })
  assert.equal((await ask(portOf('metrics'), head('GET /livez'))).status, 200)
  const { code, ms } = await ending
  assert.equal(code, 0)
  assert.ok(ms >= 650 && ms < 1_700, `${ms} ms`)
})

test('a reader of the log that goes away does not end the daemon', async (t) => {
  const directory = await folder(t)
  const config = lonely(directory).replace('format: json', 'format: text, level: debug')
  const daemon = start(t, ['run', '--config', await writeConfig(directory, config)])
  await eventually('it listens', () => daemon.err.includes('all listeners are open'))
  const port = Number(/container listens on 127\.0\.0\.1:(\d+)/.exec(daemon.err)?.[1])
  daemon.child.stderr?.destroy()
  for (let index = 0; index < 5; index++) assert.equal((await ask(port, head('GET /v1/credentials'))).status, 401)
  assert.equal(daemon.child.exitCode, null)
})

test('a port that is in use ends it at once with its sentence, exit status 1, and no socket left', async (t) => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  t.after(() => taken.close())
  const bound = taken.address()
  assert.ok(typeof bound === 'object' && bound !== null)
  const directory = await folder(t)
  const config = lonely(directory).replace('container_endpoint: { listen: 127.0.0.1:0 }', `container_endpoint: { listen: 127.0.0.1:${bound.port} }`)
  const { code, err } = await run(t, ['run', '--config', await writeConfig(directory, config)])
  assert.equal(code, 1)
  assert.match(
    err,
    new RegExp(`^svidecar: cannot listen on 127\\.0\\.0\\.1:${bound.port} for container: something else is listening there\\. Free the port`, 'm'),
  )
  assert.doesNotMatch(err, /\n\s+at /)
  assert.deepEqual(
    readdirSync(join(directory, 'run')).filter((name) => name.endsWith('.sock')),
    [],
  )
})

test('a runtime directory that is none ends it with its path, exit status 1', async (t) => {
  const directory = await folder(t)
  writeFileSync(join(directory, 'run'), '')
  const { code, err } = await run(t, ['run', '--config', await writeConfig(directory, lonely(directory))])
  assert.equal(code, 1)
  assert.match(err, new RegExp(`^svidecar: cannot use the runtime directory ${directory}/run: `, 'm'))
})

test('a configuration with mistakes, and none at all, end it with exit status 2 before anything is made', async (t) => {
  const directory = await folder(t)
  const path = await writeConfig(directory, lonely(directory).replace('[app]', '[ap]'))
  const { code, err, out } = await run(t, ['run', '--config', path])
  assert.deepEqual([code, out], [2, ''])
  assert.match(err, new RegExp(`^svidecar: ${path}:4:\\d+: consumers\\.app\\.profiles\\[0\\]: there is no profile "ap"; did you mean app\\?`))
  assert.equal(existsSync(join(directory, 'run')), false)
})
