// The smallest useful configuration: no file at all, a handful of environment variables.
import { type Mistake, mistakesFailure } from './mistakes.ts'

/** Variables by the keys of the configuration that they stand for. */
const variables = {
  role_arn: 'SVIDECAR_ROLE_ARN',
  trust_anchor_arn: 'SVIDECAR_TRUST_ANCHOR_ARN',
  profile_arn: 'SVIDECAR_PROFILE_ARN',
  audience: 'SVIDECAR_AUDIENCE',
}
const names: Readonly<Record<string, string>> = { ...variables, region: 'AWS_REGION', workload_api: 'SPIFFE_ENDPOINT_SOCKET' }

/** A mistake of the environment is about a variable, so the variable stands in front of it. */
function locate(mistake: Mistake): Mistake {
  const name = names[mistake.path.at(-1) ?? '']
  return name === undefined ? mistake : { ...mistake, path: [name] }
}

/** What is missing, or too much, among the variables. */
function mistakesIn({ role_arn: role, trust_anchor_arn: anchor, profile_arn: profile, audience }: Readonly<Record<string, string>>): Mistake[] {
  const anywhere = anchor !== undefined || profile !== undefined
  const mistakes: Mistake[] = []
  const wrong = (key: keyof typeof variables, message: string) => mistakes.push({ path: [key], message })
  const { trust_anchor_arn: anchorName, profile_arn: profileName } = variables
  if (role === undefined) wrong('role_arn', 'is not set')
  if (anywhere && audience !== undefined)
    wrong('audience', `is for web identity, ${anchorName} and ${profileName} are for Roles Anywhere: set the one or the other`)
  else if (anywhere && anchor === undefined) wrong('trust_anchor_arn', `is not set, and Roles Anywhere needs it beside ${profileName}`)
  else if (anywhere && profile === undefined) wrong('profile_arn', `is not set, and Roles Anywhere needs it beside ${anchorName}`)
  else if (!anywhere && audience === undefined) wrong('audience', `is not set, nor are ${anchorName} and ${profileName}: one way to the role is needed`)
  return mistakes
}

/**
 * One profile and one consumer named default, the container endpoint and the probes on their default ports; no IMDS, because that
 * authenticates nobody. undefined when the environment does not begin to describe a profile; throws config_invalid when it does not end.
 */
export function readEnv(env: NodeJS.ProcessEnv, origin: string) {
  // An empty variable is as good as none.
  const given = Object.fromEntries(Object.entries(variables).flatMap(([key, name]) => (env[name] ? [[key, env[name]]] : [])))
  if (Object.keys(given).length === 0) return undefined
  const mistakes = mistakesIn(given)
  if (mistakes.length > 0) throw mistakesFailure(origin, mistakes.map(locate))
  return {
    value: {
      profiles: { default: given['audience'] === undefined ? { roles_anywhere: given } : { web_identity: given } },
      consumers: { default: { profiles: ['default'] } },
      container_endpoint: {},
      metrics_endpoint: {},
    },
    mistakes,
    locate,
  }
}
