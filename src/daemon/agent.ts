// An identity's agent: the way to it, and what it gives at this moment, for the commands that look at it without a daemon.
import type { IdentityConfig } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'
import { type Failure, failure, isFailure } from '../core/errors.ts'
import { createChoice } from '../identity/choice.ts'
import { inspectProcess, registrationCommand } from '../identity/registration.ts'
import { createWorkloadApi } from '../identity/workload-api/client.ts'
import { parseJwtBundles } from '../spiffe/jwt-bundle.ts'
import { parseJwtSvid } from '../spiffe/jwt-svid.ts'
import { parseX509Bundles, parseX509Context } from '../spiffe/x509-context.ts'

/** What every source of an identity asks, with one choice between its SVIDs. `warn` hears when it is not clear which one is meant. */
export function reachAgent(identity: IdentityConfig, clock: Clock, warn: (code: string, message: string) => void) {
  let command: string | undefined
  return {
    api: createWorkloadApi(identity.workloadApi, clock),
    choice: createChoice(identity, warn),
    /** Adds the remedy of this very process to "no identity issued". */
    explain(problem: Failure): Failure {
      if (problem.code !== 'identity_not_issued') return problem
      command ??= registrationCommand(inspectProcess(), identity.spiffeId)
      return failure(problem.code, problem.message, { remedy: `Register this process: ${command}` })
    },
  }
}

const patienceMs = 10_000

/** Looks at one identity's agent: one call or one first message each. Every method throws a Failure after 10 s at the latest. */
export function inspect(identity: IdentityConfig, clock: Clock) {
  const { api, choice, explain } = reachAgent(identity, clock, () => {})
  const agent = `the agent at ${identity.workloadApi.text}`

  async function bounded<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const over = new AbortController()
    const late = clock.sleep(patienceMs, over.signal).then(() => {
      throw failure('workload_api_silent', `${agent} has not answered for ${patienceMs / 1000} s`)
    })
    try {
      return await Promise.race([work(over.signal), late])
    } catch (error) {
      throw isFailure(error) ? explain(error) : error
    } finally {
      over.abort()
    }
  }

  const first = <M, T>(open: (signal: AbortSignal) => AsyncIterable<M>, parse: (message: M) => T) =>
    bounded(async (signal) => {
      for await (const message of open(signal)) return parse(message)
      throw failure('workload_api_unavailable', `${agent} closed the stream without a message`)
    })

  return {
    x509Context: () => first(api.x509Contexts, parseX509Context),
    /** The one that is ours. */
    x509Svid: () =>
      first(
        api.x509Contexts,
        (message) => choice.pick(parseX509Context(message).svids.map((svid) => ({ spiffe_id: svid.spiffeId, hint: svid.hint, svid }))).svid,
      ),
    x509Bundles: () => first(api.x509Bundles, (bundles) => parseX509Bundles(Object.entries(bundles))),
    jwtBundles: () => first(api.jwtBundles, parseJwtBundles),
    jwtSvid: (audience: readonly string[]) => bounded(async (signal) => parseJwtSvid(choice.pick(await api.jwtSvids(audience, choice.spiffeId, signal)))),
    /** The claims of a token as the agent verifies it. */
    claims: (audience: string, token: string) => bounded(async (signal) => (await api.validateJwtSvid(audience, token, signal)).claims),
  }
}
