// The configuration file's keys. Their descriptions are the reference documentation and the JSON Schema.
import * as z from 'zod/mini'

const text = (description: string) => z.string().check(z.minLength(1, 'is empty'), z.describe(description))
const flag = (description: string) => z.boolean().check(z.describe(description))
const oneOf = <const T extends readonly [string, ...string[]]>(values: T, description: string) => z.enum(values).check(z.describe(description))
const list = (description: string) => z.array(z.string().check(z.minLength(1, 'is empty'))).check(z.describe(description))
const group = <T extends z.core.$ZodLooseShape>(description: string, shape: T) => z.strictObject(shape).check(z.describe(description))
const named = <T extends z.core.SomeType>(description: string, value: T) => z.record(z.string(), value).check(z.describe(description))
const optional = z.optional

const duration = (description: string) => z.string().check(z.regex(/^\d+(ms|s|m|h)$/, 'expected a duration such as 30s, 5m or 1h'), z.describe(description))
const octal = (description: string) =>
  z
    .string()
    .check(z.regex(/^0[4-7][04][04]$/, 'expected an octal mode in quotes such as "0440", by which nobody but the owner can write'), z.describe(description))
const address = (description: string) => z.string().check(z.describe(description))

const identity = group('One identity of the SPIFFE Workload API.', {
  workload_api: optional(text('Address of the Workload API: unix:///path or tcp://IP:port. Default: $SPIFFE_ENDPOINT_SOCKET.')),
  spiffe_id: optional(text('The SPIFFE ID to use of those that the agent offers. Without it and without hint: the first one, chosen once.')),
  hint: optional(text('The hint of the registration entry to use.')),
})

const duration12h = 'Life of the session that is asked for, 15m to 12h. Default 1h.'

const profile = group('One role and the way to its credentials: exactly one of roles_anywhere and web_identity.', {
  identity: optional(text('Name of the identity. Default: default.')),
  roles_anywhere: optional(
    group('By IAM Roles Anywhere, with the X.509-SVID.', {
      trust_anchor_arn: text('ARN of the trust anchor.'),
      profile_arn: text('ARN of the Roles Anywhere profile, in the region of the trust anchor.'),
      role_arn: text('ARN of the role.'),
      session_duration: optional(duration(duration12h)),
    }),
  ),
  web_identity: optional(
    group('By STS AssumeRoleWithWebIdentity, with a JWT-SVID.', {
      role_arn: text('ARN of the role.'),
      audience: text("Audience of the token: one of the IAM OIDC provider's client IDs, such as sts.amazonaws.com."),
      session_duration: optional(duration(duration12h)),
    }),
  ),
  required: optional(flag('Whether readiness waits for this profile. Default true.')),
  region: optional(text("AWS region. Default: the trust anchor's, else $AWS_REGION.")),
  endpoint: optional(text('Base URL of the service to call instead of the public one, such as a VPC endpoint.')),
  session_name: optional(
    text('Role session name. Default for web_identity: made from the SPIFFE ID; for roles_anywhere: none, since the profile must allow it.'),
  ),
  ca_file: optional(text('PEM file of CAs to trust for the endpoint besides the public ones.')),
  allow_plaintext: optional(flag('Allow plain http to an endpoint that is not on loopback. Default false.')),
})

const consumer = group('Who may read what: a token file <runtime_dir>/NAME.token for the container endpoint and a socket <runtime_dir>/NAME.sock.', {
  profiles: list('Profiles that this consumer may read.'),
  audiences: optional(list('Audiences for which this consumer may have JWT-SVIDs of the default identity on its socket.')),
  owner: optional(text('User, by name or number, that owns token and socket; needs CAP_CHOWN.')),
  group: optional(text('Group, by name or number, that may read the token and use the socket.')),
  mode: optional(octal('Mode of the token file; the socket gets the same classes. Default "0440".')),
})

const listen = 'IP address and port to listen on.'

export const configSchema = group('svidecar', {
  identities: optional(named('Identities by name. Left out: one named default, from $SPIFFE_ENDPOINT_SOCKET.', identity)),
  profiles: named('AWS profiles by name.', profile),
  consumers: optional(named('Consumers by name.', consumer)),
  container_endpoint: optional(
    group('The ECS/EKS container credentials endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI).', {
      listen: optional(address(`${listen} Loopback only. Default 127.0.0.1:9912.`)),
      host_names: optional(list('Further names that the Host header may carry.')),
    }),
  ),
  imds_endpoints: optional(
    z
      .array(
        group(
          'One EC2 instance metadata service (AWS_EC2_METADATA_SERVICE_ENDPOINT) for one profile. It authenticates nobody: any local process can read the profile.',
          {
            listen: optional(address(`${listen} Loopback only. Default 127.0.0.1:9911.`)),
            profile: text('The profile that it gives.'),
            host_names: optional(list('Further names that the Host header may carry.')),
            availability_zone: optional(text('What the availability-zone route answers. Left out: 404.')),
          },
        ),
      )
      .check(z.describe('IMDSv2 endpoints; one profile each, because a role is found by its listener.')),
  ),
  metrics_endpoint: optional(
    group('Probes and metrics: /livez, /startupz, /readyz, /metrics. No secrets.', {
      listen: optional(address(`${listen} Default 127.0.0.1:9913; 0.0.0.0:9913 for kubelet and Prometheus.`)),
      host_names: optional(list('Further names that the Host header may carry.')),
    }),
  ),
  status_endpoint: optional(group('The status in detail, as JSON at /status.', { listen: optional(address(`${listen} Default 127.0.0.1:9914.`)) })),
  runtime_dir: optional(
    text('Directory for sockets and tokens. Default: $SVIDECAR_RUNTIME_DIR, $RUNTIME_DIRECTORY, as non-root $XDG_RUNTIME_DIR/svidecar, else /run/svidecar.'),
  ),
  on_identity_withdrawn: optional(
    oneOf(['keep', 'drop'], 'When the agent takes the identity away: keep serving the credentials to their expiration, or drop them. Default keep.'),
  ),
  shutdown_grace: optional(duration('How long to go on serving after SIGTERM, beside an application that drains. Default 0s.')),
  log: optional(
    group('The log, on stderr.', {
      level: optional(oneOf(['debug', 'info', 'warn', 'error'], 'Default info.')),
      format: optional(oneOf(['json', 'text'], 'Default: text on a terminal, else json.')),
    }),
  ),
})

export type RawConfig = z.infer<typeof configSchema>
export type RawProfile = RawConfig['profiles'][string]

/** The configuration file's JSON Schema. */
export const jsonSchema = (): unknown => z.toJSONSchema(configSchema)
