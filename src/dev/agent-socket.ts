// Listens for the dev agent, safely: the socket's mode is the only authentication that the Workload API has here.
import { lstat, mkdir, rm } from 'node:fs/promises'
import { connect, createServer, isIP, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'

export interface Listener {
  /** As given, with the real port for TCP. */
  readonly address: string
  /** Stops listening and removes the socket; resolves when the last connection has ended. */
  close(): Promise<void>
  /** Cuts every connection. */
  destroy(): void
}

/** sun_path holds 108 bytes with its final NUL on Linux, 104 on macOS; Node cuts longer paths off without a word. */
const longestPath = process.platform === 'darwin' ? 103 : 107

/** Listens at unix:///absolute/path (directory 0700 when made here, socket 0600) or tcp://127.0.0.1:port. */
export async function listen(address: string, accept: (socket: Socket) => void): Promise<Listener> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => {}) // a caller that vanishes is an ordinary end
    accept(socket)
  })
  const actual = address.startsWith('tcp:') ? await listenTcp(server, address) : await listenUnix(server, address)
  return {
    address: actual,
    close: () => new Promise((resolve) => server.close(() => resolve())),
    destroy: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}

async function listenTcp(server: Server, address: string): Promise<string> {
  const [, host = '', port = ''] = /^tcp:\/\/(.+):(\d{1,5})$/.exec(address) ?? []
  const literal = host.replace(/^\[(.*)\]$/, '$1')
  const loopback = literal === '::1' || (isIP(literal) === 4 && literal.startsWith('127.'))
  if (!loopback) throw new Error(`the dev agent listens on loopback only, not at ${address}: it gives keys to any caller`)
  await listening(server, () => server.listen(Number(port), literal))
  const bound = server.address()
  return `tcp://${host}:${typeof bound === 'object' && bound !== null ? bound.port : port}`
}

async function listenUnix(server: Server, address: string): Promise<string> {
  const path = /^unix:(?:\/\/)?(\/[^/].*)$/.exec(address)?.[1]
  if (path === undefined) throw new Error(`${address} is no address of a dev agent: use unix:///absolute/path or tcp://127.0.0.1:0`)
  if (Buffer.byteLength(path) > longestPath) throw new Error(`the socket path ${path} is longer than ${longestPath} bytes, which no socket address can hold`)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await removeStale(path)
  await listening(server, () => {
    // Binding is synchronous, so nobody meets the socket with a wider mode (a chmod afterwards would leave a
    // moment), and no other file meets this umask.
    const before = process.umask(0o177)
    try {
      server.listen(path)
    } finally {
      process.umask(before)
    }
  })
  return address
}

function listening(server: Server, start: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.once('listening', () => {
      server.off('error', reject)
      resolve()
    })
    start()
  })
}

/** Removes what a crashed agent left: only a socket, and only after nobody answered on it. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (!found) return
  if (!found.isSocket()) throw new Error(`${path} exists and is not a socket: it is left alone`)
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
  if (answered) throw new Error(`another process is listening at ${path}`)
  await rm(path, { force: true })
}
