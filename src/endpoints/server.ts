// The only file that knows fastify: opens a listener, keeps its limits, hands each request to a plain function, drains.
import { once } from 'node:events'
import { chmod, chown, lstat, unlink } from 'node:fs/promises'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { type FastifyInstance, fastify } from 'fastify'
import { type Clock, systemClock } from '../core/clock.ts'
import { errorText, failure, systemCode } from '../core/errors.ts'
import { longestSocketPath } from '../spiffe/socket-address.ts'
import { createUserFinder } from './peer.ts'

export interface Request {
  readonly method: string
  /** As it came: not decoded, not normalised, without the query. */
  readonly path: string
  readonly query: string
  readonly headers: IncomingHttpHeaders
  readonly hasBody: boolean
  /** The local user that asks, as the kernel has it; undefined when it does not say. */
  readonly user?: (() => Promise<number | undefined>) | undefined
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | string
}

export type Handler = (request: Request) => Answer | Promise<Answer>

export type ListenAt =
  /** `descriptor`: a socket that listens there already. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly loopbackOnly: boolean; readonly descriptor?: number | undefined }
  | { readonly kind: 'unix'; readonly path: string; readonly mode: number; readonly uid?: number | undefined; readonly gid?: number | undefined }

export type OpenListener = Awaited<ReturnType<typeof listen>>

const maxConnections = 2_048
// Node closes idle connections after 5 s by default, which races with the pools of SDKs.
const keepAliveMs = 75_000
const headersMs = 5_000
const drainMs = 250

/** True for 127.0.0.0/8, ::1 and the mapped form of the former. */
export const isLoopback = (address: string): boolean => /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(address) || address === '::1'

/**
 * Opens a listener. Throws listen_failed with the address and what to do. `clock` bounds the end of it. A handler that throws is
 * a defect, which `defect` hears of: no text of it may reach whoever asked.
 */
export async function listen(name: string, at: ListenAt, first: Handler, clock: Clock = systemClock, defect: (error: unknown) => void = () => {}) {
  let handler = first
  let closing = false
  const attempt = async (request: Request): Promise<Answer> => {
    try {
      return await handler(request)
    } catch (error) {
      defect(error)
      return { status: 500 }
    }
  }
  const app = createApp(attempt, () => closing)
  const { server } = app
  server.maxConnections = maxConnections
  if (at.kind === 'tcp' && at.loopbackOnly) {
    // Loopback addresses have been reachable from neighbours before (CVE-2020-8558), so the peer is looked at, too.
    server.on('connection', (socket) => {
      if (!isLoopback(socket.remoteAddress ?? '')) socket.destroy()
    })
  }
  try {
    if (at.kind === 'unix') {
      if (Buffer.byteLength(at.path) > longestSocketPath) throw new Error(`it is longer than the ${longestSocketPath} bytes that a socket's name may have`)
      await removeStale(at.path)
      await app.listen({ path: at.path })
      await setRights(at)
    } else await app.listen({ host: at.host, port: at.port, ...(at.descriptor === undefined ? {} : { fd: at.descriptor }) })
  } catch (error) {
    await app.close().catch(() => {})
    const where = at.kind === 'unix' ? at.path : `${at.host}:${at.port}`
    const why = systemCode(error) === 'EADDRINUSE' ? 'something else is listening there' : errorText(error)
    throw failure('listen_failed', `cannot listen on ${where} for ${name}: ${why}`, { cause: error })
  }
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  return {
    /** "127.0.0.1:9912", with the real port, or the socket's path. */
    address: at.kind === 'unix' ? at.path : `${at.host.includes(':') ? `[${at.host}]` : at.host}:${port}`,
    port,
    /** A reload gives a listener that stays another handler, and a socket other rights. */
    async change(next: Handler, rights: ListenAt): Promise<void> {
      handler = next
      if (rights.kind === 'unix') await setRights(rights)
    },
    /** Finishes the answers in flight and closes. */
    async stop(): Promise<void> {
      closing = true
      const drained = new AbortController()
      const closed = app.close().finally(() => drained.abort())
      // A connection that has said nothing, or half of something, would hold the end up for as long as it likes.
      clock.sleep(drainMs, drained.signal).then(
        () => server.closeAllConnections(),
        () => {},
      )
      await closed
    },
  }
}

async function setRights({ path, mode, uid, gid }: Extract<ListenAt, { kind: 'unix' }>): Promise<void> {
  if (uid !== undefined || gid !== undefined) await chown(path, uid ?? -1, gid ?? -1)
  await chmod(path, mode)
}

function createApp(handle: Handler, closing: () => boolean): FastifyInstance {
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    keepAliveTimeout: keepAliveMs,
    requestTimeout: 10_000,
    http: { maxHeaderSize: 8 * 1024, headersTimeout: headersMs, connectionsCheckingInterval: 1_000 },
    return503OnClosing: false,
    // What the parser refuses is answered without a body: some SDKs take the text of an error for a role's name.
    clientErrorHandler(error, socket) {
      const status =
        { HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large', ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout' }[error.code] ?? '400 Bad Request'
      if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    },
    // The router would decode and normalise paths before anybody could refuse them, so it sees one path only.
    rewriteUrl: () => '/',
  })
  // Answered in the first hook of all: bodies and their types are refused, never parsed.
  app.addHook('onRequest', async (incoming, reply) => {
    const request = toRequest(incoming.raw, incoming.originalUrl)
    const answer = typeof request === 'number' ? { status: request } : await handle(request)
    const { status, headers, body = '' }: Answer = answer
    const last = typeof request === 'number' || request.hasBody || closing() ? { connection: 'close' } : {}
    void reply.code(status).headers({ 'cache-control': 'no-store', 'content-length': String(Buffer.byteLength(body)), ...last, ...headers })
    return reply.send(body)
  })
  return app
}

// Looked up once for each connection: a client that has sent its request may close its end, and then it is nobody's.
const findUser = createUserFinder()
const users = new WeakMap<Socket, Promise<number | undefined>>()

function userOf(socket: Socket): Promise<number | undefined> {
  const { remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0 } = socket
  const found = users.get(socket) ?? findUser({ client: [remoteAddress, remotePort], server: [localAddress, localPort] })
  users.set(socket, found)
  return found
}

/** What handlers see of a request, or the status of one that is none. */
function toRequest({ method = '', headers, rawHeaders, socket }: IncomingMessage, url: string): Request | number {
  // Two Hosts: nobody knows which one is meant (RFC 9112, section 3.2).
  if (rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length > 1) return 400
  const cut = url.indexOf('?')
  const path = cut < 0 ? url : url.slice(0, cut)
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
  return { method, path, query: cut < 0 ? '' : url.slice(cut + 1), headers, hasBody, user: () => userOf(socket) }
}

/** Removes what a dead process left behind: only a socket, and only if nobody answers on it. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return
  if (!found.isSocket()) throw new Error('there is a file of that name that is not a socket')
  const socket = connect(path)
  const problem = await once(socket, 'connect').then(() => undefined, systemCode)
  socket.destroy()
  // Only these two say that nobody is there: a full queue (EAGAIN) is somebody who is busy.
  if (problem !== 'ENOENT' && problem !== 'ECONNREFUSED') throw Object.assign(new Error('in use'), { code: 'EADDRINUSE' })
  await unlink(path)
}
