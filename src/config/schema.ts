// The configuration file's keys. Their descriptions are the reference documentation and the JSON Schema.
import * as z from 'zod/mini'

const optional = z.optional
const text = (description: string) => z.string().check(z.minLength(1, 'is empty'), z.describe(description))
const list = (description: string) => z.array(z.string().check(z.minLength(1, 'is empty'))).check(z.describe(description))
const group = <T extends z.core.$ZodLooseShape>(description: string, shape: T) => z.strictObject(shape).check(z.describe(description))

// These may always be left out.
const flag = (description: string) => optional(z.boolean().check(z.describe(description)))
const oneOf = <const T extends readonly [string, ...string[]]>(values: T, description: string) => optional(z.enum(values).check(z.describe(description)))
const address = (description: string) => optional(z.string().check(z.describe(description)))
const matching = (pattern: RegExp, message: string) => (description: string) => optional(z.string().check(z.regex(pattern, message), z.describe(description)))
const duration = matching(/^\d+(ms|s|m|h)$/, 'expected a duration such as 30s, 5m or 1h')
const octal = matching(/^0[4-7][04][04]$/, 'expected an octal mode in quotes such as "0440", by which nobody but the owner can write')
const section = <T extends z.core.$ZodLooseShape>(description: string, shape: T) => optional(group(description, shape))
const many = <T extends z.core.SomeType>(description: string, item: T) => optional(z.array(item).check(z.describe(description)))
const named = <T extends z.core.SomeType>(description: string, item: T) => optional(z.record(z.string(), item).check(z.describe(description)))

const uids = (description: string) => optional(z.array(z.int().check(z.minimum(0, 'is no user'))).check(z.minLength(1, 'is empty'), z.describe(description)))

const identityName = optional(text('Name of the identity. Default: default.'))
const hostNames = optional(list('Further names that the Host header may carry.'))

const identity = group('One identity of the SPIFFE Workload API.', {
  workload_api: optional(text('Address of the Workload API: unix:///path or tcp://IP:port. Default: $SPIFFE_ENDPOINT_SOCKET.')),
  spiffe_id: optional(text('The SPIFFE ID to use of those that the agent offers. Without it and without hint: the first one, chosen once.')),
  hint: optional(text('The hint of the registration entry to use.')),
  choose: oneOf(['once', 'first'], 'Without spiffe_id and hint: stay with the first one, or follow whichever comes first. Default once.'),
})

const sessionDuration = duration('Life of the session that is asked for, 15m to 12h. Default 1h.')

const profile = group('One role and the way to its credentials: exactly one of roles_anywhere and web_identity.', {
  identity: identityName,
  roles_anywhere: section('By IAM Roles Anywhere, with the X.509-SVID.', {
    trust_anchor_arn: text('ARN of the trust anchor.'),
    profile_arn: text('ARN of the Roles Anywhere profile, in the region of the trust anchor.'),
    role_arn: text('ARN of the role.'),
    session_duration: sessionDuration,
  }),
  web_identity: section('By STS AssumeRoleWithWebIdentity, with a JWT-SVID.', {
    role_arn: text('ARN of the role.'),
    audience: text("Audience of the token: one of the IAM OIDC provider's client IDs, such as sts.amazonaws.com."),
    session_duration: sessionDuration,
  }),
  required: flag('Whether readiness waits for this profile. Default true.'),
  region: optional(text("AWS region. Default: the trust anchor's, else $AWS_REGION.")),
  endpoint: optional(text('Base URL of the service to call instead of the public one, such as a VPC endpoint.')),
  session_name: optional(
    text('Role session name. Default for web_identity: made from the SPIFFE ID; for roles_anywhere: none, since the profile must allow it.'),
  ),
  ca_file: optional(text('PEM file of CAs to trust for the endpoint besides the public ones.')),
  allow_plaintext: flag('Allow plain http to an endpoint that is not on loopback. Default false.'),
})

const consumer = group('Who may read what: a token file <runtime_dir>/NAME.token for the container endpoint and a socket <runtime_dir>/NAME.sock.', {
  profiles: list('Profiles that this consumer may read.'),
  audiences: optional(list('Audiences for which this consumer may have JWT-SVIDs of the default identity on its socket.')),
  owner: optional(text('User, by name or number, that owns token and socket; needs CAP_CHOWN.')),
  group: optional(text('Group, by name or number, that may read the token and use the socket.')),
  mode: octal('Mode of the token file; the socket gets the same classes. Default "0440".'),
  uids: uids('Numbers of the users that may use the token, as the kernel knows the caller of the container endpoint. Default: whoever has it.'),
})

const owners = {
  owner: optional(text('User, by name or number, that owns the files; needs CAP_CHOWN.')),
  group: optional(text('Group, by name or number, of the files.')),
  remove_at_stop: flag('Remove the files when svidecar stops. Default false.'),
}

const file = group('One output on disk: exactly one of x509, jwt, jwt_bundle and credentials.', {
  x509: section('An X.509-SVID with its key and bundle, in PEM. All files of a directory change at once: their names are links into its newest generation.', {
    identity: identityName,
    directory: text('Directory of the files; made if it is missing.'),
    certificate: optional(text('File name of the certificate, with its chain.')),
    key: optional(text('File name of the private key, PKCS#8.')),
    bundle: optional(text('File name of the trust bundle.')),
    combined: optional(text('File name of private key, certificate and chain in one.')),
    mode: octal('Mode of certificate and bundle. Default "0644".'),
    key_mode: octal('Mode of key and combined. Default "0600".'),
    intermediates: oneOf(['certificate', 'bundle'], 'Where intermediates go: behind the certificate or into the bundle. Default certificate.'),
    federated: oneOf(
      ['none', 'merged', 'files'],
      'Bundles of other trust domains: none, merged into the bundle (any of them can then name anybody), or one file each: bundle.<trust domain>.pem. Default none.',
    ),
    omit_expired: flag('Leave out certificates that have expired. Default false.'),
    ...owners,
  }),
  jwt: section('A JWT-SVID, without a newline; removed when it expires.', {
    identity: identityName,
    audience: list('Audiences of the token.'),
    path: text('Path of the file.'),
    mode: octal('Default "0600".'),
    ...owners,
  }),
  jwt_bundle: section('The public keys that verify JWT-SVIDs.', {
    identity: identityName,
    path: text('Path of the file.'),
    format: oneOf(['jwks', 'spiffe-helper'], 'A plain JWKS of one trust domain, or all of them in base64 in JSON, as spiffe-helper does. Default jwks.'),
    trust_domain: optional(text('For jwks: whose keys, where the agent gives those of several trust domains.')),
    mode: octal('Default "0644".'),
    ...owners,
  }),
  credentials: section("A profile's credentials as a section of AWS's shared credentials file, for short-lived tools: most SDKs read it once in a process.", {
    profile: text('The profile.'),
    path: text('Path of the file, such as ~/.aws/credentials. Sections of others keep every byte.'),
    section: optional(
      matching(
        /^[!"$-:<-Z\\^-~]([ -Z\\^-~]*[!-Z\\^-~])?$/,
        'expected the name of a section in ASCII, without brackets',
      )('Name of the section. Default: the profile.'),
    ),
    mode: octal('Mode of the file at the most. Default "0600".'),
    ...owners,
  }),
})

const command = (description: string) => z.array(z.string()).check(z.minLength(1, 'is empty'), z.describe(description))

const hook = group('Who is told of news: exactly one of run, signal and child.', {
  on: optional(
    z
      .array(z.enum(['x509', 'jwt', 'jwt_bundle', 'credentials']))
      .check(z.minLength(1, 'is empty'), z.describe('What it is told of: files of a kind that are in place, or credentials of any profile that can be had.')),
  ),
  run: optional(command('Command and arguments, run each time without a shell; its output goes into the log.')),
  timeout: duration('How long run may take. Default 30s.'),
  signal: section('A signal to the process whose number is in a file, which is read each time.', {
    pid_file: text('Path of the file.'),
    name: text('Such as SIGHUP.'),
  }),
  child: section('A process that svidecar starts with the first news, starts again when it ends, and ends when it stops itself.', {
    command: command('Command and arguments, without a shell.'),
    signal: optional(text('Signal for further news, such as SIGHUP. Default: none.')),
  }),
})

const listen = 'IP address and port to listen on.'

const imds = group(
  'One EC2 instance metadata service (AWS_EC2_METADATA_SERVICE_ENDPOINT) for one profile. It authenticates nobody: any local process can read the profile.',
  {
    listen: address(`${listen} Loopback only. Default 127.0.0.1:9911.`),
    profile: text('The profile that it gives.'),
    host_names: hostNames,
    uids: uids('Numbers of the users that may ask, as the kernel knows the caller. Default: every local process.'),
    availability_zone: optional(text('What the availability-zone route answers. Left out: 404.')),
  },
)

export const configSchema = group('svidecar', {
  identities: named('Identities by name. Left out: one named default, from $SPIFFE_ENDPOINT_SOCKET.', identity),
  profiles: named('AWS profiles by name.', profile),
  consumers: named('Consumers by name.', consumer),
  container_endpoint: section('The ECS/EKS container credentials endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI).', {
    listen: address(`${listen} Loopback only. Default 127.0.0.1:9912.`),
    host_names: hostNames,
  }),
  imds_endpoints: many('IMDSv2 endpoints; one profile each, because a role is found by its listener.', imds),
  metrics_endpoint: section('Probes and metrics: /livez, /startupz, /readyz, /metrics. No secrets.', {
    listen: address(`${listen} Default 127.0.0.1:9913; 0.0.0.0:9913 for kubelet and Prometheus.`),
    host_names: hostNames,
  }),
  status_endpoint: section('The status in detail, as JSON at /status.', { listen: address(`${listen} Default 127.0.0.1:9914.`) }),
  runtime_dir: optional(
    text('Directory for sockets and tokens. Default: $SVIDECAR_RUNTIME_DIR, $RUNTIME_DIRECTORY, as non-root $XDG_RUNTIME_DIR/svidecar, else /run/svidecar.'),
  ),
  on_identity_withdrawn: oneOf(
    ['keep', 'drop'],
    'When the agent takes the identity away: keep serving the credentials to their expiration, or drop them. Default keep.',
  ),
  reload: oneOf(
    ['signal', 'watch'],
    'When the configuration file is loaded again, besides by `svidecar reload`: at SIGHUP, or also when the file has changed, as a ConfigMap does without a signal. Default signal.',
  ),
  shutdown_grace: duration('How long to go on serving after SIGTERM, beside an application that drains. Default 0s.'),
  stop_timeout: duration('How long children may take to end when svidecar stops, before they are killed. Default 5s.'),
  files: many('What is written to disk. Nothing is, unless it is asked for here.', file),
  hooks: many('Who is told when files or credentials are new.', hook),
  log: section('The log, on stderr.', {
    level: oneOf(['debug', 'info', 'warn', 'error'], 'Default info.'),
    format: oneOf(['json', 'text'], 'Default: text on a terminal, else json.'),
  }),
})

export type RawConfig = z.infer<typeof configSchema>
export type RawProfile = NonNullable<RawConfig['profiles']>[string]
export type RawFile = NonNullable<RawConfig['files']>[number]
export type RawHook = NonNullable<RawConfig['hooks']>[number]

/** The configuration file's JSON Schema. */
export const jsonSchema = (): unknown => z.toJSONSchema(configSchema)
