// What the tests of the dev world share: a temporary folder and a plain gRPC client.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { Client, type ClientReadableStream, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import { healthService } from '../support/dev/messages.ts'
import { workloadService } from '../support/world/agent-server.ts'

/** A folder that goes with the test. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'dev-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export type Message = Record<string, unknown>

export interface Stream {
  /** The next message; rejects with the status when the stream fails, gives undefined when it ends with OK. */
  next(): Promise<Message | undefined>
  cancel(): void
}

export interface PlainClient {
  unary(method: string, request: object, header?: string[]): Promise<Message>
  stream(method: string, header?: string[]): Stream
  close(): void
}

/** A gRPC client that knows the .proto and nothing else. */
export function plainClient(t: TestContext, address: string): PlainClient {
  const client = new Client(address.replace(/^tcp:\/\//, ''), credentials.createInsecure())
  t.after(() => client.close())
  const methods = { ...workloadService(), ...healthService() }
  const definition = (name: string) =>
    methods[name] ?? { path: `/SpiffeWorkloadAPI/${name}`, requestSerialize: () => Buffer.alloc(0), responseDeserialize: () => ({}) }
  const metadata = (values: string[]) => {
    const made = new Metadata()
    for (const value of values) made.add('workload.spiffe.io', value)
    return made
  }
  return {
    unary: (method, request, header = ['true']) => {
      const { path, requestSerialize, responseDeserialize } = definition(method)
      return new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata(header), (error, reply) =>
          error ? reject(error) : resolve(reply as Message),
        )
      })
    },
    stream: (method, header = ['true']) => {
      const { path, requestSerialize, responseDeserialize } = definition(method)
      const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {}, metadata(header))
      return readable(call as ClientReadableStream<Message>)
    },
    close: () => client.close(),
  }
}

function readable(call: ClientReadableStream<Message>): Stream {
  const arrived: Message[] = []
  const waiting: (() => void)[] = []
  let over: { error?: ServiceError } | undefined
  const wake = () => {
    for (const one of waiting.splice(0)) one()
  }
  call.on('data', (message: Message) => {
    arrived.push(message)
    wake()
  })
  call.on('error', (error: ServiceError) => {
    over = { error }
    wake()
  })
  call.on('end', () => {
    // A failing stream ends too, just before its error is told.
    setImmediate(() => {
      over ??= {}
      wake()
    })
  })
  const next = async (): Promise<Message | undefined> => {
    for (;;) {
      const message = arrived.shift()
      if (message) return message
      if (over?.error) throw over.error
      if (over) return undefined
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
  }
  return { next, cancel: () => call.cancel() }
}
