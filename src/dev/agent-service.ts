// Answers the Workload API's calls: who is let in, and which streams are open for the next message.
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  type ServerWritableStream,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'

/** What calls are answered with, by method. One that throws a Status ends its call with it. */
export interface Methods {
  /** Called for each stream: gives what goes out on it, at first and at each push, or undefined for nothing. */
  readonly streams: Readonly<Record<string, () => () => Promise<object | undefined>>>
  readonly calls: Readonly<Record<string, (request: never) => Promise<object>>>
}

export interface Status {
  readonly code: number
  readonly details: string
}

const noHeader: Status = { code: status.INVALID_ARGUMENT, details: 'security header missing from request' }

const hasHeader = (metadata: Metadata): boolean => metadata.get('workload.spiffe.io').join() === 'true'

const mapValues = <T, U>(record: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]))

/** `settled` resolves when a first message may go out. */
export function createAgentService({ streams, calls }: Methods, settled: () => Promise<void>) {
  const open = new Map<ServerWritableStream<object, object>, () => Promise<object | undefined>>()

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

  const streaming = mapValues(
    streams,
    (start): handleServerStreamingCall<object, object> =>
      async (call) => {
        open.set(call, start())
        call.on('cancelled', () => open.delete(call))
        call.on('error', () => open.delete(call))
        if (!hasHeader(call.metadata)) return finish(call, noHeader)
        await settled()
        await send(call)
      },
  )

  const unary = mapValues(
    calls,
    (answer): handleUnaryCall<never, object> =>
      async (call, reply) => {
        if (!hasHeader(call.metadata)) return reply(noHeader)
        await answer(call.request).then(
          (message) => reply(null, message),
          (error: Status) => reply(error),
        )
      },
  )

  return {
    implementation: { ...streaming, ...unary } as UntypedServiceImplementation,
    get openStreams() {
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
