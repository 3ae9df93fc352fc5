// svidecar run as a process: how it starts, lives without an agent, and ends.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ask, hangUp, head, talk } from '../endpoints/support.ts'
import { eventually } from '../support/eventually.ts'
import { call, type DaemonProcess, folder, identityAt, run, startDaemon, webProfile, writeConfig } from './support.ts'

const lonely = (directory: string, more = ''): string =>
  `${identityAt(`unix://${directory}/agent.sock`)}profiles:\n${webProfile('app')}consumers: { app: { profiles: [app] } }
container_endpoint: { listen: 127.0.0.1:0 }
metrics_endpoint: { listen: 127.0.0.1:0 }
runtime_dir: ${directory}/run
log: { format: json }
${more}`

async function lonelyDaemon(
  t: TestContext,
  more?: string,
): Promise<{ directory: string; daemon: DaemonProcess; portOf: (listener: string) => number }> {
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

test('without an agent the daemon lives, says so everywhere, and ends within a second of SIGTERM', async (t) => {
  const { directory, daemon, portOf } = await lonelyDaemon(t)
  const metrics = portOf('metrics')
  const statusOf = async (path: string) => (await ask(metrics, head(`GET ${path}`))).status
  assert.deepEqual([await statusOf('/livez'), await statusOf('/startupz'), await statusOf('/readyz')], [200, 503, 503])

  const token = readFileSync(join(directory, 'run/app.token'), 'utf8')
  const answer = await ask(portOf('container'), head('GET /v1/credentials', { Authorization: token }))
  assert.deepEqual([answer.status, answer.headers['retry-after']], [503, '1'])
  assert.equal((await ask(portOf('container'), head('GET /v1/credentials'))).status, 401)

  const at = ['--runtime-dir', join(directory, 'run')]
  const shown = await eventually('the status shows the reason', async () => {
    const { status, out } = await call(['status', ...at])
    assert.equal(status, 1)
    return out.includes('PROBLEMS') ? out : ''
  })
  assert.match(shown, /cannot connect to the Workload API at unix:.*agent\.sock: no such file/)
  assert.match(shown, /Is the agent running, and is its socket directory mounted here\?/)
  assert.match((await call(['healthcheck', ...at])).err, /not ready/)
  await daemon.logged({ event: 'identity.failing', code: 'workload_api_unreachable' })

  const { code, ms } = await end(daemon, 'SIGTERM')
  assert.equal(code, 0)
  assert.ok(ms < 1_000, `${ms} ms`)
  assert.equal(daemon.out, '', 'stdout is nobody’s log')
  assert.deepEqual(readdirSync(join(directory, 'run')), ['app.token'], 'sockets go, tokens stay')
  assert.match((await call(['status', ...at])).err, /no daemon answers at .*control\.sock: no such file/)
})

test('SIGUSR1 opens no inspector, SIGUSR2 ends nothing, SIGINT is an end like SIGTERM', async (t) => {
  const { daemon, portOf } = await lonelyDaemon(t)
  const before = listening(daemon.pid)
  assert.equal(before.length, 2)
  for (let index = 0; index < 3; index++)
    for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
      daemon.child.kill(signal)
      assert.equal((await ask(portOf('metrics'), head('GET /livez'))).status, 200)
    }
  // An inspector is opened by a thread of its own: once more, after a while in which it would have been.
  assert.equal((await ask(portOf('metrics'), head('GET /metrics'))).status, 200)
  assert.deepEqual(listening(daemon.pid), before)
  assert.doesNotMatch(daemon.err, /Debugger|inspector/)
  assert.equal((await end(daemon, 'SIGINT')).code, 0)
})

test('SIGTERM ends it within a second also beside clients that say nothing, half of something, or hold on', async (t) => {
  const { daemon, portOf } = await lonelyDaemon(t)
  t.after(hangUp)
  const [silent, half, idle] = [talk(portOf('metrics')), talk(portOf('metrics')), talk(portOf('metrics'))]
  half.send('GET /livez HT')
  idle.send(head('GET /livez'))
  assert.equal((await idle.answer()).status, 200)
  const outcome = await Promise.race([end(daemon, 'SIGTERM'), new Promise((resolve) => setTimeout(resolve, 2_000, 'still there after 2 s'))])
  assert.ok(typeof outcome === 'object' && outcome !== null && 'ms' in outcome, String(outcome))
  assert.ok(silent.closed || half.closed)
})

test('with shutdown_grace it goes on serving after SIGTERM, and then ends', async (t) => {
  const { daemon, portOf } = await lonelyDaemon(t, 'shutdown_grace: 700ms\n')
  const ending = end(daemon, 'SIGTERM')
  await daemon.logged({ event: 'daemon.stopping' })
  assert.equal((await ask(portOf('metrics'), head('GET /livez'))).status, 200)
  const { code, ms } = await ending
  assert.equal(code, 0)
  assert.ok(ms >= 650 && ms < 1_700, `${ms} ms`)
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

test('a second daemon in the same runtime directory is refused and takes nothing away from the first', async (t) => {
  const directory = await folder(t)
  // Where others may write too, a token is not reused: the second one must not have put its own there.
  mkdirSync(join(directory, 'run'), { mode: 0o775 })
  const { chmodSync } = await import('node:fs')
  chmodSync(join(directory, 'run'), 0o775)
  const path = await writeConfig(directory, lonely(directory))
  const first = await startDaemon(t, ['--config', path])
  const { code, err } = await run(t, ['run', '--config', path])
  assert.equal(code, 1)
  assert.match(err, /cannot listen on .*control\.sock for control: something else is listening there/)
  const token = readFileSync(join(directory, 'run/app.token'), 'utf8')
  const port = Number(first.addressOf('container').split(':')[1])
  assert.equal((await ask(port, head('GET /v1/credentials', { Authorization: token }))).status, 503, 'the token in the file is the first one’s')
  assert.equal((await call(['status', '--runtime-dir', join(directory, 'run')])).status, 1)
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
