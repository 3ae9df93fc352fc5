// The table of failures: docs/errors.md is generated from it. `meaning` is for that page; the message at run
// time names the very thing. `yields` marks refusals of an overloaded service: while good credentials live,
// the retries of those step back so that whoever is nearest to expiry gets through.
import type { Retry } from './errors.ts'

interface Entry {
  readonly meaning: string
  readonly remedy: string
  readonly retry: Retry
  readonly yields?: true
}

const entry = (retry: Retry, meaning: string, remedy: string, yields?: true): Entry =>
  yields ? { meaning, remedy, retry, yields } : { meaning, remedy, retry }

export const failures = {
  // Usage and configuration
  usage: entry('never', 'A command was called with options that it does not have.', 'See --help.'),
  config_invalid: entry(
    'never',
    'The configuration has mistakes; each is listed with its place.',
    'Correct them: `svidecar check` lists them without starting anything.',
  ),
  spiffe_id_invalid: entry('never', 'A text is not a SPIFFE ID.', 'A SPIFFE ID looks like spiffe://example.org/web.'),
  socket_address_invalid: entry(
    'never',
    'A Workload API address is neither unix:///path nor tcp://IP:port.',
    'Write unix:// and an absolute path, such as unix:///run/spire/sockets/agent.sock.',
  ),
  // The Workload API
  workload_api_unreachable: entry(
    'soon',
    "The agent's socket is missing, refuses connections or may not be opened.",
    'Is the agent running, and is its socket directory mounted here?',
  ),
  workload_api_silent: entry(
    'soon',
    'The agent took the call and has not answered.',
    'Look at the agent: it may be stopped, unable to reach its server, or its registration entry is not signed yet.',
  ),
  workload_api_unavailable: entry(
    'soon',
    'The agent answered that it cannot serve just now, or the connection broke.',
    "The agent's log says why: a failed attestation (an agent without hostPID cannot see this process), a rate limit, its server.",
  ),
  workload_api_rejected: entry('slow', 'The agent called the request invalid.', 'Is this address a SPIFFE Workload API, without a proxy in between?'),
  workload_api_unimplemented: entry(
    'slow',
    'The agent does not offer this method.',
    'Is the Workload API disabled in the agent, or another service listening at this address?',
  ),
  workload_api_too_large: entry(
    'soon',
    'A message of the agent is larger than svidecar takes, or holds more than it takes.',
    'Fewer registration entries should match this workload, or fewer trust domains be federated with it.',
  ),
  identity_not_issued: entry('soon', 'The agent has no identity for this process.', 'Register this process.'),
  identity_missing: entry('soon', 'The agent offers identities, but not the configured one.', 'Correct spiffe_id or hint, or the registration entry.'),
  x509_svid_invalid: entry(
    'soon',
    'The agent sent an X.509-SVID that breaks the rules of the standard.',
    "The last good one stays in use. Look at the agent's version and its CA.",
  ),
  x509_svid_expired: entry(
    'soon',
    'The X.509-SVID in hand has expired and the agent has not sent another.',
    'Look at the agent and its server; and at the clock of this machine.',
  ),
  x509_rotation_late: entry('soon', 'The agent has not renewed the X.509-SVID although it is due.', 'Look at the agent: it may have lost its server.'),
  x509_bundle_invalid: entry('soon', 'The agent sent a trust bundle that is not a list of certificates.', 'The last good one stays in use.'),
  jwt_svid_invalid: entry('soon', 'The agent sent a JWT-SVID that breaks the rules of the standard.', "Look at the agent's version and its JWT key."),
  jwt_svid_expired: entry(
    'soon',
    'The JWT-SVID in hand has expired and the agent gives no newer one.',
    'Look at the agent and its server; and at the clock of this machine.',
  ),
  jwt_bundle_invalid: entry('soon', 'The agent sent a JWT bundle that is not a JWKS.', 'The last good one stays in use.'),
  svid_unsuitable: entry('slow', 'AWS would refuse this SVID; nothing was sent.', 'Change the registration entry or the SPIRE server as the message says.'),
  // Calls to AWS
  network: entry('soon', 'The service could not be reached.', 'Check DNS, routes, the proxy and any VPC endpoint.'),
  tls: entry('soon', 'The TLS handshake failed.', 'If a proxy or a private endpoint presents its own certificate, name its CA with ca_file.'),
  timeout: entry('soon', 'The service did not answer in time.', 'Check the network on the way to the service, and its state.'),
  throttled: entry(
    'soon',
    'AWS asks for fewer calls.',
    'Roles Anywhere allows 10 CreateSession calls a second for an account and region: ask for longer sessions or a larger quota.',
    true,
  ),
  aws_unavailable: entry('soon', 'The service failed on its side.', 'Nothing to do here but wait; the last good credentials are served meanwhile.', true),
  reply_invalid: entry('soon', 'The service answered with something that is not credentials.', 'Is the configured endpoint really this service?'),
  clock_skew: entry(
    'now',
    "The clock of this machine differs from AWS's, which refuses old and future signatures.",
    "Repair the clock (NTP). svidecar signs with AWS's time from the second attempt on.",
  ),
  access_denied: entry(
    'slow',
    'AWS refused the role to this identity.',
    "Compare the role's trust policy with the SPIFFE ID, and the ARNs in the log line with your account.",
  ),
  trust_anchor: entry(
    'slow',
    'The trust anchor does not trust the certificate that issued this SVID.',
    "Put SPIRE's upstream root into the trust anchor; if SPIRE has an upstream authority, the SVID must come with its intermediates.",
  ),
  profile_disabled: entry('slow', 'The trust anchor or the Roles Anywhere profile is disabled.', 'Enable it in IAM Roles Anywhere.'),
  not_found: entry('slow', 'AWS knows no such trust anchor, profile or role in this region.', 'Check the ARNs and their region.'),
  validation: entry('slow', 'AWS called the request invalid.', 'Check the ARNs, the session duration and the certificate chain.'),
  session_name: entry(
    'slow',
    'The Roles Anywhere profile does not accept a session name.',
    'Remove session_name, or set acceptRoleSessionName on the profile.',
  ),
  expired_token: entry(
    'now',
    'AWS called the token expired.',
    'A new one is fetched at once. If it goes on, compare the clocks of this machine, the SPIRE server and AWS.',
  ),
  idp_communication: entry(
    'soon',
    'AWS could not reach the issuer of the token.',
    "The issuer's discovery document and keys must be reachable from the Internet.",
  ),
  invalid_identity_token: entry(
    'soon',
    'AWS could not accept the token: its issuer, audience or signature.',
    "Compare iss and aud in the log line with the IAM OIDC provider, and the issuer's published keys with SPIRE's.",
  ),
  idp_rejected_claim: entry(
    'slow',
    'AWS rejected a claim of the token.',
    "Compare the token's claims in the log line with the IAM OIDC provider and the role's trust policy.",
  ),
  region_disabled: entry('slow', 'STS is not active in this region for the account.', 'Activate STS in the region, or choose another region.'),
  // This machine
  listen_failed: entry('never', 'A listener could not be opened.', 'Free the port or choose another one.'),
  runtime_dir: entry('never', 'The runtime directory cannot be used.', 'Give svidecar a directory that it owns and nobody else can write, with runtime_dir.'),
  daemon_unreachable: entry('never', 'No svidecar daemon answers here.', 'Is it running, and is --runtime-dir (or runtime_dir) the same as its own?'),
  not_ready: entry('soon', 'There are no credentials yet.', '`svidecar status` says what is missing.'),
  internal: entry('soon', 'A defect of svidecar.', 'Please report it with the log lines around it.'),
} as const satisfies Record<string, Entry>

/** True for refusals whose retries step back while good credentials live. */
export const yields = (code: keyof typeof failures): boolean => 'yields' in failures[code]
