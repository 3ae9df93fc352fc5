// The Workload API on the wire: the only file of the product that knows gRPC.
import { addAbortListener } from 'node:events'
import { type ChannelOptions, Client, credentials, Metadata, type MethodDefinition } from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import protobuf from 'protobufjs'
import { workloadProto } from '../../../proto/workload.ts'
import type { Clock } from '../../core/clock.ts'
import { failure } from '../../core/errors.ts'
import { within } from '../../core/run.ts'
import type { JwtSvidMessage } from '../../spiffe/jwt-svid.ts'
import { grpcTarget, type SocketAddress } from '../../spiffe/socket-address.ts'
import type { X509ContextMessage } from '../../spiffe/x509-context.ts'
import { statusFailure } from './status.ts'

type Bundles = Readonly<Record<string, Buffer>>

/** One agent's Workload API. Every call dials anew; streams end with the signal, or throw a Failure. */
export type WorkloadApi = ReturnType<typeof createWorkloadApi>

type Method = 'FetchX509SVID' | 'FetchX509Bundles' | 'FetchJWTBundles' | 'FetchJWTSVID' | 'ValidateJWTSVID'
type Methods = Readonly<Record<Method, MethodDefinition<object, unknown>>>
type Connecting = { readonly subchannel?: { readonly connector?: { readonly session?: { destroy(): void } | null } } }
type Internals = { readonly internalChannel?: { readonly subchannelPool?: { readonly pool?: Readonly<Record<string, readonly Connecting[]>> } } }

const options: ChannelOptions = {
  // The channel's own backoff grows to two minutes. Each attempt is a new channel and ours is the only backoff.
  'grpc.enable_retries': 0,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // The trust domain's bundle is repeated in every SVID, so 4 MiB, the default, is not many of them.
  'grpc.max_receive_message_length': 64 << 20,
  // Proxy variables would send a tcp:// address, and with it the keys, through a proxy.
  'grpc.enable_http_proxy': 0,
  // Without this, channels with equal options share a connection, and a dead one outlives its attempt.
  'grpc.use_local_subchannel_pool': 1,
}

const unaryMs = 35_000
let methods: Methods | undefined

function loadMethods(): Methods {
  const { root } = protobuf.parse(workloadProto, { keepCase: true })
  // The file's own import is not followed when it is parsed from text.
  const struct = protobuf.common.get('google/protobuf/struct.proto')
  if (struct?.nested != null) root.addJSON(struct.nested)
  return fromJSON(root.toJSON(), { keepCase: true, defaults: true, longs: Number })['SpiffeWorkloadAPI'] as unknown as Methods
}

const metadata = () => Metadata.fromHttp2Headers({ 'workload.spiffe.io': 'true' })

/**
 * Closes a client with its connection. grpc-js forgets one that still waits for the peer's HTTP/2 settings, so an agent that hangs would cost a descriptor with
 * every attempt; there is no public way to it. Should the internals change, the leak is back and a test says so.
 */
function hangUp(client: Client): void {
  const pool = (client.getChannel() as Internals).internalChannel?.subchannelPool?.pool ?? {}
  for (const { subchannel } of Object.values(pool).flat()) subchannel?.connector?.session?.destroy()
  client.close()
}

/** Dials `address` for each call. */
export function createWorkloadApi(address: SocketAddress, clock: Clock) {
  async function* stream<T>(method: Method, request: object, signal: AbortSignal): AsyncGenerator<T> {
    signal.throwIfAborted()
    methods ??= loadMethods()
    const { path, requestSerialize, responseDeserialize } = methods[method]
    const client = new Client(grpcTarget(address), credentials.createInsecure(), options)
    const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, metadata())
    call.on('error', () => {}) // a cancelled call reports itself after nobody listens any more
    using _ = addAbortListener(signal, () => call.cancel())
    try {
      for await (const message of call) yield message as T
      // Our own abort is known by our own signal: CANCELLED may come from the server, too.
      signal.throwIfAborted()
    } catch (error) {
      signal.throwIfAborted()
      throw statusFailure(error, address)
    } finally {
      call.cancel()
      hangUp(client)
    }
  }

  /** On the wire a unary call is a stream of one message. */
  async function unary<T>(method: Method, request: object, signal: AbortSignal): Promise<T> {
    const replies = await within(unaryMs, (inTime) => Array.fromAsync(stream<T>(method, request, inTime)), clock, signal)
    if (replies === undefined) throw failure('workload_api_silent', `the agent at ${address.text} has not answered a call for ${unaryMs / 1000} s`)
    const [reply] = replies
    if (reply === undefined) throw failure('workload_api_unavailable', `the agent at ${address.text} ended a call without an answer`)
    return reply
  }

  async function* bundles(method: Method, signal: AbortSignal): AsyncGenerator<Bundles> {
    for await (const message of stream<{ bundles: Bundles }>(method, {}, signal)) yield message.bundles
  }

  return {
    address,
    x509Contexts: (signal: AbortSignal) => stream<X509ContextMessage>('FetchX509SVID', {}, signal),
    x509Bundles: (signal: AbortSignal) => bundles('FetchX509Bundles', signal),
    jwtBundles: (signal: AbortSignal) => bundles('FetchJWTBundles', signal),
    /** All tokens for an audience, or the one of `spiffeId`. SPIRE may take 30 s to sign; this waits 35. */
    async jwtSvids(audience: readonly string[], spiffeId: string | undefined, signal: AbortSignal) {
      const reply = await unary<{ svids: readonly JwtSvidMessage[] }>('FetchJWTSVID', { audience, spiffe_id: spiffeId ?? '' }, signal)
      return reply.svids
    },
    /** Has the agent check a token; returns the SPIFFE ID and the claims. */
    async validateJwtSvid(audience: string, token: string, signal: AbortSignal) {
      const reply = await unary<{ spiffe_id: string; claims: Struct | null }>('ValidateJWTSVID', { audience, svid: token }, signal)
      return { spiffeId: reply.spiffe_id, claims: fromStruct(reply.claims) }
    },
  }
}

// google.protobuf.Struct stays in its wire form.
type Struct = { fields?: Record<string, Value> }
type Value = { numberValue?: number; stringValue?: string; boolValue?: boolean; structValue?: Struct; listValue?: { values?: Value[] } }

function fromStruct(struct: Struct | null | undefined): Record<string, unknown> {
  return Object.fromEntries(Object.entries(struct?.fields ?? {}).map(([name, value]) => [name, fromValue(value)]))
}

function fromValue(value: Value): unknown {
  if (value.structValue != null) return fromStruct(value.structValue)
  if (value.listValue != null) return (value.listValue.values ?? []).map(fromValue)
  return value.stringValue ?? value.numberValue ?? value.boolValue ?? null
}
