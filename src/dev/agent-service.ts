// Answers the Workload API's calls from the agent's state: who is let in, which stream gets which message.
import { type handleServerStreamingCall, type handleUnaryCall, type Metadata, type ServerWritableStream, status } from '@grpc/grpc-js'
import type { Source } from '../core/source.ts'
import type { AgentState } from './agent-state.ts'
import { type RawX509Message, toStruct } from './workload-definition.ts'

/**
 * How the agent behaves. serve: as SPIRE · silent: takes calls and answers nothing · hold-rotation: serves, but
 * renews nothing · end-streams: ends each stream with OK at once · a code: ends every call with it · raw: sends this
 * message, garbage perhaps, on X.509 streams.
 */
export type Behaviour = 'serve' | 'silent' | 'hold-rotation' | 'end-streams' | Status | { raw: Partial<RawX509Message> }

interface Status {
  code: number
  details: string
}

export interface AgentCall {
  readonly method: string
  readonly headerOk: boolean
}

type Call = ServerWritableStream<object, object>
type Kind = 'x509' | 'x509Bundles' | 'jwtBundles'

const rememberedCalls = 1000
const noIdentity: Status = { code: status.PERMISSION_DENIED, details: 'no identity issued' }
const noHeader: Status = { code: status.INVALID_ARGUMENT, details: 'security header missing from request' }
const invalid = (details: string): Status => ({ code: status.INVALID_ARGUMENT, details })

export function createAgentService(state: AgentState, behaviour: Source<Behaviour>) {
  const calls: AgentCall[] = []
  // What each bundle stream was sent last: it gets news only, while SPIRE repeats X.509 messages.
  const streams = new Map<Call, { kind: Kind; last?: string }>()

  /** Notes the call; whether its header is there. */
  const admitted = (method: string, metadata: Metadata): boolean => {
    const headerOk = metadata.get('workload.spiffe.io').join() === 'true'
    calls.push({ method, headerOk })
    if (calls.length > rememberedCalls) calls.shift()
    return headerOk
  }

  const finish = (call: Call, error: Status) => {
    if (streams.delete(call)) call.emit('error', error)
  }

  const send = async (call: Call) => {
    const stream = streams.get(call)
    const { current } = behaviour
    if (!stream || current === 'silent') return
    if (current === 'end-streams') {
      streams.delete(call)
      call.end()
      return
    }
    if (typeof current === 'object') {
      if ('code' in current) finish(call, current)
      else if (stream.kind === 'x509') call.write(current.raw)
      return
    }
    if (!state.identified()) return finish(call, noIdentity)
    if (stream.kind === 'x509') {
      const message = state.x509()
      // SPIRE is silent while an entry matches whose SVID is not signed yet.
      if (message.svids.length > 0) call.write(message)
      return
    }
    const message = await state[stream.kind]()
    const text = JSON.stringify(message)
    if (!streams.has(call) || stream.last === text) return
    stream.last = text
    call.write(message)
  }

  const streaming =
    (kind: Kind, method: string): handleServerStreamingCall<object, object> =>
    async (call) => {
      streams.set(call, { kind })
      call.on('cancelled', () => streams.delete(call))
      call.on('error', () => streams.delete(call))
      if (!admitted(method, call.metadata)) return finish(call, noHeader)
      if (state.identified()) await state.settled()
      await send(call)
    }

  const unary =
    <Request>(method: string, answer: (request: Request) => Promise<object>): handleUnaryCall<Request, object> =>
    async (call, reply) => {
      if (!admitted(method, call.metadata)) return reply(noHeader)
      const gone = new AbortController()
      call.on('cancelled', () => gone.abort())
      try {
        while (behaviour.current === 'silent') await behaviour.next('silent', gone.signal)
        if (typeof behaviour.current === 'object' && 'code' in behaviour.current) return reply(behaviour.current)
        reply(null, await answer(call.request))
      } catch (error) {
        if (gone.signal.aborted) return
        reply(error instanceof Error ? { code: status.UNAVAILABLE, details: error.message } : (error as Status))
      }
    }

  const fetchJwt = async (request: { audience: string[]; spiffe_id: string }) => {
    const audience = request.audience.filter((one) => one !== '')
    if (audience.length === 0) throw invalid('audience must be specified')
    if (request.spiffe_id !== '' && !request.spiffe_id.startsWith('spiffe://')) throw invalid('invalid requested SPIFFE ID: scheme is missing or invalid')
    const svids = await state.jwtSvids(request.spiffe_id, audience)
    if (svids.length === 0) throw noIdentity
    return { svids }
  }

  const validateJwt = async ({ audience, svid }: { audience: string; svid: string }) => {
    if (audience === '') throw invalid('audience must be specified')
    if (svid === '') throw invalid('svid must be specified')
    const { spiffeId, claims } = await state.validate(svid, audience).catch((error: Error) => {
      throw invalid(error.message)
    })
    return { spiffe_id: spiffeId, claims: toStruct(claims) }
  }

  return {
    implementation: {
      FetchX509SVID: streaming('x509', 'FetchX509SVID'),
      FetchX509Bundles: streaming('x509Bundles', 'FetchX509Bundles'),
      FetchJWTBundles: streaming('jwtBundles', 'FetchJWTBundles'),
      FetchJWTSVID: unary('FetchJWTSVID', fetchJwt),
      ValidateJWTSVID: unary('ValidateJWTSVID', validateJwt),
    },
    calls,
    streams: streams as ReadonlyMap<unknown, unknown>,
    /** Sends the state of now to every open stream, or ends it, as the behaviour wants. */
    push: async () => {
      await Promise.all([...streams.keys()].map(send))
    },
    /** Ends every open stream. */
    end: (error: Status) => {
      for (const call of streams.keys()) finish(call, error)
    },
  }
}
