// The smallest useful configuration: no file at all, a handful of environment variables.
import type { Mistake } from './mistakes.ts'
import type { RawConfig } from './schema.ts'

const names = { role: 'SVIDECAR_ROLE_ARN', anchor: 'SVIDECAR_TRUST_ANCHOR_ARN', profile: 'SVIDECAR_PROFILE_ARN', audience: 'SVIDECAR_AUDIENCE' } as const

/** An empty variable is as good as none. */
const read = (env: NodeJS.ProcessEnv) => ({
  role: env[names.role] || undefined,
  anchor: env[names.anchor] || undefined,
  profile: env[names.profile] || undefined,
  audience: env[names.audience] || undefined,
})

/** True when the environment begins to describe a profile. */
export const hasEnvConfig = (env: NodeJS.ProcessEnv): boolean => Object.values(read(env)).some((value) => value !== undefined)

/** What is missing, or too much, among the variables, each by its name. */
export function envMistakes(env: NodeJS.ProcessEnv): Mistake[] {
  const { role, anchor, profile, audience } = read(env)
  const anywhere = anchor !== undefined || profile !== undefined
  const mistakes: Mistake[] = []
  const wrong = (name: string, message: string) => mistakes.push({ path: [name], message })
  if (role === undefined) wrong(names.role, 'is not set')
  if (anywhere && audience !== undefined)
    wrong(names.audience, `is for web identity, ${names.anchor} and ${names.profile} are for Roles Anywhere: set the one or the other`)
  else if (anywhere && anchor === undefined) wrong(names.anchor, `is not set, and Roles Anywhere needs it beside ${names.profile}`)
  else if (anywhere && profile === undefined) wrong(names.profile, `is not set, and Roles Anywhere needs it beside ${names.anchor}`)
  else if (!anywhere && audience === undefined) wrong(names.audience, `is not set, nor are ${names.anchor} and ${names.profile}: one way to the role is needed`)
  return mistakes
}

/**
 * One profile and one consumer named default, the container endpoint and the probes on their default ports; no
 * IMDS, because that authenticates nobody. For an environment without mistakes.
 */
export function envConfig(env: NodeJS.ProcessEnv): RawConfig {
  const { role: role_arn = '', anchor = '', profile = '', audience } = read(env)
  return {
    profiles: {
      default:
        audience === undefined ? { roles_anywhere: { trust_anchor_arn: anchor, profile_arn: profile, role_arn } } : { web_identity: { role_arn, audience } },
    },
    consumers: { default: { profiles: ['default'] } },
    container_endpoint: {},
    metrics_endpoint: {},
  }
}

/** Names of variables for the paths of what envConfig() made, so that a mistake names what the user set. */
export const envNameOf = (path: readonly (string | number)[]): string | undefined => {
  const last = path.at(-1)
  const byKey: Readonly<Record<string, string>> = {
    trust_anchor_arn: names.anchor,
    profile_arn: names.profile,
    role_arn: names.role,
    audience: names.audience,
    region: 'AWS_REGION',
    workload_api: 'SPIFFE_ENDPOINT_SOCKET',
  }
  return typeof last === 'string' ? byKey[last] : undefined
}
