// IAM Roles Anywhere: an X.509-SVID becomes AWS credentials by CreateSession, signed with the SVID's own key.
// AWS's SDK has no CreateSession (client-rolesanywhere is the control plane), so request and signature are ours.
import type { Arn } from '../aws/arn.ts'
import { acceptCredentials, type Issued } from '../aws/credentials.ts'
import { refusalFailure, type Skew } from '../aws/faults.ts'
import { failure } from '../core/errors.ts'
import type { Reply } from '../core/https.ts'
import { whenReady, type X509Source } from '../identity/sources.ts'
import { type X509Svid, x509Facts } from '../spiffe/x509-svid.ts'
import { createServerClock, type Exchange, type ExchangeContext, type ExchangeOptions } from './exchange.ts'
import { lintX509 } from './lint.ts'
import { signX509 } from './sigv4-x509.ts'

/** A session name only if configured: a profile refuses it unless it says acceptRoleSessionName. */
export interface RolesAnywhereOptions extends ExchangeOptions {
  readonly trustAnchor: Arn
  readonly profile: Arn
}

/** Makes the exchange. Its Failures: svid_unsuitable, x509_svid_expired, what callHttps throws, and AWS's refusals. */
export function rolesAnywhere(source: X509Source, context: ExchangeContext, options: RolesAnywhereOptions): Exchange {
  const { durationSeconds, sessionName: roleSessionName, region, role, ca } = options
  const method = 'rolesanywhere'
  const server = createServerClock(context, method)
  const url = sessionsUrl(options)
  const body = JSON.stringify({ durationSeconds, roleSessionName })
  let first = true

  return async (signal) => {
    await whenReady(source, signal)
    await context.permit(signal)
    // Asked again: while the permit was awaited the SVID may have been rotated. One snapshot: leaf, chain and key.
    const { svid } = await whenReady(source, signal)
    const facts = refusalFacts(svid, options)
    const surprise = lintX509(svid)
    if (first && surprise !== undefined) context.emit({ type: 'exchange.warning', profile: context.profile, method, ...surprise })
    first = false
    if (server.isOver(svid.notAfter))
      throw failure('x509_svid_expired', `the X.509-SVID ${svid.spiffeId} expired at ${facts.certificate_not_after} and the agent has sent no other`, { facts })
    const corrected = server.skewSeconds() !== undefined
    const headers = signX509(svid, { url, body, region, time: server.now() })
    const reply = await context.call({ url, method: 'POST', headers, body, ca }, signal)
    server.learn(reply)
    const document = json(reply.body)
    if (reply.status < 200 || reply.status > 299) throw refusal(reply, document, { seconds: server.skewSeconds(), corrected }, facts)
    const set = document['credentialSet']
    const session = (Array.isArray(set) ? set[0] : undefined) as { credentials?: Issued } | undefined
    return acceptCredentials(session?.credentials ?? {}, role.text, reply)
  }
}

function sessionsUrl({ endpoint, trustAnchor, profile, role }: RolesAnywhereOptions): URL {
  const url = new URL(endpoint)
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/sessions`
  url.search = new URLSearchParams({ profileArn: profile.text, roleArn: role.text, trustAnchorArn: trustAnchor.text }).toString()
  return url
}

const refusalFacts = (svid: X509Svid, { trustAnchor, profile, role }: RolesAnywhereOptions) => {
  const { spiffeId, serial, fingerprint, notAfter } = x509Facts(svid)
  return {
    spiffe_id: spiffeId,
    trust_anchor_arn: trustAnchor.text,
    profile_arn: profile.text,
    role_arn: role.text,
    certificate_serial: serial,
    certificate_sha256: fingerprint,
    certificate_issuer: svid.leaf.issuer.replaceAll('\n', ', '),
    certificate_not_after: new Date(notAfter).toISOString(),
    intermediates: svid.intermediates.length,
  }
}

const json = (body: Buffer): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function refusal(reply: Reply, document: Record<string, unknown>, skew: Skew, facts: ReturnType<typeof refusalFacts>) {
  const text = (...candidates: unknown[]) => candidates.find((one): one is string => typeof one === 'string') ?? ''
  const named = text(reply.headers['x-amzn-errortype'], document['code'], document['__type'], 'without a code')
  const code = (named.split(':')[0] ?? named).replace(/^.*#/, '')
  return refusalFailure('Roles Anywhere', reply, { code, message: text(document['message'], document['Message']) }, skew, facts)
}
