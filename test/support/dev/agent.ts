// The dev agent for tests: the rest of the Workload API, entries that change, federation, and misbehaviour when told.
import { type handleUnaryCall, type Server, type ServerUnaryCall, status, type UntypedServiceImplementation } from '@grpc/grpc-js'
import type { JSONWebKeySet } from 'jose'
import { createCell } from '../../../src/core/source.ts'
import { type AgentOptions as StartOptions, startAgent as start, workloadServer } from '../../../src/dev/agent.ts'
import { type createMethods, invalid, noIdentity } from '../../../src/dev/agent-methods.ts'
import type { Methods, Status } from '../../../src/dev/agent-service.ts'
import type { Entry as StartEntry } from '../../../src/dev/entries.ts'
import type { Authority, X509Variant } from './authority.ts'
import { healthService, type RawX509Message, toStruct } from './messages.ts'
import { validateJwtSvid } from './validate-jwt-svid.ts'

/**
 * How the agent behaves. serve: as SPIRE · silent: takes calls and answers nothing · hold-rotation: serves, but
 * renews nothing · end-streams: ends each stream with OK at once · a code: ends every call with it · raw: sends this
 * message, garbage perhaps, on X.509 streams.
 */
export type Behaviour = 'serve' | 'silent' | 'hold-rotation' | 'end-streams' | Status | { raw: Partial<RawX509Message> }

export interface Entry extends StartEntry, X509Variant {
  /** Foreign trust domains whose bundles this entry's callers get; left out, all that the agent federates with. */
  federatesWith?: string[]
}

export interface AgentCall {
  readonly method: string
  readonly headerOk: boolean
}

export interface AgentOptions extends Omit<StartOptions, 'authority' | 'entries' | 'extend' | 'createServer'> {
  authority: Authority
  entries?: readonly Entry[]
}

export type Agent = Awaited<ReturnType<typeof startAgent>>

const rememberedCalls = 1000
const never = new AbortController().signal
const idOf = (trustDomain: string): string => `spiffe://${trustDomain}`

export async function startAgent({ authority, clock, ...options }: AgentOptions) {
  const behaviour = createCell<Behaviour>('serve')
  const calls: AgentCall[] = []
  const federated = new Map<string, { bundle: Buffer[]; jwks: JSONWebKeySet }>()

  const foreign = () => {
    const wanted = (agent.entries.all as readonly Entry[]).flatMap(({ federatesWith }) => federatesWith ?? [...federated.keys()])
    return [...federated].filter(([trustDomain]) => wanted.includes(trustDomain))
  }
  const foreignBundles = () => foreign().map(([trustDomain, { bundle }]) => [idOf(trustDomain), Buffer.concat(bundle)] as const)

  /** Bundle streams get news only, while SPIRE repeats X.509 messages. */
  const news = (bundles: () => Promise<(readonly [string, Buffer])[]>) => () => {
    let last: string | undefined
    return async () => {
      if (agent.entries.all.length === 0) throw noIdentity
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

  const extend = ({ streams, calls: unary }: ReturnType<typeof createMethods>): Methods => {
    const federating = (next: () => Promise<object | undefined>) => async () => {
      const message = await next()
      return message && { ...message, federated_bundles: Object.fromEntries(foreignBundles()) }
    }
    const all: Methods['streams'] = {
      FetchX509SVID: () => federating(streams.FetchX509SVID()),
      FetchX509Bundles: news(async () => [[idOf(authority.trustDomain), Buffer.concat(authority.bundle())], ...foreignBundles()]),
      FetchJWTBundles: news(jwtBundles),
    }
    const moody = (method: string, open: Methods['streams'][string]) => () => {
      const next = open()
      return async () => {
        const { current } = behaviour
        if (current === 'silent') return undefined
        if (current === 'end-streams') throw { code: status.OK, details: '' } satisfies Status
        if (typeof current === 'string') return next()
        if ('code' in current) throw current
        return method === 'FetchX509SVID' ? current.raw : undefined
      }
    }
    const patient = (answer: Methods['calls'][string]) => async (request: never) => {
      while (behaviour.current === 'silent') await behaviour.next('silent', never)
      if (typeof behaviour.current === 'object' && 'code' in behaviour.current) throw behaviour.current
      return answer(request)
    }
    return {
      streams: Object.fromEntries(Object.entries(all).map(([method, open]) => [method, moody(method, open)])),
      calls: { FetchJWTSVID: patient(unary.FetchJWTSVID), ValidateJWTSVID: patient(validate) },
    }
  }

  const createServer = (implementation: UntypedServiceImplementation): Server => {
    const recording = Object.entries(implementation).map(([method, handler]) => {
      const handle = (call: ServerUnaryCall<object, object>, reply: never) => {
        calls.push({ method, headerOk: call.metadata.get('workload.spiffe.io').join() === 'true' })
        if (calls.length > rememberedCalls) calls.shift()
        return (handler as handleUnaryCall<object, object>)(call, reply)
      }
      return [method, handle]
    })
    const server = workloadServer(Object.fromEntries(recording) as UntypedServiceImplementation)
    const check: handleUnaryCall<object, object> = (_call, reply) => reply(null, { status: 'SERVING' })
    server.addService(healthService(), { Check: check })
    return server
  }

  const holding: typeof clock = {
    ...clock,
    sleep: async (ms, signal) => {
      await clock.sleep(ms, signal)
      while (behaviour.current === 'hold-rotation') await behaviour.next('hold-rotation', signal)
    },
  }
  const agent = await start({ entries: [], ...options, authority, clock: holding, extend, createServer })
  const { entries } = agent
  const push = () => void agent.push()

  const mustBelong = ({ spiffeId }: Entry) => {
    if (!spiffeId.startsWith(`${idOf(authority.trustDomain)}/`)) throw new Error(`${spiffeId} is not in the trust domain ${authority.trustDomain}`)
  }
  const find = (id: string) => {
    const found = entries.all.find((one) => one.id === id)
    if (!found) throw new Error(`the dev agent has no entry ${id}`)
    return found
  }

  return {
    address: agent.address,
    /** The last thousand RPCs of the Workload API. */
    calls: calls as readonly AgentCall[],
    get openStreams() {
      return agent.openStreams
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
      push()
    },
    /** A new leaf and key for every entry; resolves when they have been pushed. */
    rotateNow: () => entries.set(entries.all.map((entry) => ({ ...entry }))),
    /** Sends the same X.509 state again, as SPIRE does; bundle streams get news only. */
    push,
    setBehaviour: (next: Behaviour) => {
      behaviour.set(next)
      push()
    },
    stop: agent.stop,
  }
}
