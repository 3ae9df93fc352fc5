// The table of failures: docs/errors.md is generated from it. `meaning` is for that page; the message at run
// time names the very thing.
import type { Retry } from './errors.ts'

/** An entry of the table, by how it is tried again. */
const tried = (retry: Retry) => (meaning: string, remedy: string) => ({ meaning, remedy, retry })
const now = tried('now')
const soon = tried('soon')
const slow = tried('slow')
const never = tried('never')

export const failures = {
  // Usage and configuration
  usage: never('A command was called with options that it does not have.', 'See --help.'),
  config_invalid: never(
    'The configuration has mistakes; each is listed with its place.',
    'Correct them: `svidecar check` lists them without starting anything.',
  ),
  spiffe_id_invalid: never('A text is not a SPIFFE ID.', 'A SPIFFE ID looks like spiffe://example.org/web.'),
  socket_address_invalid: never(
    'A Workload API address is neither unix:///path nor tcp://IP:port.',
    'Write unix:// and an absolute path, such as unix:///run/spire/sockets/agent.sock.',
  ),
  // The Workload API
  workload_api_unreachable: soon(
    "The agent's socket is missing, refuses connections or may not be opened.",
    'Is the agent running, and is its socket directory mounted here?',
  ),
  workload_api_silent: soon(
    'The agent took the call and has not answered.',
    'Look at the agent: it may be stopped, unable to reach its server, or its registration entry is not signed yet.',
  ),
  workload_api_unavailable: soon(
    'The agent answered that it cannot serve just now, or the connection broke.',
    "The agent's log says why: a failed attestation (an agent without hostPID cannot see this process), a rate limit, its server.",
  ),
  workload_api_rejected: slow('The agent called the request invalid.', 'Is this address a SPIFFE Workload API, without a proxy in between?'),
  workload_api_unimplemented: slow(
    'The agent does not offer this method.',
    'Is the Workload API disabled in the agent, or another service listening at this address?',
  ),
  workload_api_too_large: soon(
    'A message of the agent is larger than svidecar takes, or holds more than it takes.',
    'Fewer registration entries should match this workload, or fewer trust domains be federated with it.',
  ),
  identity_not_issued: soon('The agent has no identity for this process.', 'Register this process.'),
  identity_missing: soon('The agent offers identities, but not the configured one.', 'Correct spiffe_id or hint, or the registration entry.'),
  x509_svid_invalid: soon(
    'The agent sent an X.509-SVID that breaks the rules of the standard.',
    "The last good one stays in use. Look at the agent's version and its CA.",
  ),
  x509_svid_expired: soon(
    'The X.509-SVID in hand has expired and the agent has not sent another.',
    'Look at the agent and its server; and at the clock of this machine.',
  ),
  x509_rotation_late: soon('The agent has not renewed the X.509-SVID although it is due.', 'Look at the agent: it may have lost its server.'),
  x509_bundle_invalid: soon('The agent sent a trust bundle that is not a list of certificates.', 'The last good one stays in use.'),
  jwt_svid_invalid: soon('The agent sent a JWT-SVID that breaks the rules of the standard.', "Look at the agent's version and its JWT key."),
  jwt_svid_expired: soon(
    'The JWT-SVID in hand has expired and the agent gives no newer one.',
    'Look at the agent and its server; and at the clock of this machine.',
  ),
  jwt_bundle_invalid: soon('The agent sent a JWT bundle that is not a JWKS.', 'The last good one stays in use.'),
  svid_unsuitable: slow('AWS would refuse this SVID; nothing was sent.', 'Change the registration entry or the SPIRE server as the message says.'),
  // Calls to AWS
  network: soon('The service could not be reached.', 'Check DNS, routes, the proxy and any VPC endpoint.'),
  tls: soon('The TLS handshake failed.', 'If a proxy or a private endpoint presents its own certificate, name its CA with ca_file.'),
  timeout: soon('The service did not answer in time.', 'Check the network on the way to the service, and its state.'),
  throttled: soon(
    'AWS asks for fewer calls.',
    'Roles Anywhere allows 10 CreateSession calls a second for an account and region: ask for longer sessions or a larger quota.',
  ),
  aws_unavailable: soon('The service failed on its side.', 'Nothing to do here but wait; the last good credentials are served meanwhile.'),
  reply_invalid: soon('The service answered with something that is not credentials.', 'Is the configured endpoint really this service?'),
  clock_skew: now(
    "The clock of this machine differs from AWS's, which refuses old and future signatures.",
    "Repair the clock (NTP). svidecar signs with AWS's time from the second attempt on.",
  ),
  access_denied: slow(
    'AWS refused the role to this identity.',
    "Compare the role's trust policy with the SPIFFE ID, and the ARNs in the log line with your account.",
  ),
  trust_anchor: slow(
    'The trust anchor does not trust the certificate that issued this SVID.',
    "Put SPIRE's upstream root into the trust anchor; if SPIRE has an upstream authority, the SVID must come with its intermediates.",
  ),
  profile_disabled: slow('The trust anchor or the Roles Anywhere profile is disabled.', 'Enable it in IAM Roles Anywhere.'),
  not_found: slow('AWS knows no such trust anchor, profile or role in this region.', 'Check the ARNs and their region.'),
  validation: slow('AWS called the request invalid.', 'Check the ARNs, the session duration and the certificate chain.'),
  session_name: slow('The Roles Anywhere profile does not accept a session name.', 'Remove session_name, or set acceptRoleSessionName on the profile.'),
  expired_token: now(
    'AWS called the token expired.',
    'A new one is fetched at once. If it goes on, compare the clocks of this machine, the SPIRE server and AWS.',
  ),
  idp_communication: soon('AWS could not reach the issuer of the token.', "The issuer's discovery document and keys must be reachable from the Internet."),
  invalid_identity_token: soon(
    'AWS could not accept the token: its issuer, audience or signature.',
    "Compare iss and aud in the log line with the IAM OIDC provider, and the issuer's published keys with SPIRE's.",
  ),
  idp_rejected_claim: slow(
    'AWS rejected a claim of the token.',
    "Compare the token's claims in the log line with the IAM OIDC provider and the role's trust policy.",
  ),
  region_disabled: slow('STS is not active in this region for the account.', 'Activate STS in the region, or choose another region.'),
  // This machine
  listen_failed: never('A listener could not be opened.', 'Free the port or choose another one.'),
  runtime_dir: never('The runtime directory cannot be used.', 'Give svidecar a directory that it owns and nobody else can write, with runtime_dir.'),
  file_write: soon('A file could not be written. What was there before is still there.', 'Look at the directory: its rights, its space, its mount.'),
  hook_failed: soon(
    'A hook did not do its work: its command, its signal or its child.',
    'The files are in place; whoever reads them may still use the old ones.',
  ),
  daemon_unreachable: never('No svidecar daemon answers here.', 'Is it running, and is --runtime-dir (or runtime_dir) the same as its own?'),
  not_ready: soon('There are no credentials yet.', '`svidecar status` says what is missing.'),
  internal: soon('A defect of svidecar.', 'Please report it with the log lines around it.'),
}

/** Refusals of an overloaded service: while good credentials live, the retries of these step back so that whoever is nearest to expiry gets through. */
export const yields = (code: keyof typeof failures): boolean => code === 'throttled' || code === 'aws_unavailable'
