// A bare gRPC server on a socket, which knows the .proto and does what the test says to each call.
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server as NetServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { Server, ServerCredentials, type ServerUnaryCall, type ServerWritableStream } from '@grpc/grpc-js'
import { systemClock } from '../../src/core/clock.ts'
import { createWorkloadApi, type WorkloadApi } from '../../src/identity/workload-api/client.ts'
import { parseSocketAddress } from '../../src/spiffe/socket-address.ts'
import { workloadService } from '../support/world/agent-server.ts'

export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'id-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export type StreamCall = ServerWritableStream<object, object>
type Reply = (error: { code: number; details: string } | null, value?: object) => void

export interface Handlers {
  stream?: (call: StreamCall, method: string) => void
  unary?: (request: Record<string, unknown>, reply: Reply, method: string) => void
}

export interface GrpcAgent {
  /** unix:// or tcp:// */
  readonly address: string
  readonly api: WorkloadApi
  /** Method and header values of each call. */
  readonly calls: [method: string, header: unknown[]][]
  /** Connections that are open now. */
  readonly connections: number
  readonly requests: Record<string, unknown>[]
  /** Cuts everything, as a crash that takes its socket with it. */
  stop(): Promise<void>
}

/** Listens at `path`, or on a port of the loopback without one. */
export async function startGrpc(t: TestContext, handlers: Handlers, path?: string): Promise<GrpcAgent> {
  const calls: GrpcAgent['calls'] = []
  const requests: Record<string, unknown>[] = []
  const record = (method: string, call: { metadata: { get(name: string): unknown[] }; request: unknown }) => {
    calls.push([method, call.metadata.get('workload.spiffe.io')])
    requests.push(call.request as Record<string, unknown>)
  }
  const streaming = (method: string) => (call: StreamCall) => {
    call.on('error', () => {})
    record(method, call)
    handlers.stream?.(call, method)
  }
  const unary = (method: string) => (call: ServerUnaryCall<object, object>, reply: Reply) => {
    record(method, call)
    handlers.unary?.(call.request as Record<string, unknown>, reply, method)
  }
  const server = new Server()
  server.addService(workloadService(), {
    ...Object.fromEntries(['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTBundles'].map((name) => [name, streaming(name)])),
    ...Object.fromEntries(['FetchJWTSVID', 'ValidateJWTSVID'].map((name) => [name, unary(name)])),
  } as never)
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const listener = await listen(t, (socket) => injector.injectConnection(socket), path)
  const stop = async () => {
    server.forceShutdown()
    await listener.stop()
  }
  t.after(stop)
  return {
    address: listener.address,
    api: connect(listener.address),
    calls,
    requests,
    get connections() {
      return listener.connections
    },
    stop,
  }
}

export const connect = (address: string, clock = systemClock): WorkloadApi => createWorkloadApi(parseSocketAddress(address), clock)

/** A listener that hands each connection to `accept`. */
export async function listen(t: TestContext, accept: (socket: Socket) => void, path?: string) {
  const sockets = new Set<Socket>()
  const server: NetServer = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    // Read, or the end of the other side is never noticed.
    socket.resume()
    socket.on('error', () => {})
    accept(socket)
  })
  await new Promise<void>((resolve) => {
    if (path === undefined) server.listen(0, '127.0.0.1', resolve)
    else server.listen(path, resolve)
  })
  const bound = server.address()
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  t.after(stop)
  return {
    address: typeof bound === 'object' && bound !== null ? `tcp://127.0.0.1:${bound.port}` : `unix://${path}`,
    get connections() {
      return sockets.size
    },
    stop,
  }
}

/** What the failure of a promise is. */
export const failureOf = async (promise: Promise<unknown>): Promise<{ code?: unknown; message: string; remedy?: string }> =>
  promise.then(
    () => ({ message: 'it did not fail' }),
    (error: Error) => error,
  )

/** The first message of a stream; throws what the stream throws, or 'ended'. */
export async function first<S extends AsyncIterable<unknown>>(stream: S): Promise<S extends AsyncIterable<infer T> ? T : never>
export async function first(stream: AsyncIterable<unknown>): Promise<unknown> {
  for await (const message of stream) return message
  throw new Error('ended')
}
