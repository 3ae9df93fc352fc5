// Outputs and hooks across reloads: what goes on undisturbed, what is told of what is there already, what is gone.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { Event } from '../../src/core/events.ts'
import { startDaemon } from '../cli/support.ts'
import { eventually } from '../support/eventually.ts'
import { anywhere, onStage, type Stage } from './support.ts'

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'outputs-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

const metrics = 'metrics_endpoint: { listen: "127.0.0.1:0" }\n'
const x509 = (path: string, more = '') => `{ x509: { directory: "${path}", certificate: tls.crt, key: tls.key${more} } }`
const jwks = (path: string, more = '') => `{ jwt_bundle: { path: "${path}"${more} } }`
const config = (files: readonly string[], hooks: readonly string[] = [], more = '') =>
  `${metrics}${more}files:\n${files.map((one) => `  - ${one}\n`).join('')}hooks:${hooks.length === 0 ? ' []' : ''}\n${hooks.map((one) => `  - ${one}\n`).join('')}`
const of = <T extends Event['type']>({ events }: Stage, type: T) => events.filter((event): event is Extract<Event, { type: T }> => event.type === type)
const ready = (stage: Stage) => eventually('ready', () => stage.daemon.status().ready)
const child = (script = 'exec sleep 1000', on = 'x509') => `{ on: [${on}], child: { command: [/bin/sh, -c, "${script}"] } }`
const run = (script: string, on = 'x509') => `{ on: [${on}], run: [/bin/sh, -c, "${script}"] }`
/** A child that takes its time to end. */
const slow = (directory: string) => child(`trap 'sleep 0.4; exit 0' TERM; : > ${directory}/up; while :; do sleep 0.01; done`)
const started = (stage: Stage) => of(stage, 'hook.child_started').map(({ pid }) => pid)

/** The real clock; says how many sleep, and wakes them in the end, or what a defect has left would keep this process alive. */
function watchedClock(t: TestContext): Clock & { readonly sleeping: number } {
  let sleeping = 0
  const over = new AbortController()
  t.after(() => over.abort(new Error('over')))
  return {
    ...systemClock,
    async sleep(ms, signal) {
      sleeping++
      await systemClock.sleep(ms, AbortSignal.any([signal, over.signal])).finally(() => sleeping--)
    },
    get sleeping() {
      return sleeping
    },
  }
}

test('a reload that fails by an unknown owner has changed nothing: the old output goes on, and nothing new is written', (t) => {
  const directory = folder(t)
  return onStage({ clock: watchedClock(t), yaml: () => config([x509(`${directory}/a`)]) }, async (stage) => {
    await ready(stage)
    stage.yaml = config([x509(`${directory}/new`), x509(`${directory}/a`, ', owner: nobody-of-this-name')])
    await assert.rejects(stage.daemon.reload(), /nobody-of-this-name/)
    const before = readFileSync(join(directory, 'a/tls.crt'), 'utf8')
    await stage.world.agent.rotateNow()
    await eventually('the old output goes on', () => readFileSync(join(directory, 'a/tls.crt'), 'utf8') !== before, 1_000)
    assert.equal(existsSync(join(directory, 'new')), false)
  })
})

test('a reload that fails by an unknown owner leaves nothing running when all is over', async (t) => {
  const directory = folder(t)
  const clock = watchedClock(t)
  await onStage({ clock, yaml: () => config([x509(`${directory}/a`)]) }, async (stage) => {
    await ready(stage)
    stage.yaml = config([x509(`${directory}/a`), x509(`${directory}/new`), x509(`${directory}/b`, ', owner: nobody-of-this-name')])
    await assert.rejects(stage.daemon.reload())
    await stage.world.agent.rotateNow()
    const told = () => of(stage, 'output.written').filter(({ output }) => output.endsWith('/a')).length
    await eventually('the old output goes on', () => told() === 2)
  })
  assert.deepEqual([existsSync(join(directory, 'new')), clock.sleeping], [false, 0])
})

test('a reload that fails by an unknown owner holds no port: the next one, without the mistake, can open it', async (t) => {
  const directory = folder(t)
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  const { port } = taken.address() as { port: number }
  await new Promise((resolve) => taken.close(resolve))
  const path = join(directory, 'config.yaml')
  const start = `identities: { default: { workload_api: "unix://${directory}/agent.sock" } }\nruntime_dir: ${directory}/run\nlog: { format: json }\n`
  const put = (owner: string) =>
    writeFileSync(path, `${start}status_endpoint: { listen: "127.0.0.1:${port}" }\nfiles: [ ${x509(`${directory}/a`)}, ${x509(`${directory}/b`, owner)} ]\n`)
  writeFileSync(path, `${start}files: [ ${x509(`${directory}/a`)} ]\n`)
  const daemon = await startDaemon(t, ['--config', path])
  put(', owner: nobody-of-this-name')
  daemon.child.kill('SIGHUP')
  await daemon.logged({ event: 'config.reload_failed' })
  put('')
  daemon.child.kill('SIGHUP')
  const second = await eventually('the second reload', () => daemon.log.filter(({ event }) => event === 'config.loaded' || event === 'config.reload_failed')[2])
  assert.equal(second['event'], 'config.loaded', String(second['msg']))
})

test('an output that a reload adds is ready when it is written, however long the reload takes', (t) => {
  const directory = folder(t)
  return onStage({ yaml: () => config([x509(`${directory}/a`)], [slow(directory)]) }, async (stage) => {
    await eventually('the child is up', () => existsSync(join(directory, 'up')))
    stage.yaml = config([x509(`${directory}/a`), x509(`${directory}/b`)])
    await stage.daemon.reload()
    await eventually('it is written', () => of(stage, 'output.written').some(({ output }) => output.endsWith('/b')))
    await eventually('ready', () => stage.daemon.status().ready, 1_000)
  })
})

test('an output that has not changed is not written again, and tells no hook', (t) => {
  const directory = folder(t)
  return onStage({ yaml: () => config([x509(`${directory}/a`)], [run('true')]) }, async (stage) => {
    await eventually('told', () => of(stage, 'hook.done').length === 1)
    stage.yaml = config([x509(`${directory}/a`), `{ jwt: { audience: [a], path: "${directory}/token" } }`], [run('true')])
    assert.deepEqual((await stage.daemon.reload()).changed, [`jwt ${directory}/token`])
    await eventually('the token', () => existsSync(join(directory, 'token')))
    assert.equal(of(stage, 'output.written').filter(({ kind }) => kind === 'x509').length, 1)
    assert.equal(of(stage, 'hook.done').length, 1)
  })
})

test('an output that needs another stream of the same identity takes nothing away from those that are there', (t) => {
  const directory = folder(t)
  return onStage({ yaml: (world) => config([x509(`${directory}/a`)], [], `profiles: { app: ${anywhere(world)} }\n`) }, async (stage) => {
    await ready(stage)
    stage.yaml = stage.yaml.replace('hooks:', `  - ${jwks(`${directory}/jwks`)}\nhooks:`)
    const { changed } = await stage.daemon.reload()
    await eventually('the keys', () => existsSync(join(directory, 'jwks')))
    assert.deepEqual(of(stage, 'credentials.forgotten'), [])
    assert.deepEqual(changed, [`jwt_bundle ${directory}/jwks`])
  })
})

test('remove_at_stop: a reload that changes an output keeps its files, one that drops it removes them, and the log says why', (t) => {
  const directory = folder(t)
  const more = ', remove_at_stop: true'
  return onStage({ yaml: () => config([x509(`${directory}/a`, more), jwks(`${directory}/jwks`, more)]) }, async (stage) => {
    await ready(stage)
    stage.yaml = config([x509(`${directory}/a`, `${more}, key_mode: "0640"`), jwks(`${directory}/jwks`, more)])
    await stage.daemon.reload()
    assert.deepEqual(of(stage, 'output.removed'), [])
    assert.ok(existsSync(join(directory, 'a/tls.key')))
    stage.yaml = config([x509(`${directory}/a`, `${more}, key_mode: "0640"`)])
    await stage.daemon.reload()
    assert.equal(existsSync(join(directory, 'jwks')), false)
    assert.doesNotMatch(of(stage, 'output.removed')[0]?.why ?? '', /stops/, 'svidecar does not stop')
  })
})

test('names that a reload drops go from the directory, and those that it adds come', (t) => {
  const directory = folder(t)
  return onStage({ yaml: () => config([x509(`${directory}/a`)]) }, async (stage) => {
    await ready(stage)
    stage.yaml = config([x509(`${directory}/a`).replace('tls.key', 'svid.key')])
    await stage.daemon.reload()
    await eventually('the new name', () => existsSync(join(directory, 'a/svid.key')) && !existsSync(join(directory, 'a/tls.key')))
  })
})

test('a path that changes from one kind to another has the new content after a reload, and keeps it', (t) => {
  const directory = folder(t)
  const path = join(directory, 'file')
  return onStage({ yaml: () => config([jwks(path, ', remove_at_stop: true')], []) }, async (stage) => {
    await ready(stage)
    stage.yaml = config([`{ jwt: { audience: [a], path: "${path}", remove_at_stop: true } }`])
    await stage.daemon.reload()
    await eventually('the token is written', () => of(stage, 'output.written').some(({ kind }) => kind === 'jwt'))
    await eventually('and is there', () => readFileSync(path, 'utf8').startsWith('ey'), 1_000)
  })
})

test('a child that a reload adds is started by the files that are in place', (t) => {
  const directory = folder(t)
  return onStage({ yaml: () => config([x509(`${directory}/a`)]) }, async (stage) => {
    await ready(stage)
    stage.yaml = config([x509(`${directory}/a`)], [child()])
    await stage.daemon.reload()
    await eventually('started', () => started(stage).length === 1)
  })
})

test('a child that a reload adds is not started by files that are gone', (t) => {
  const directory = folder(t)
  return onStage({ yaml: () => config([x509(`${directory}/a`, ', remove_at_stop: true'), jwks(`${directory}/jwks`)]) }, async (stage) => {
    await ready(stage)
    stage.yaml = config([jwks(`${directory}/jwks`)])
    await stage.daemon.reload()
    assert.equal(existsSync(join(directory, 'a/tls.key')), false)
    stage.yaml = config([jwks(`${directory}/jwks`)], [child(), child('exec sleep 1001', 'jwt_bundle')])
    await stage.daemon.reload()
    await eventually('the other one', () => of(stage, 'hook.child_started').some(({ hook }) => hook === '/bin/sh (2)'))
    assert.deepEqual(
      of(stage, 'hook.child_started').filter(({ hook }) => hook === '/bin/sh'),
      [],
    )
  })
})

test('a child of credentials that a reload changes is started again by the credentials that there are', (t) => {
  const directory = folder(t)
  const yaml = (seconds: number, profile: string) => config([jwks(`${directory}/jwks`)], [child(`exec sleep ${seconds}`, 'credentials')], profile)
  return onStage({ yaml: (world) => yaml(1_000, `profiles: { app: ${anywhere(world)} }\n`) }, async (stage) => {
    await eventually('started', () => started(stage).length === 1)
    stage.yaml = stage.yaml.replace('sleep 1000', 'sleep 1001')
    await stage.daemon.reload()
    await eventually('started again', () => started(stage).length === 2, 1_000)
  })
})

test('a child that did not change survives a reload, also when another hook comes before it', (t) => {
  const directory = folder(t)
  const pids = join(directory, 'pids')
  const server = child(`echo \\"$$\\" >> ${pids}; exec sleep 1000`)
  return onStage({ yaml: () => config([x509(`${directory}/a`)], [server]) }, async (stage) => {
    await eventually('started', () => started(stage).length === 1)
    stage.yaml = config([x509(`${directory}/a`)], [server, run('true')])
    await stage.daemon.reload()
    assert.equal(started(stage).length, 1, 'another one behind it')
    stage.yaml = config([x509(`${directory}/a`)], [run('false'), server, run('true')])
    await stage.daemon.reload()
    await stage.world.agent.rotateNow()
    await eventually('the new hook has run', () => of(stage, 'hook.failed').length > 0)
    assert.deepEqual([started(stage).length, of(stage, 'hook.child_ended').length], [1, 0], 'the same process')
  })
})

test('a child that changed is ended before its successor begins', (t) => {
  const directory = folder(t)
  return onStage({ yaml: () => config([x509(`${directory}/a`)], [slow(directory)]) }, async (stage) => {
    await eventually('the child is up', () => existsSync(join(directory, 'up')))
    stage.yaml = config([x509(`${directory}/a`)], [child()])
    await stage.daemon.reload()
    await eventually('the next one', () => started(stage).length === 2)
    const order = stage.events.filter(({ type }) => type.startsWith('hook.child')).map(({ type }) => type)
    assert.deepEqual(order, ['hook.child_started', 'hook.child_ended', 'hook.child_started'])
  })
})

test('the problem of a hook goes with the hook', (t) => {
  const directory = folder(t)
  return onStage({ yaml: () => config([x509(`${directory}/a`)], [run('exit 3')]) }, async (stage) => {
    await eventually('the failure', () => stage.daemon.status().problems.some(({ code }) => code === 'hook_failed'))
    stage.yaml = config([x509(`${directory}/a`)])
    await stage.daemon.reload()
    assert.deepEqual(stage.daemon.status().problems, [])
  })
})

test('what is new while a reload waits for a child is told to the hooks of the new configuration', (t) => {
  const directory = folder(t)
  const told = join(directory, 'told')
  writeFileSync(told, '')
  return onStage({ yaml: () => config([x509(`${directory}/a`)], [run('true'), slow(directory)]) }, async (stage) => {
    await eventually('the child is up', () => existsSync(join(directory, 'up')))
    stage.yaml = config([x509(`${directory}/a`)], [run(`echo new >> ${told}`), child()])
    const reloading = stage.daemon.reload()
    const written = of(stage, 'output.written').length
    await stage.world.agent.rotateNow()
    await eventually('a new SVID', () => of(stage, 'output.written').length > written)
    assert.equal(of(stage, 'hook.child_ended').length, 0, 'the reload goes on')
    await reloading
    await eventually('told', () => readFileSync(told, 'utf8') !== '', 1_000)
  })
})

test('a reload once it stops is refused, and starts nothing that nobody would end', (t) => {
  const directory = folder(t)
  const pidsOf = (stage: Stage) => started(stage).filter((pid) => existsSync(`/proc/${pid}`))
  t.after(() => {
    for (const pid of left) process.kill(pid, 'SIGKILL')
  })
  let left: number[] = []
  const holding = `trap 'while [ ! -e ${directory}/go ]; do sleep 0.01; done; exit 0' TERM; : > ${directory}/up; while :; do sleep 0.01; done`
  return onStage({ yaml: () => config([x509(`${directory}/a`)], [child(holding)]) }, async (stage) => {
    await eventually('it is up', () => existsSync(join(directory, 'up')))
    stage.yaml = config([x509(`${directory}/a`), x509(`${directory}/new`)], [child(), child('exec sleep 1001')])
    const stopping = stage.daemon.stop('now')
    // Before it waits for the child, and while it does.
    for (const when of ['at once', 'a moment later']) {
      await assert.rejects(stage.daemon.reload(), { code: 'not_ready', message: 'svidecar is stopping' }, when)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    writeFileSync(join(directory, 'go'), '')
    await stopping
    left = pidsOf(stage)
    assert.deepEqual([left, started(stage).length, existsSync(join(directory, 'new'))], [[], 1, false])
    await assert.rejects(stage.daemon.reload(), { code: 'not_ready' }, 'nor afterwards')
    assert.equal(of(stage, 'config.reload_failed').length, 0, 'nothing is wrong with the configuration')
  })
})

test('a reload that has begun before is waited for, and what it started is ended, too', (t) => {
  const directory = folder(t)
  return onStage({ yaml: () => config([x509(`${directory}/a`)]) }, async (stage) => {
    await ready(stage)
    stage.yaml = config([x509(`${directory}/a`)], [child()])
    const reloading = stage.daemon.reload()
    await stage.daemon.stop('now')
    await reloading
    assert.deepEqual(
      started(stage).filter((pid) => existsSync(`/proc/${pid}`)),
      [],
    )
  })
})
