// Serves the Workload API to everybody whom the socket lets in: its mode is the only authentication that there is here.
import { once } from 'node:events'
import { createServer as createListener, type Server as Listener, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Server, ServerCredentials, type ServiceDefinition, status, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import protobuf from 'protobufjs'
import { workloadProto } from '../../proto/workload.ts'
import type { createStreams } from './agent-calls.ts'

/** A gRPC service from its .proto text. */
export function serviceOf(proto: string, name: string): ServiceDefinition {
  const root = new protobuf.Root()
  const struct = protobuf.common.get('google/protobuf/struct.proto')
  if (struct?.nested) root.addJSON(struct.nested)
  protobuf.parse(proto, root, { keepCase: true })
  const loaded = fromJSON(root.toJSON(), { keepCase: true, defaults: true, longs: Number, enums: String })[name]
  if (!loaded || 'format' in loaded) throw new Error(`the .proto text has no ${name}`)
  return loaded
}

export const workloadService = (): ServiceDefinition => serviceOf(workloadProto, 'SpiffeWorkloadAPI')

/** A server of the Workload API; it answers UNIMPLEMENTED to whatever is left out. */
export function createServer(implementation: UntypedServiceImplementation): Server {
  const server = new Server()
  server.addService(workloadService(), implementation)
  return server
}

/**
 * Serves at `path`. Returns what removes the socket and ends the streams: gracefully with UNAVAILABLE, or by cutting
 * the connections.
 */
export async function serve(path: string, streams: ReturnType<typeof createStreams>, server: Server) {
  if (process.env['NODE_ENV'] === 'production') throw new Error('the dev agent gives identities to any caller: it does not run with NODE_ENV=production')
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const listener = await listen(path, (socket) => injector.injectConnection(socket))
  return async (how: 'graceful' | 'abrupt' = 'graceful'): Promise<void> => {
    const closed = new Promise((resolve) => listener.close(resolve))
    if (how === 'graceful') {
      streams.end({ code: status.UNAVAILABLE, details: 'the agent is stopping' })
      server.tryShutdown(() => {}) // its callback comes before the streams' last bytes have left
      // Real time, since a call that a silent agent never answers would keep its connection open for ever.
      await Promise.race([closed, delay(200, undefined, { ref: false })])
    }
    server.forceShutdown()
    await closed
  }
}

/** sun_path holds 108 bytes with its final NUL on Linux, 104 on macOS; Node cuts longer paths off without a word. */
const longestPath = process.platform === 'darwin' ? 103 : 107

/** Listens with a socket of mode 0600. */
async function listen(path: string, accept: (socket: Socket) => void): Promise<Listener> {
  if (Buffer.byteLength(path) > longestPath) throw new Error(`the socket path ${path} is longer than ${longestPath} bytes, which no socket address can hold`)
  const listener = createListener((socket) => {
    socket.on('error', () => {}) // a caller that vanishes is an ordinary end
    accept(socket)
  })
  // Binding is synchronous, so nobody meets the socket with a wider mode (a chmod afterwards would leave a
  // moment), and no other file meets this umask.
  const before = process.umask(0o177)
  try {
    listener.listen(path)
  } finally {
    process.umask(before)
  }
  await once(listener, 'listening')
  return listener
}
