// An agent and an AWS without network, on a fake clock: they issue and verify as the development ones do, and fail when told.

import type { Clock } from '../../src/core/clock.ts'
import { failure } from '../../src/core/errors.ts'
import type { Call, Reply } from '../../src/core/https.ts'
import { createCell } from '../../src/core/source.ts'
import type { WorkloadApi } from '../../src/identity/workload-api/client.ts'
import type { X509ContextMessage } from '../../src/spiffe/x509-context.ts'
import type { Authority } from '../support/dev/authority.ts'
import type { FakeClock } from '../support/fake-clock.ts'
import { type AccountOptions, openAccount } from '../support/world/aws-account.ts'
import { isAwsError } from '../support/world/aws-request.ts'
import { createSession } from '../support/world/aws-rolesanywhere.ts'
import { answerSts } from '../support/world/aws-sts.ts'

export interface SimulatedAgent extends WorkloadApi {
  up: boolean
  rotate(): Promise<void>
  /** Ends open streams, as a restart does. */
  drop(): void
}

/** One entry; SPIRE's pace is the caller's business. */
export async function simulateAgent(authority: Authority, clock: FakeClock, spiffeId: string): Promise<SimulatedAgent> {
  const message = createCell<X509ContextMessage | undefined>(undefined)
  const generation = createCell(0)
  const away = () => failure('workload_api_unreachable', 'cannot connect: no such file')
  // No bundle stream is asked for here.
  const noStream = (): never => {
    throw away()
  }
  const agent: SimulatedAgent = {
    address: { kind: 'unix', path: '/simulated', text: 'unix:///simulated' },
    up: true,
    async rotate() {
      const { chain, key } = await clock.hold(authority.issueX509({ spiffeId, ttlSeconds: 3_600 }))
      message.set({
        svids: [{ spiffe_id: spiffeId, x509_svid: Buffer.concat(chain), x509_svid_key: key, bundle: Buffer.concat(authority.bundle()), hint: '' }],
        federated_bundles: {},
      })
    },
    drop() {
      generation.set(generation.current + 1)
    },
    async *x509Contexts(signal) {
      if (!agent.up) throw away()
      const born = generation.current
      for (let seen: X509ContextMessage | undefined; ; ) {
        if (message.current !== undefined) yield message.current
        seen = message.current
        const either = new AbortController()
        const both = AbortSignal.any([signal, either.signal])
        await Promise.race([message.next(seen, both), generation.next(born, both)]).finally(() => either.abort())
        if (generation.current !== born) throw away()
      }
    },
    x509Bundles: noStream,
    jwtBundles: noStream,
    async jwtSvids(audience) {
      if (!agent.up) throw away()
      const svid = await clock.hold(authority.issueJwt({ spiffeId, audience: [...audience], ttlSeconds: 300, issuer: 'https://oidc.dev.local' }))
      return [{ spiffe_id: spiffeId, svid, hint: '' }]
    },
    validateJwtSvid: () => Promise.reject(away()),
  }
  await agent.rotate()
  return agent
}

export type Trouble = 'server' | 'throttled' | 'network' | 'hang' | 'denied' | 'empty'

export interface SimulatedAws {
  readonly call: (profile: string) => (call: Call, signal: AbortSignal) => Promise<Reply>
  /** Asked before each call: what goes wrong this time. */
  trouble: () => Trouble | undefined
  readonly calls: { profile: string; at: number }[]
  readonly overlaps: number
}

/** Roles Anywhere and STS in one function. `truth` is AWS's own clock. */
export function simulateAws(truth: Clock, clock: FakeClock, options: Omit<AccountOptions, 'clock'>): SimulatedAws {
  const account = openAccount({ ...options, clock: truth })
  const inFlight = new Map<string, number>()
  let overlaps = 0
  const aws: SimulatedAws = { trouble: () => undefined, calls: [], call, get overlaps() { return overlaps } } // biome-ignore format: one line

  async function answer(call: Call): Promise<{ status: number; headers: Record<string, string>; body: string }> {
    const { url, headers } = call
    const request = { method: call.method, path: url.pathname, query: url.search.slice(1), headers, body: Buffer.from(call.body) }
    try {
      if (url.pathname.endsWith('/sessions')) return { status: 201, headers: {}, body: await createSession(request, account) }
      return { status: 200, headers: {}, body: await answerSts(request, account) }
    } catch (error) {
      if (!isAwsError(error)) throw error
      return { status: error.status, headers: { 'x-amzn-errortype': error.code }, body: JSON.stringify({ message: error.message }) }
    }
  }

  function call(profile: string): (call: Call, signal: AbortSignal) => Promise<Reply> {
    return async (request, signal) => {
      const sentAt = clock.boot()
      aws.calls.push({ profile, at: sentAt })
      const others = inFlight.get(profile) ?? 0
      if (others > 0) overlaps++
      inFlight.set(profile, others + 1)
      try {
        await clock.sleep(80, signal)
        const trouble = aws.trouble()
        if (trouble === 'network') throw failure('network', 'cannot reach AWS')
        if (trouble === 'hang') {
          await clock.sleep(9_920, signal)
          throw failure('timeout', 'AWS did not answer')
        }
        const date = Math.floor(truth.now() / 1_000) * 1_000
        const reply =
          trouble === undefined
            ? await clock.hold(answer(request))
            : {
                status: { server: 500, throttled: 429, denied: 403, empty: 200 }[trouble],
                headers: trouble === 'throttled' ? { 'retry-after': '5' } : {},
                body: '',
              }
        await clock.sleep(80, signal)
        return { status: reply.status, headers: reply.headers, body: Buffer.from(reply.body), date, sentAt, receivedAt: clock.now() }
      } finally {
        inFlight.set(profile, (inFlight.get(profile) ?? 1) - 1)
      }
    }
  }
  return aws
}
