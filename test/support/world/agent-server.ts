// Serves the Workload API: who is let in, which streams are open for the next message, and the socket itself.
import { once } from 'node:events'
import { chmod } from 'node:fs/promises'
import { createServer as createListener } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import * as grpc from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import protobuf from 'protobufjs'
import { workloadProto } from '../../../proto/workload.ts'

export type Status = Pick<grpc.StatusObject, 'code' | 'details'>

/** What goes out on a stream, at first and at each push; undefined for nothing. Throws the Status that ends the stream. */
export type NextMessage = () => Promise<object | undefined>

type Stream = grpc.ServerWritableStream<object, object>

const noHeader: Status = { code: grpc.status.INVALID_ARGUMENT, details: 'security header missing from request' }

const hasHeader = (metadata: grpc.Metadata): boolean => metadata.get('workload.spiffe.io').join() === 'true'

/** Handles calls of a method that answers once, or throws a Status. */
export const unary =
  <Request>(answer: (request: Request) => Promise<object>): grpc.handleUnaryCall<Request, object> =>
  (call, reply) => {
    const answered = hasHeader(call.metadata) ? answer(call.request) : Promise.reject(noHeader)
    answered.then(
      (message) => reply(null, message),
      (error: Status) => reply(error),
    )
  }

export function createStreams() {
  const open = new Map<Stream, NextMessage>()

  const send = async (call: Stream) => {
    try {
      const message = await open.get(call)?.()
      if (message && open.has(call)) call.write(message)
    } catch (error) {
      if (open.has(call)) call.emit('error', error)
    }
  }

  return {
    /** Handles calls of a method that streams; `start` is called for each. */
    streaming:
      (start: () => NextMessage): grpc.handleServerStreamingCall<object, object> =>
      (call) => {
        open.set(call, hasHeader(call.metadata) ? start() : () => Promise.reject(noHeader))
        call.on('cancelled', () => open.delete(call))
        call.on('error', () => open.delete(call))
        return send(call)
      },
    get size() {
      return open.size
    },
    /** Sends every open stream what there is to send now. */
    push: async () => {
      await Promise.all([...open.keys()].map(send))
    },
    /** Ends every open stream. */
    end: (error: Status) => {
      for (const call of open.keys()) call.emit('error', error)
    },
  }
}

/** A gRPC service from its .proto text. */
export function serviceOf(proto: string, name: string): grpc.ServiceDefinition {
  const root = protobuf.Root.fromJSON(protobuf.common.get('google/protobuf/struct.proto') ?? {})
  protobuf.parse(proto, root, { keepCase: true })
  const loaded = fromJSON(root.toJSON(), { keepCase: true, defaults: true, longs: Number, enums: String })[name]
  if (!loaded || 'format' in loaded) throw new Error(`the .proto text has no ${name}`)
  return loaded
}

export const workloadService = (): grpc.ServiceDefinition => serviceOf(workloadProto, 'SpiffeWorkloadAPI')

/** A server of the Workload API; it answers UNIMPLEMENTED to whatever is left out. */
export function createServer(implementation: grpc.UntypedServiceImplementation): grpc.Server {
  const server = new grpc.Server()
  server.addService(workloadService(), implementation)
  return server
}

/**
 * Serves everybody whom the socket lets in at `path`, in a private folder: there is no other authentication here. Returns
 * what removes the socket and ends the streams with UNAVAILABLE.
 */
export async function serve(path: string, streams: ReturnType<typeof createStreams>, server: grpc.Server) {
  if (process.env['NODE_ENV'] === 'production') throw new Error('the dev agent gives identities to any caller: it does not run with NODE_ENV=production')
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure())
  const listener = createListener((socket) => {
    socket.on('error', () => {}) // a caller that vanishes is an ordinary end
    injector.injectConnection(socket)
  })
  listener.listen(path)
  await once(listener, 'listening')
  await chmod(path, 0o600)
  return async (): Promise<void> => {
    const closed = new Promise((resolve) => listener.close(resolve))
    streams.end({ code: grpc.status.UNAVAILABLE, details: 'the agent is stopping' })
    server.tryShutdown(() => {}) // its callback comes before the streams' last bytes have left
    // Real time, since a call that a silent agent never answers would keep its connection open for ever.
    await Promise.race([closed, delay(200, undefined, { ref: false })])
    server.forceShutdown()
    await closed
  }
}
