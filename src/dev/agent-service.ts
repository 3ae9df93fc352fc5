// Answers the Workload API's calls from the agent's state: who is let in, which stream gets which message.
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  type ServerWritableStream,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import type { Source } from '../core/source.ts'
import { type RawX509Message, toStruct, type WireStruct } from './workload-definition.ts'

/**
 * How the agent behaves. serve: as SPIRE · silent: takes calls and answers nothing · hold-rotation: serves, but
 * renews nothing · end-streams: ends each stream with OK at once · a code: ends every call with it · raw: sends
 * exactly this message on X.509 streams, then nothing more.
 */
export type Behaviour = 'serve' | 'silent' | 'hold-rotation' | 'end-streams' | { code: number; details: string } | { raw: RawX509Message }

export interface BundlesMessage {
  bundles: Record<string, Buffer>
}

export interface JwtRequestMessage {
  audience: string[]
  spiffe_id: string
}

/** What the service asks the agent for. */
export interface AgentState {
  readonly behaviour: Source<Behaviour>
  /** False: no entry matches, so the caller has no identity. */
  readonly identified: () => boolean
  /** Resolves when every matching entry has its SVID. */
  readonly settled: () => Promise<void>
  record(method: string, headerOk: boolean): void
  x509(): RawX509Message
  x509Bundles(): BundlesMessage
  jwtBundles(): Promise<BundlesMessage>
  jwtSvids(request: JwtRequestMessage): Promise<{ spiffe_id: string; svid: string; hint: string }[]>
  validate(token: string, audience: string): Promise<{ spiffeId: string; claims: object }>
}

export interface AgentService {
  readonly implementation: UntypedServiceImplementation
  readonly openStreams: number
  /** Sends the state of now to every open stream, or ends it, as the behaviour wants. */
  push(): Promise<void>
  /** Ends every open stream: with OK, or with a status. */
  end(error?: Status): void
}

interface Status {
  code: number
  details: string
}

type Call = ServerWritableStream<object, object>
type Kind = 'x509' | 'x509Bundles' | 'jwtBundles'

const noIdentity: Status = { code: status.PERMISSION_DENIED, details: 'no identity issued' }
const noHeader: Status = { code: status.INVALID_ARGUMENT, details: 'security header missing from request' }
const invalid = (details: string): Status => ({ code: status.INVALID_ARGUMENT, details })

const headerOk = (metadata: Metadata): boolean => {
  const values = metadata.get('workload.spiffe.io')
  return values.length === 1 && values[0] === 'true'
}

const isStatus = (behaviour: Behaviour): behaviour is Status => typeof behaviour === 'object' && 'code' in behaviour

export function createAgentService(state: AgentState): AgentService {
  // What each open stream was sent last: SPIRE repeats X.509 messages, but a bundle stream only gets news.
  const streams = new Map<Call, { kind: Kind; last: unknown }>()

  const finish = (call: Call, error?: Status) => {
    if (!streams.delete(call)) return
    if (error) call.emit('error', error)
    else call.end()
  }

  const send = async (call: Call) => {
    const stream = streams.get(call)
    const behaviour = state.behaviour.current
    if (!stream || behaviour === 'silent') return
    if (isStatus(behaviour)) return finish(call, behaviour)
    if (behaviour === 'end-streams') return finish(call)
    if (typeof behaviour === 'object' && stream.kind === 'x509') {
      if (stream.last !== behaviour.raw) call.write(behaviour.raw)
      stream.last = behaviour.raw
      return
    }
    if (!state.identified()) return finish(call, noIdentity)
    if (stream.kind === 'x509') {
      stream.last = undefined
      const message = state.x509()
      // SPIRE is silent while an entry matches whose SVID is not signed yet.
      if (message.svids?.length) call.write(message)
      return
    }
    const message = stream.kind === 'x509Bundles' ? state.x509Bundles() : await state.jwtBundles()
    const text = JSON.stringify(message.bundles)
    if (!streams.has(call) || stream.last === text) return
    stream.last = text
    call.write(message)
  }

  const streaming =
    (kind: Kind, method: string): handleServerStreamingCall<object, object> =>
    async (call) => {
      const allowed = headerOk(call.metadata)
      state.record(method, allowed)
      streams.set(call, { kind, last: undefined })
      call.on('cancelled', () => streams.delete(call))
      call.on('error', () => streams.delete(call))
      if (!allowed) return finish(call, noHeader)
      if (state.identified()) await state.settled()
      await send(call)
    }

  const unary =
    <Request, Response>(method: string, answer: (request: Request) => Promise<Response>): handleUnaryCall<Request, Response> =>
    async (call, reply) => {
      const allowed = headerOk(call.metadata)
      state.record(method, allowed)
      if (!allowed) return reply(noHeader)
      const gone = new AbortController()
      call.on('cancelled', () => gone.abort())
      try {
        while (state.behaviour.current === 'silent') await state.behaviour.next('silent', gone.signal)
        if (isStatus(state.behaviour.current)) return reply(state.behaviour.current)
        reply(null, await answer(call.request))
      } catch (error) {
        if (gone.signal.aborted) return
        reply(error instanceof Error ? { code: status.UNAVAILABLE, details: error.message } : (error as Status))
      }
    }

  return {
    implementation: {
      FetchX509SVID: streaming('x509', 'FetchX509SVID'),
      FetchX509Bundles: streaming('x509Bundles', 'FetchX509Bundles'),
      FetchJWTBundles: streaming('jwtBundles', 'FetchJWTBundles'),
      FetchJWTSVID: unary('FetchJWTSVID', async (request: JwtRequestMessage) => {
        if (!request.audience.some((one) => one !== '')) throw invalid('audience must be specified')
        if (request.spiffe_id !== '' && !request.spiffe_id.startsWith('spiffe://')) throw invalid('invalid requested SPIFFE ID: scheme is missing or invalid')
        const svids = await state.jwtSvids(request)
        if (svids.length === 0) throw noIdentity
        return { svids }
      }),
      ValidateJWTSVID: unary(
        'ValidateJWTSVID',
        async ({ audience, svid }: { audience: string; svid: string }): Promise<{ spiffe_id: string; claims: WireStruct }> => {
          if (audience === '') throw invalid('audience must be specified')
          if (svid === '') throw invalid('svid must be specified')
          const { spiffeId, claims } = await state.validate(svid, audience).catch((error: Error) => {
            throw invalid(error.message)
          })
          return { spiffe_id: spiffeId, claims: toStruct(claims) }
        },
      ),
    },
    get openStreams() {
      return streams.size
    },
    push: async () => {
      await Promise.all([...streams.keys()].map(send))
    },
    end: (error) => {
      for (const call of streams.keys()) finish(call, error)
    },
  }
}
