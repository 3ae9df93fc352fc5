// A Workload API whose every word comes from the test; it counts the streams and calls that it is asked for.
import type { Clock } from '../../src/core/clock.ts'
import type { WorkloadApi } from '../../src/identity/workload-api/client.ts'
import { statusFailure } from '../../src/identity/workload-api/status.ts'
import type { JwtSvidMessage } from '../../src/spiffe/jwt-svid.ts'
import { parseSocketAddress } from '../../src/spiffe/socket-address.ts'
import type { X509ContextMessage } from '../../src/spiffe/x509-context.ts'

export type Bundles = Readonly<Record<string, Buffer>>

/** One stream, seen from the agent. */
export interface AgentStream<M> {
  /** By the boot clock. */
  readonly openedAt: number
  readonly open: boolean
  send(message: M): void
  /** Ends it with OK. */
  end(): void
  /** Ends it with a gRPC status. */
  fail(code: number, details?: string): void
}

/** All the streams of one method, in the order in which they were opened. */
export interface AgentStreams<M> {
  readonly all: readonly AgentStream<M>[]
  readonly open: readonly AgentStream<M>[]
  readonly last: AgentStream<M>
  /** The most that were open at the same time. */
  readonly most: number
  /** What happens to a stream that is opened from now on. */
  script(each: (stream: AgentStream<M>) => void): void
}

export interface JwtCall {
  /** By the boot clock. */
  readonly at: number
  readonly audience: readonly string[]
  readonly spiffeId: string | undefined
  answer(...svids: JwtSvidMessage[]): void
  fail(code: number, details?: string): void
  readonly pending: boolean
}

export interface ScriptedApi extends WorkloadApi {
  readonly x509: AgentStreams<X509ContextMessage>
  readonly x509Bundle: AgentStreams<Bundles>
  readonly jwtBundle: AgentStreams<Bundles>
  readonly jwtCalls: readonly JwtCall[]
  /** What happens to a token request that comes from now on. */
  scriptJwt(each: (call: JwtCall) => void): void
}

export const unixAddress = parseSocketAddress('unix:///run/agent.sock')
export const tcpAddress = parseSocketAddress('tcp://127.0.0.1:8081')

/** What the client makes of a gRPC status. */
export const status = (code: number, details = `status ${code}`, address = unixAddress) =>
  statusFailure(Object.assign(new Error(details), { code, details }), address)

const unreachable = 'No connection established. Last error: connect ENOENT /run/agent.sock'
/** Fails as a socket that is not there. */
export const gone = (stream: { fail(code: number, details?: string): void }): void => stream.fail(14, unreachable)
/** Fails as an agent without an entry for this process. */
export const deny = (stream: { fail(code: number, details?: string): void }): void => stream.fail(7, 'no identity issued')

export function createStreams<M>(clock: Clock): AgentStreams<M> & { opener(signal: AbortSignal): AsyncGenerator<M> } {
  const all: AgentStream<M>[] = []
  let most = 0
  let script: (stream: AgentStream<M>) => void = () => {}
  const openNow = () => all.filter((one) => one.open)

  async function* opener(signal: AbortSignal): AsyncGenerator<M> {
    signal.throwIfAborted()
    const queue: (() => IteratorResult<M, undefined>)[] = []
    let wake = () => {}
    let open = true
    const push = (item: () => IteratorResult<M, undefined>) => {
      queue.push(item)
      wake()
    }
    const stream: AgentStream<M> = {
      openedAt: clock.boot(),
      get open() {
        return open
      },
      send: (value) => push(() => ({ done: false, value })),
      end: () => push(() => ({ done: true, value: undefined })),
      fail: (code, details) =>
        push(() => {
          throw status(code, details)
        }),
    }
    all.push(stream)
    most = Math.max(most, openNow().length)
    const abort = () => wake()
    signal.addEventListener('abort', abort)
    try {
      await Promise.resolve() // so that a test may say what happens after it has started the task
      script(stream)
      for (;;) {
        while (queue.length === 0 && !signal.aborted)
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        signal.throwIfAborted()
        const result = queue.shift()?.()
        if (result?.done !== false) return
        yield result.value
      }
    } finally {
      signal.removeEventListener('abort', abort)
      open = false
    }
  }

  return {
    all,
    get open() {
      return openNow()
    },
    get last() {
      const one = all.at(-1)
      if (one === undefined) throw new Error('no stream was opened')
      return one
    },
    get most() {
      return most
    },
    script: (each) => {
      script = each
    },
    opener,
  }
}

export function createScriptedApi(clock: Clock, address = unixAddress): ScriptedApi {
  const x509 = createStreams<X509ContextMessage>(clock)
  const x509Bundle = createStreams<Bundles>(clock)
  const jwtBundle = createStreams<Bundles>(clock)
  const jwtCalls: JwtCall[] = []
  let scriptJwt: (call: JwtCall) => void = () => {}
  return {
    address,
    x509,
    x509Bundle,
    jwtBundle,
    jwtCalls,
    scriptJwt: (each) => {
      scriptJwt = each
    },
    x509Contexts: x509.opener,
    x509Bundles: x509Bundle.opener,
    jwtBundles: jwtBundle.opener,
    jwtSvids: (audience, spiffeId, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        let pending = true
        const abort = () => settle(() => reject(signal.reason))
        const settle = (how: () => void) => {
          pending = false
          signal.removeEventListener('abort', abort)
          how()
        }
        signal.addEventListener('abort', abort)
        const call: JwtCall = {
          at: clock.boot(),
          audience,
          spiffeId,
          answer: (...svids) => settle(() => resolve(svids)),
          fail: (code, details) => settle(() => reject(status(code, details))),
          get pending() {
            return pending
          },
        }
        jwtCalls.push(call)
        queueMicrotask(() => {
          if (pending) scriptJwt(call)
        })
      }),
    validateJwtSvid: () => Promise.reject(status(12)),
  }
}
