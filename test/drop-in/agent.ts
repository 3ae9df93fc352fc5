// A Workload API whose every answer comes from the case: the agent of one program.
import { chmod, rm } from 'node:fs/promises'
import { type handleServerStreamingCall, type handleUnaryCall, Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js'
import { workloadService } from './dev.ts'
import type { Refusal, Serving } from './material.ts'

export interface Agent {
  /** Answers with this from now on, and tells whoever watches what changed. */
  serve(change: Partial<Serving>): void
  /** Sends what it serves again, changed or not. */
  push(): void
  /** Removes the socket and cuts the connections. */
  stop(): Promise<void>
  start(): Promise<void>
  /** How often it was asked for anything. */
  readonly calls: number
  /** The streams that are open. */
  readonly watchers: number
  /** The audiences of each request for a token. */
  readonly asked: readonly (readonly string[])[]
}

type Call = ServerWritableStream<object, object>
type Stream = 'x509' | 'jwtBundles'

const isRefusal = (answer: unknown): answer is Refusal => typeof answer === 'object' && answer !== null && 'code' in answer && typeof answer.code === 'number'

/** An agent that is not started yet. */
export function createAgent(path: string, first: Serving): Agent {
  let serving = first
  let server: Server | undefined
  const streams: Record<Stream, Set<Call>> = { x509: new Set(), jwtBundles: new Set() }
  const asked: (readonly string[])[] = []
  let calls = 0

  const send = (kind: Stream, call: Call) => {
    const answer = serving[kind]
    if (answer === 'silent') return
    if (isRefusal(answer)) {
      streams[kind].delete(call)
      call.emit('error', answer)
    } else if (kind === 'x509') {
      const { svids, federated } = answer as Exclude<Serving['x509'], Refusal | 'silent'>
      call.write({ svids, federated_bundles: federated })
    } else call.write({ bundles: answer })
  }
  const push = (kind: Stream) => {
    for (const call of streams[kind]) send(kind, call)
  }
  const streaming =
    (kind: Stream): handleServerStreamingCall<object, object> =>
    (call) => {
      calls++
      streams[kind].add(call)
      for (const end of ['cancelled', 'error', 'close']) call.on(end, () => streams[kind].delete(call))
      send(kind, call)
    }
  const fetchJwt: handleUnaryCall<{ audience: string[] }, object> = async ({ request }, reply) => {
    const nth = asked.filter((one) => one.join('\n') === request.audience.join('\n')).length
    calls++
    asked.push(request.audience)
    const answer = await serving.jwt(request.audience, nth)
    if (isRefusal(answer)) reply(answer)
    else reply(null, { svids: answer })
  }

  return {
    serve(change) {
      serving = { ...serving, ...change }
      for (const kind of ['x509', 'jwtBundles'] as const) if (kind in change) push(kind)
    },
    push() {
      push('x509')
      push('jwtBundles')
    },
    async start() {
      const starting = new Server({ 'grpc-node.max_session_memory': 10 })
      starting.addService(workloadService(), { FetchX509SVID: streaming('x509'), FetchJWTBundles: streaming('jwtBundles'), FetchJWTSVID: fetchJwt })
      await rm(path, { force: true })
      await new Promise<void>((resolve, reject) => {
        starting.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error)))
      })
      await chmod(path, 0o777)
      server = starting
    },
    async stop() {
      server?.forceShutdown()
      server = undefined
      for (const set of Object.values(streams)) set.clear()
      await rm(path, { force: true })
    },
    get calls() {
      return calls
    },
    get watchers() {
      return streams.x509.size + streams.jwtBundles.size
    },
    asked,
  }
}
