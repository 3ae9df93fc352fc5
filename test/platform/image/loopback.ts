// Brings a port of this machine's loopback into a network namespace that has no network but a loopback of its own.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { eventually } from '../../support/eventually.ts'
import { launch, node } from '../machine.ts'

const inside = `const { connect, createServer } = require('node:net')
const [port, path] = process.argv.slice(1)
createServer((near) => {
  const far = connect(path)
  near.on('error', () => far.destroy()).pipe(far)
  far.on('error', () => near.destroy()).pipe(near)
}).listen(port, '127.0.0.1', () => console.log('listening'))`

/** The same port there, until it is closed. By a socket at `path`, since the file system is in every network. `pid`: a process of that network. */
export async function bringPort(pid: number, url: string, path: string): Promise<{ close(): Promise<void> }> {
  const port = Number(new URL(url).port)
  const outside = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    near.on('error', () => far.destroy()).pipe(far)
    far.on('error', () => near.destroy()).pipe(near)
  }).listen(path)
  await once(outside, 'listening')
  const process = launch(['nsenter', `--target=${pid}`, '--net', node, '-e', inside, String(port), path])
  await eventually(`port ${port} is there`, () => {
    process.check()
    return process.said() === 'listening\n'
  })
  return {
    async close() {
      process.kill('SIGKILL')
      await process.ended
      outside.close()
    },
  }
}
