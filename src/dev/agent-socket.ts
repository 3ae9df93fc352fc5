// Listens for the dev agent, safely: the socket's mode is the only authentication that the Workload API has here.
import { once } from 'node:events'
import { lstat, mkdir, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'

/** sun_path holds 108 bytes with its final NUL on Linux, 104 on macOS; Node cuts longer paths off without a word. */
const longestPath = process.platform === 'darwin' ? 103 : 107

/** Listens at unix:///absolute/path: the directory is 0700 when made here, the socket 0600. */
export async function listen(address: string, accept: (socket: Socket) => void): Promise<Server> {
  const path = /^unix:(?:\/\/)?(\/[^/].*)$/.exec(address)?.[1]
  if (path === undefined) throw new Error(`${address} is no address of a dev agent: use unix:///absolute/path`)
  if (Buffer.byteLength(path) > longestPath) throw new Error(`the socket path ${path} is longer than ${longestPath} bytes, which no socket address can hold`)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await removeStale(path)

  const server = createServer((socket) => {
    socket.on('error', () => {}) // a caller that vanishes is an ordinary end
    accept(socket)
  })
  // Binding is synchronous, so nobody meets the socket with a wider mode (a chmod afterwards would leave a
  // moment), and no other file meets this umask.
  const before = process.umask(0o177)
  try {
    server.listen(path)
  } finally {
    process.umask(before)
  }
  await once(server, 'listening')
  return server
}

/** Removes what a crashed agent left: only a socket, and only after nobody answered on it. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (!found) return
  if (!found.isSocket()) throw new Error(`${path} exists and is not a socket: it is left alone`)
  const probe = connect(path)
  const answered = await once(probe, 'connect').then(
    () => true,
    () => false,
  )
  probe.destroy()
  if (answered) throw new Error(`another process is listening at ${path}`)
  await rm(path, { force: true })
}
