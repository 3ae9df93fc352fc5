// What the agent gives at this moment, for the commands that look at it: one call or one first message, no daemon.
import type { Config, IdentityConfig } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'
import { type Failure, failure, isFailure, toFailure } from '../core/errors.ts'
import { linked } from '../core/run.ts'
import { createChoice } from '../identity/choice.ts'
import { inspectProcess, registrationCommand } from '../identity/registration.ts'
import { createWorkloadApi, type WorkloadApi } from '../identity/workload-api/client.ts'
import { type JwtBundle, parseJwtBundles } from '../spiffe/jwt-bundle.ts'
import { type JwtSvid, parseJwtSvid } from '../spiffe/jwt-svid.ts'
import type { X509Bundle } from '../spiffe/x509-bundle.ts'
import { parseX509Bundles, parseX509Context, type X509Context } from '../spiffe/x509-context.ts'

export interface Inspection {
  x509Context(): Promise<X509Context>
  x509Bundles(): Promise<ReadonlyMap<string, X509Bundle>>
  jwtBundles(): Promise<ReadonlyMap<string, JwtBundle>>
  jwtSvid(audience: readonly string[]): Promise<JwtSvid>
  /** The claims of a token as the agent verifies it. */
  claims(audience: string, token: string): Promise<Record<string, unknown>>
}

const patienceMs = 10_000

/** The identity of that name. Throws config_invalid. */
export function identityNamed(config: Config, name: string): IdentityConfig {
  const found = config.identities.find((identity) => identity.name === name)
  if (found === undefined)
    throw failure('config_invalid', `there is no identity ${JSON.stringify(name)}; there is ${config.identities.map((one) => one.name).join(', ')}`)
  return found
}

/** Looks at one identity's agent. Every method throws a Failure after 10 s at the latest. */
export function inspect(identity: IdentityConfig, clock: Clock): Inspection {
  const api = createWorkloadApi(identity.workloadApi, clock)
  const explain = (error: unknown): Failure => {
    const problem = toFailure(error)
    return problem.code === 'identity_not_issued'
      ? failure(problem.code, problem.message, { remedy: `Register this process: ${registrationCommand(inspectProcess(), identity.spiffeId)}` })
      : problem
  }

  async function bounded<T>(work: (api: WorkloadApi, signal: AbortSignal) => Promise<T>): Promise<T> {
    const link = linked(new AbortController().signal)
    const late = clock.sleep(patienceMs, link.signal).then(() => {
      throw failure('workload_api_silent', `the agent at ${identity.workloadApi.text} has not answered for ${patienceMs / 1000} s`)
    })
    late.catch(() => {})
    try {
      return await Promise.race([work(api, link.signal), late])
    } catch (error) {
      throw isFailure(error) ? explain(error) : error
    } finally {
      link.stop()
    }
  }

  const first = async <M>(stream: AsyncIterable<M>): Promise<M> => {
    for await (const message of stream) return message
    throw failure('workload_api_unavailable', `the agent at ${identity.workloadApi.text} closed the stream without a message`)
  }

  return {
    x509Context: () => bounded(async (agent, signal) => parseX509Context(await first(agent.x509Contexts(signal)))),
    x509Bundles: () => bounded(async (agent, signal) => parseX509Bundles(Object.entries(await first(agent.x509Bundles(signal))))),
    jwtBundles: () => bounded(async (agent, signal) => parseJwtBundles(await first(agent.jwtBundles(signal)))),
    jwtSvid: (audience) =>
      bounded(async (agent, signal) => {
        const choice = createChoice({ spiffeId: identity.spiffeId, hint: identity.hint }, () => {})
        return parseJwtSvid(choice.pick(await agent.jwtSvids(audience, choice.spiffeId, signal)))
      }),
    claims: (audience, token) => bounded(async (agent, signal) => (await agent.validateJwtSvid(audience, token, signal)).claims),
  }
}
