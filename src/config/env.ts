// The smallest useful configuration: no file at all, a handful of environment variables.
import type { RawConfig } from './schema.ts'

/** True when the environment alone describes a profile. */
export const hasEnvConfig = (env: NodeJS.ProcessEnv): boolean => env['SVIDECAR_ROLE_ARN'] !== undefined

/**
 * One profile and one consumer named default, the container endpoint and the probes on their default ports; no
 * IMDS, because that authenticates nobody. Both ways at once are left in, so that validation says so.
 */
export function envConfig(env: NodeJS.ProcessEnv): RawConfig {
  const role_arn = env['SVIDECAR_ROLE_ARN'] ?? ''
  const anchor = env['SVIDECAR_TRUST_ANCHOR_ARN']
  const profileArn = env['SVIDECAR_PROFILE_ARN']
  const audience = env['SVIDECAR_AUDIENCE']
  return {
    profiles: {
      default: {
        ...(anchor === undefined && profileArn === undefined
          ? {}
          : { roles_anywhere: { trust_anchor_arn: anchor ?? '', profile_arn: profileArn ?? '', role_arn } }),
        ...(audience === undefined ? {} : { web_identity: { role_arn, audience } }),
      },
    },
    consumers: { default: { profiles: ['default'] } },
    container_endpoint: {},
    metrics_endpoint: {},
  }
}

/** Names of variables for the paths of what envConfig() made, so that a mistake names what the user set. */
export const envNameOf = (path: readonly (string | number)[]): string | undefined => {
  const last = path.at(-1)
  const names: Readonly<Record<string, string>> = {
    trust_anchor_arn: 'SVIDECAR_TRUST_ANCHOR_ARN',
    profile_arn: 'SVIDECAR_PROFILE_ARN',
    role_arn: 'SVIDECAR_ROLE_ARN',
    audience: 'SVIDECAR_AUDIENCE',
    region: 'AWS_REGION',
    workload_api: 'SPIFFE_ENDPOINT_SOCKET',
  }
  return typeof last === 'string' ? names[last] : undefined
}
