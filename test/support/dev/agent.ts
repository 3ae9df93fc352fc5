// The dev agent for tests: the whole Workload API, entries that change, federation, and misbehaviour when told.
import { type handleUnaryCall, type ServerUnaryCall, status, type UntypedServiceImplementation } from '@grpc/grpc-js'
import type { JSONWebKeySet } from 'jose'
import type { Clock } from '../../../src/core/clock.ts'
import { createCell } from '../../../src/core/source.ts'
import { fetchJwt, invalid, noIdentity, x509Message } from '../world/agent.ts'
import { createServer, createStreams, type NextMessage, type Status, serve, unary } from '../world/agent-server.ts'
import { prepareSocket } from './agent-socket.ts'
import type { Authority } from './authority.ts'
import { createEntries, type Entry } from './entries.ts'
import { createTokenCache, validateJwtSvid } from './jwt-svids.ts'
import { healthService, type RawX509Message, toStruct } from './messages.ts'

/**
 * How the agent behaves. serve: as SPIRE · silent: takes calls and answers nothing · hold-rotation: serves, but
 * renews nothing · end-streams: ends each stream with OK at once · a code: ends every call with it · raw: sends this
 * message, garbage perhaps, on X.509 streams.
 */
export type Behaviour = 'serve' | 'silent' | 'hold-rotation' | 'end-streams' | Status | { raw: Partial<RawX509Message> }

export interface AgentCall {
  readonly method: string
  readonly headerOk: boolean
}

export interface AgentOptions {
  /** unix:///absolute/path */
  address: string
  authority: Authority
  clock: Clock
  x509TtlSeconds: number
  jwtTtlSeconds: number
  /** The `iss` of JWT-SVIDs; SPIRE leaves it out unless configured. */
  jwtIssuer?: string
  entries?: readonly Entry[]
  random?: () => number
}

export type Agent = Awaited<ReturnType<typeof startAgent>>

const rememberedCalls = 1000
const never = new AbortController().signal
const idOf = (trustDomain: string): string => `spiffe://${trustDomain}`

/** Starts the agent; every matching entry is served to every caller. */
export async function startAgent({ random = Math.random, ...options }: AgentOptions) {
  const { authority, clock } = options
  const behaviour = createCell<Behaviour>('serve')
  const calls: AgentCall[] = []
  const federated = new Map<string, { bundle: Buffer[]; jwks: JSONWebKeySet }>()
  const streams = createStreams()
  const holding: Clock = {
    ...clock,
    sleep: async (ms, signal) => {
      await clock.sleep(ms, signal)
      while (behaviour.current === 'hold-rotation') await behaviour.next('hold-rotation', signal)
    },
  }
  const entries = createEntries({ ...options, clock: holding, random, changed: streams.push })

  const foreign = () => {
    const wanted = entries.all.flatMap(({ federatesWith }) => federatesWith ?? [...federated.keys()])
    return [...federated].filter(([trustDomain]) => wanted.includes(trustDomain))
  }
  const foreignBundles = () => foreign().map(([trustDomain, { bundle }]) => [idOf(trustDomain), Buffer.concat(bundle)] as const)

  const x509 = () => async () => {
    if (entries.all.length === 0) throw noIdentity
    const signed = entries.identities.flatMap(({ svid, ...one }) => (svid ? [{ ...one, svid }] : []))
    // SPIRE is silent while an entry matches whose SVID is not signed yet.
    if (signed.length === 0) return undefined
    return { ...x509Message(signed, authority.bundle()), federated_bundles: Object.fromEntries(foreignBundles()) }
  }
  /** Bundle streams get news only, while SPIRE repeats X.509 messages. */
  const news = (bundles: () => Promise<(readonly [string, Buffer])[]>) => () => {
    let last: string | undefined
    return async () => {
      if (entries.all.length === 0) throw noIdentity
      const message = { bundles: Object.fromEntries(await bundles()) }
      const text = JSON.stringify(message)
      if (text === last) return undefined
      last = text
      return message
    }
  }
  const jwtBundles = async () => {
    const all = [[authority.trustDomain, await authority.jwks()] as const, ...foreign().map(([trustDomain, { jwks }]) => [trustDomain, jwks] as const)]
    return all.map(([trustDomain, jwks]) => [idOf(trustDomain), Buffer.from(JSON.stringify(jwks))] as const)
  }
  const validate = async ({ audience, svid }: { audience: string; svid: string }) => {
    if (audience === '') throw invalid('audience must be specified')
    if (svid === '') throw invalid('svid must be specified')
    const own = await authority.jwks()
    const keysOf = (trustDomain: string) => (trustDomain === authority.trustDomain ? own : federated.get(trustDomain)?.jwks)
    const { spiffeId, claims } = await validateJwtSvid(svid, audience, keysOf, clock.now()).catch((error: Error) => {
      throw invalid(error.message)
    })
    return { spiffe_id: spiffeId, claims: toStruct(claims) }
  }

  /** A stream as the behaviour wants it. Its first message waits for what is being signed. */
  const streaming = (open: () => NextMessage, raw: (message: object) => object | undefined = () => undefined) =>
    streams.streaming(() => {
      const next = open()
      let first = true
      return async () => {
        if (first) {
          first = false
          await entries.settled()
        }
        const { current } = behaviour
        if (current === 'silent') return undefined
        if (current === 'end-streams') throw { code: status.OK, details: '' } satisfies Status
        if (typeof current === 'string') return next()
        if ('code' in current) throw current
        return raw(current.raw)
      }
    })
  const answering = <Request>(answer: (request: Request) => Promise<object>) =>
    unary(async (request: Request) => {
      while (behaviour.current === 'silent') await behaviour.next('silent', never)
      if (typeof behaviour.current === 'object' && 'code' in behaviour.current) throw behaviour.current
      return answer(request)
    })

  const implementation: UntypedServiceImplementation = {
    FetchX509SVID: streaming(x509, (message) => message),
    FetchX509Bundles: streaming(news(async () => [[idOf(authority.trustDomain), Buffer.concat(authority.bundle())], ...foreignBundles()])),
    FetchJWTBundles: streaming(news(jwtBundles)),
    FetchJWTSVID: answering(fetchJwt(() => entries.identities, createTokenCache(authority, clock, options.jwtIssuer, random))),
    ValidateJWTSVID: answering(validate),
  }
  const recording = Object.entries(implementation).map(([method, handler]) => {
    const handle = (call: ServerUnaryCall<object, object>, reply: never) => {
      calls.push({ method, headerOk: call.metadata.get('workload.spiffe.io').join() === 'true' })
      if (calls.length > rememberedCalls) calls.shift()
      return (handler as handleUnaryCall<object, object>)(call, reply)
    }
    return [method, handle] as const
  })
  const server = createServer(Object.fromEntries(recording) as UntypedServiceImplementation)
  const check: handleUnaryCall<object, object> = (_call, reply) => reply(null, { status: 'SERVING' })
  server.addService(healthService(), { Check: check })

  await entries.set(options.entries ?? [])
  const stop = await prepareSocket(options.address)
    .then((path) => serve(path, streams, server))
    .catch((error: unknown) => {
      entries.stop()
      throw error
    })
  let stopping: Promise<void> | undefined

  const push = async () => {
    await entries.settled()
    await streams.push()
  }
  const mustBelong = ({ spiffeId }: Entry) => {
    if (!spiffeId.startsWith(`${idOf(authority.trustDomain)}/`)) throw new Error(`${spiffeId} is not in the trust domain ${authority.trustDomain}`)
  }
  const find = (id: string) => {
    const found = entries.all.find((one) => one.id === id)
    if (!found) throw new Error(`the dev agent has no entry ${id}`)
    return found
  }

  return {
    address: options.address,
    /** The last thousand RPCs of the Workload API. */
    calls: calls as readonly AgentCall[],
    get openStreams() {
      return streams.size
    },
    addEntry: (entry: Entry) => {
      mustBelong(entry)
      if (entries.all.some(({ id }) => id === entry.id)) throw new Error(`the dev agent already has an entry ${entry.id}`)
      void entries.set([...entries.all, entry])
    },
    updateEntry: (id: string, change: Partial<Entry>) => {
      const before = find(id)
      const entry = { ...before, ...change, id }
      mustBelong(entry)
      void entries.set(entries.all.map((one) => (one === before ? entry : one)))
    },
    deleteEntry: (id: string) => {
      const gone = find(id)
      void entries.set(entries.all.filter((one) => one !== gone))
    },
    /** DER roots and optionally JWT keys of another trust domain. */
    federate: (trustDomain: string, bundle: Buffer[], jwks: JSONWebKeySet = { keys: [] }) => {
      federated.set(trustDomain, { bundle, jwks })
      void push()
    },
    /** A new leaf and key for every entry; resolves when they have been pushed. */
    rotateNow: () => entries.set(entries.all.map((entry) => ({ ...entry }))),
    /** Sends the same X.509 state again, as SPIRE does; bundle streams get news only. */
    push: () => void push(),
    setBehaviour: (next: Behaviour) => {
      behaviour.set(next)
      void push()
    },
    /** Removes the socket and ends the streams: gracefully with UNAVAILABLE, or by cutting the connections. */
    stop: (how?: 'graceful' | 'abrupt'): Promise<void> => {
      entries.stop()
      if (how === 'abrupt') server.forceShutdown()
      return (stopping ??= stop())
    },
  }
}
