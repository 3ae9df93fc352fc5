// The only file that knows fastify: opens a listener, keeps its limits, hands each request to a plain function, drains.
import { chmod, chown, lstat, unlink } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { type FastifyInstance, fastify } from 'fastify'
import { errorText, failure, systemCode } from '../core/errors.ts'
import { isLoopback } from './guard.ts'

export interface Request {
  readonly method: string
  /** As it came: not decoded, not normalised, without the query. */
  readonly path: string
  readonly query: string
  readonly headers: IncomingHttpHeaders
  readonly hasBody: boolean
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | string
}

export type Handler = (request: Request) => Answer | Promise<Answer>

export type ListenAt =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly loopbackOnly: boolean }
  | { readonly kind: 'unix'; readonly path: string; readonly mode: number; readonly uid?: number | undefined; readonly gid?: number | undefined }

export interface OpenListener {
  /** "127.0.0.1:9912", with the real port, or the socket's path. */
  readonly address: string
  readonly port: number
  /** A reload gives a listener that stays another handler, and a socket other rights. */
  change(handler: Handler, at: ListenAt): Promise<void>
  /** Finishes the answers in flight and closes. */
  stop(): Promise<void>
}

const maxConnections = 2_048
// Node closes idle connections after 5 s by default, which races with the pools of SDKs.
const keepAliveMs = 75_000
const headersMs = 5_000

/** Opens a listener. Throws listen_failed with the address and what to do. */
export async function listen(name: string, at: ListenAt, first: Handler): Promise<OpenListener> {
  let handler = first
  const app = createApp((request) => handler(request))
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
      await removeStale(at.path)
      await app.listen({ path: at.path })
      await setRights(at)
    } else await app.listen({ host: at.host, port: at.port })
  } catch (error) {
    await app.close().catch(() => {})
    const where = at.kind === 'unix' ? at.path : `${at.host}:${at.port}`
    const why = systemCode(error) === 'EADDRINUSE' ? 'something else is listening there' : errorText(error)
    throw failure('listen_failed', `cannot listen on ${where} for ${name}: ${why}`, { cause: error })
  }
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  return {
    address: at.kind === 'unix' ? at.path : `${at.host.includes(':') ? `[${at.host}]` : at.host}:${port}`,
    port,
    async change(next, rights) {
      handler = next
      if (rights.kind === 'unix') await setRights(rights)
    },
    stop: () => app.close(),
  }
}

async function setRights({ path, mode, uid, gid }: Extract<ListenAt, { kind: 'unix' }>): Promise<void> {
  if (uid !== undefined || gid !== undefined) await chown(path, uid ?? -1, gid ?? -1)
  await chmod(path, mode)
}

function createApp(handle: Handler): FastifyInstance {
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    keepAliveTimeout: keepAliveMs,
    requestTimeout: 10_000,
    bodyLimit: 1,
    http: { maxHeaderSize: 8 * 1024, headersTimeout: headersMs, connectionsCheckingInterval: 1_000 },
    return503OnClosing: false,
    routerOptions: { ignoreTrailingSlash: false },
  })
  // Bodies are refused, never parsed.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  // No routes: fastify's router would decode and normalise paths before anybody could refuse them.
  app.setNotFoundHandler(async (request, reply) => {
    const { raw } = request
    const url = raw.url ?? '/'
    const cut = url.indexOf('?')
    const answer = await handle({
      method: raw.method ?? '',
      path: cut < 0 ? url : url.slice(0, cut),
      query: cut < 0 ? '' : url.slice(cut + 1),
      headers: raw.headers,
      hasBody: raw.headers['transfer-encoding'] !== undefined || (raw.headers['content-length'] ?? '0') !== '0',
    })
    const body = answer.body ?? ''
    void reply.code(answer.status).headers({ 'cache-control': 'no-store', 'content-length': String(Buffer.byteLength(body)), ...answer.headers })
    return reply.send(body)
  })
  app.setErrorHandler(async (_error, _request, reply) => reply.code(500).send(''))
  return app
}

/** Removes what a dead process left behind: only a socket, and only if nobody answers on it. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return
  if (!found.isSocket()) throw new Error('there is a file of that name that is not a socket')
  const alive = await new Promise<boolean>((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
  if (alive) throw Object.assign(new Error('in use'), { code: 'EADDRINUSE' })
  await unlink(path)
}
