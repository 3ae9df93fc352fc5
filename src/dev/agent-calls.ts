// Calls of the Workload API as gRPC has them: who is let in, and which streams are open for the next message.
import { type handleServerStreamingCall, type handleUnaryCall, type Metadata, type ServerWritableStream, status } from '@grpc/grpc-js'

export interface Status {
  readonly code: number
  readonly details: string
}

/** What goes out on a stream, at first and at each push; undefined for nothing. Throws the Status that ends the stream. */
export type NextMessage = () => Promise<object | undefined>

const noHeader: Status = { code: status.INVALID_ARGUMENT, details: 'security header missing from request' }

const hasHeader = (metadata: Metadata): boolean => metadata.get('workload.spiffe.io').join() === 'true'

/** Handles calls of a method that answers once, or throws a Status. */
export const unary =
  <Request>(answer: (request: Request) => Promise<object>): handleUnaryCall<Request, object> =>
  (call, reply) => {
    if (!hasHeader(call.metadata)) return reply(noHeader)
    answer(call.request).then(
      (message) => reply(null, message),
      (error: Status) => reply(error),
    )
  }

export function createStreams() {
  const open = new Map<ServerWritableStream<object, object>, NextMessage>()

  const finish = (call: ServerWritableStream<object, object>, error: Status) => {
    if (open.delete(call)) call.emit('error', error)
  }

  const send = async (call: ServerWritableStream<object, object>) => {
    try {
      const message = await open.get(call)?.()
      if (message && open.has(call)) call.write(message)
    } catch (error) {
      finish(call, error as Status)
    }
  }

  return {
    /** Handles calls of a method that streams; `start` is called for each. */
    streaming:
      (start: () => NextMessage): handleServerStreamingCall<object, object> =>
      async (call) => {
        open.set(call, start())
        call.on('cancelled', () => open.delete(call))
        call.on('error', () => open.delete(call))
        await (hasHeader(call.metadata) ? send(call) : finish(call, noHeader))
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
      for (const call of open.keys()) finish(call, error)
    },
  }
}
