// A running daemon and a configuration that changes: what is wrong changes nothing, what is right is applied.
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { ask, head } from '../endpoints/support.ts'
import { eventually } from '../support/eventually.ts'
import { call, folder, identityAt, startDaemon, webProfile, writeConfig } from './support.ts'

interface Parts {
  readonly profiles?: string
  readonly consumers?: string
  readonly more?: string
}

const config = (directory: string, { profiles = webProfile('app'), consumers = '  app: { profiles: [app] }\n', more = '' }: Parts = {}): string =>
  `${identityAt(`unix://${directory}/agent.sock`)}profiles:\n${profiles}consumers:\n${consumers}container_endpoint: { listen: 127.0.0.1:0 }
runtime_dir: ${directory}/run
log: { format: json }
${more}`

const two: Parts = { profiles: webProfile('app') + webProfile('reports'), consumers: '  app: { profiles: [app] }\n  web: { profiles: [app, reports] }\n' }

test('SIGHUP applies a right file and survives a wrong one; the reload command says what happened', async (t) => {
  const directory = await folder(t)
  const at = ['--runtime-dir', join(directory, 'run')]
  const daemon = await startDaemon(t, ['--config', await writeConfig(directory, config(directory))])
  const port = Number(daemon.addressOf('container').split(':')[1])
  const tokenOf = (name: string) => readFileSync(join(directory, `run/${name}.token`), 'utf8')
  const asks = async (name: string, profile: string) => (await ask(port, head(`GET /v1/credentials/${profile}`, { Authorization: tokenOf(name) }))).status
  const first = tokenOf('app')

  await writeConfig(directory, config(directory).replace('[app]', '[ap]'))
  daemon.child.kill('SIGHUP')
  await daemon.logged({ event: 'config.reload_failed', code: 'config_invalid', level: 'error' })
  assert.equal(await asks('app', 'app'), 503)
  const shown = await call(['status', ...at])
  assert.match(shown.out, /configuration, for .*there is no profile "ap"; did you mean app\?.* \[config_invalid\]/)
  const refused = await call(['reload', ...at])
  assert.equal(refused.failure?.code, 'config_invalid')
  assert.match(refused.err, /^nothing has changed: .*config\.yaml:5:21: consumers\.app\.profiles\[0\]/)

  await writeConfig(directory, config(directory, two))
  daemon.child.kill('SIGHUP')
  await daemon.logged({ event: 'listener.opened', listener: 'consumer web' })
  await eventually('the new profile is known', async () => (await asks('web', 'reports')) === 503)
  assert.equal(await asks('app', 'reports'), 403)
  assert.equal(tokenOf('app'), first, 'a token that is in use stays')
  assert.doesNotMatch((await call(['status', ...at])).out, /\[config_invalid\]/)

  const web = tokenOf('web')
  await writeConfig(directory, config(directory))
  const reloaded = await call(['reload', ...at])
  assert.deepEqual([reloaded.status, reloaded.out], [0, 'reloaded; changed: reports\n'])
  assert.equal((await ask(port, head('GET /v1/credentials/app', { Authorization: web }))).status, 401, 'who is gone reads no more')
  assert.equal(existsSync(join(directory, 'run/web.sock')), false)
  assert.deepEqual((await call(['reload', ...at])).out, 'reloaded; changed: nothing\n')
})

test('a consumer’s rights are set again by a reload, on token and socket', async (t) => {
  const directory = await folder(t)
  const daemon = await startDaemon(t, ['--config', await writeConfig(directory, config(directory))])
  const modeOf = (name: string) => (statSync(join(directory, 'run', name)).mode & 0o777).toString(8)
  assert.deepEqual([modeOf('app.token'), modeOf('app.sock'), modeOf('control.sock')], ['440', '660', '600'])
  await writeConfig(directory, config(directory, { consumers: '  app: { profiles: [app], mode: "0400" }\n' }))
  daemon.child.kill('SIGHUP')
  await eventually('the modes have changed', () => modeOf('app.token') === '400' && modeOf('app.sock') === '600')
})

test('a reload that fails leaves every consumer its token and its rights', async (t) => {
  const directory = await folder(t)
  // In a directory where others may write tokens are made anew each time they are looked for.
  mkdirSync(join(directory, 'run'))
  chmodSync(join(directory, 'run'), 0o775)
  const daemon = await startDaemon(t, ['--config', await writeConfig(directory, config(directory))])
  const port = Number(daemon.addressOf('container').split(':')[1])
  const statusNow = async () => {
    const token = readFileSync(join(directory, 'run/app.token'), 'utf8')
    return (await ask(port, head('GET /v1/credentials', { Authorization: token }))).status
  }
  assert.equal(await statusNow(), 503)
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  t.after(() => taken.close())
  const bound = taken.address()
  assert.ok(typeof bound === 'object' && bound !== null)
  const endpoint = `imds_endpoints: [{ listen: "127.0.0.1:${bound.port}", profile: app }]\n`
  await writeConfig(directory, config(directory, { consumers: '  app: { profiles: [app], mode: "0400" }\n', more: endpoint }))
  const { err } = await call(['reload', '--runtime-dir', join(directory, 'run')])
  assert.match(err, /nothing has changed: cannot listen on/)
  assert.equal(await statusNow(), 503, 'nothing has changed')
  assert.equal(statSync(join(directory, 'run/app.token')).mode & 0o777, 0o440, 'nor have the rights')
})

test('many SIGHUPs close together do not end it, and it still obeys afterwards', async (t) => {
  const directory = await folder(t)
  const daemon = await startDaemon(t, ['--config', await writeConfig(directory, config(directory))])
  for (let round = 0; round < 20; round++) {
    // A row of them, so that one comes at every moment of its turn.
    for (const end = performance.now() + 1; performance.now() < end; ) daemon.child.kill('SIGHUP')
    await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual([daemon.child.exitCode, daemon.child.signalCode], [null, null], `after ${round} rounds`)
  }
  await writeConfig(directory, config(directory, two))
  daemon.child.kill('SIGHUP')
  await daemon.logged({ event: 'listener.opened', listener: 'consumer web' })
  daemon.child.kill('SIGTERM')
  assert.equal((await daemon.ended).code, 0)
})

test('with reload: watch the file is enough, right or wrong', async (t) => {
  const directory = await folder(t)
  const more = 'reload: watch\n'
  const daemon = await startDaemon(t, ['--config', await writeConfig(directory, config(directory, { more }))])
  await writeConfig(directory, config(directory, { more }).replace('[app]', '[ap]'))
  await daemon.logged({ event: 'config.reload_failed', code: 'config_invalid' })
  await writeConfig(directory, config(directory, { ...two, more }))
  await daemon.logged({ event: 'listener.opened', listener: 'consumer web' })
  daemon.child.kill('SIGTERM')
  assert.equal((await daemon.ended).code, 0)
})
