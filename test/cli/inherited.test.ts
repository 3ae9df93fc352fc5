// Sockets that were open before the daemon was, as systemd hands them over.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ask, head } from '../endpoints/support.ts'
import { eventually } from '../support/eventually.ts'
import { folder, identityAt, webProfile, writeConfig } from './support.ts'

const executable = join(import.meta.dirname, '../../dist/svidecar.cjs')

/** A socket that listens and does not accept, which is what systemd holds. */
async function listening(t: TestContext, host: string): Promise<{ port: number; descriptor: number; server: Server }> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve))
  t.after(() => server.close())
  const address = server.address()
  const { _handle: handle } = server as Server & { _handle?: { fd: number } }
  assert.ok(typeof address === 'object' && address !== null && handle !== undefined)
  return { port: address.port, descriptor: handle.fd, server }
}

/** The daemon with these descriptors from 3 on, and what it logs. */
async function daemonWith(t: TestContext, descriptors: readonly number[], yaml: string, env: Readonly<Record<string, string>> = {}) {
  const directory = await folder(t)
  const file = await writeConfig(
    directory,
    `${identityAt(`unix://${directory}/agent.sock`)}profiles:\n${webProfile('app')}runtime_dir: ${directory}/run\n${yaml}`,
  )
  const child = spawn('sh', ['-c', 'LISTEN_PID=$$ exec "$@"', 'sh', process.execPath, executable, 'run', '--config', file], {
    env: { PATH: process.env['PATH'] ?? '', LISTEN_FDS: String(descriptors.length), ...env },
    stdio: ['ignore', 'ignore', 'pipe', ...descriptors],
  })
  let log = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  await eventually(`the daemon's listeners`, () => log.includes('daemon.listening') || child.exitCode !== null)
  return { child, log: () => log }
}

const livez = async (port: number, host = '127.0.0.1'): Promise<number> =>
  (await fetch(`http://${host}:${port}/livez`, { headers: { connection: 'close' } })).status

test('a listener whose address is handed over takes that socket, which this process may not bind again', async (t) => {
  const [one, six] = [await listening(t, '127.0.0.1'), await listening(t, '::1')]
  const yaml = `consumers: { app: { profiles: [app] } }\ncontainer_endpoint: { listen: 127.0.0.1:${one.port} }\nmetrics_endpoint: { listen: "[::1]:${six.port}" }\n`
  // In the other order, since nothing is named.
  const { log, child } = await daemonWith(t, [six.descriptor, one.descriptor], yaml)
  assert.equal(child.exitCode, null, log())
  // This process has the sockets too; what it accepts would be lost.
  one.server.close()
  six.server.close()
  assert.equal((await ask(one.port, head('GET /v1/credentials'))).status, 401)
  assert.equal(await livez(six.port, '[::1]'), 200)
  assert.doesNotMatch(log(), /handed over/)
})

test('what is meant for another process is left alone, and a port in use is still said to be in use', async (t) => {
  const { port, descriptor } = await listening(t, '127.0.0.1')
  const { child, log } = await daemonWith(t, [descriptor], `metrics_endpoint: { listen: 127.0.0.1:${port} }\n`, { LISTEN_FDS: '0' })
  await eventually('its end', () => child.exitCode !== null)
  assert.equal(child.exitCode, 1)
  assert.match(log(), /something else is listening there/)
})

test('a socket that no listener is configured for is told, since whoever connects there waits for nobody', async (t) => {
  const [used, unused] = [await listening(t, '127.0.0.1'), await listening(t, '127.0.0.1')]
  const { log } = await daemonWith(t, [used.descriptor, unused.descriptor], `metrics_endpoint: { listen: 127.0.0.1:${used.port} }\n`)
  used.server.close()
  assert.equal(await livez(used.port), 200)
  await eventually('the warning', () => log().includes('nobody answers on 1 of the sockets that systemd has handed over'))
})
