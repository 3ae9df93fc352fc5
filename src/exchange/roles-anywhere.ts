// IAM Roles Anywhere: an X.509-SVID becomes AWS credentials by CreateSession, signed with the SVID's own key.
// AWS's SDK has no CreateSession (client-rolesanywhere is the control plane), so request and signature are ours.
import type { Arn } from '../aws/arn.ts'
import { acceptCredentials, type Credentials } from '../aws/credentials.ts'
import { refusalFailure, type Skew } from '../aws/faults.ts'
import { failure } from '../core/errors.ts'
import type { Reply } from '../core/https.ts'
import { whenReady, type X509Source } from '../identity/sources.ts'
import { type X509Svid, x509Facts } from '../spiffe/x509-svid.ts'
import { createServerClock, type Exchange, type ExchangeContext, type ServerClock } from './exchange.ts'
import { lintFailure, lintX509 } from './lint.ts'
import { signX509 } from './sigv4-x509.ts'

export interface RolesAnywhereOptions {
  readonly trustAnchor: Arn
  readonly profile: Arn
  readonly role: Arn
  readonly region: string
  /** Base URL; a path prefix is kept and signed. */
  readonly endpoint: URL
  readonly durationSeconds: number
  /** Only if configured: a profile refuses it unless it says acceptRoleSessionName. */
  readonly sessionName: string | undefined
  readonly ca: string | undefined
}

/** Makes the exchange. Its Failures: svid_unsuitable, x509_svid_expired, what callHttps throws, and AWS's refusals. */
export function rolesAnywhere(source: X509Source, context: ExchangeContext, options: RolesAnywhereOptions): Exchange {
  const server = createServerClock(context.clock)
  const url = sessionsUrl(options)
  const body = JSON.stringify({
    durationSeconds: options.durationSeconds,
    ...(options.sessionName === undefined ? {} : { roleSessionName: options.sessionName }),
  })
  let linted: X509Svid | undefined

  return async (signal) => {
    await whenReady(source, signal)
    await context.permit(signal)
    // Asked again: while the permit was awaited the SVID may have been rotated. One snapshot: leaf, chain and key.
    const { svid } = await whenReady(source, signal)
    const facts = refusalFacts(svid, options)
    const findings = lintX509(svid)
    const unsuitable = lintFailure(`the X.509-SVID ${svid.spiffeId}`, findings)
    if (unsuitable !== undefined) throw unsuitable
    if (linted === undefined)
      for (const { code, message } of findings)
        context.emit({
          type: 'exchange.warning',
          profile: context.profile,
          method: 'rolesanywhere',
          code,
          message: `the X.509-SVID ${svid.spiffeId}: ${message}`,
        })
    linted = svid
    // Before the first reply the clock here may be the one that is wrong: then AWS decides, and its Date tells.
    if (server.skewSeconds !== undefined && svid.notAfter <= server.now()) {
      throw failure(
        'x509_svid_expired',
        `the X.509-SVID ${svid.spiffeId} expired at ${new Date(svid.notAfter).toISOString()} and the agent has sent no other`,
        { facts },
      )
    }
    const corrected = server.skewSeconds !== undefined
    const headers = signX509(svid, { url, body, region: options.region, time: server.now() })
    const reply = await context.call({ url, method: 'POST', headers, body, ca: options.ca }, signal)
    learn(server, reply, context)
    if (reply.status < 200 || reply.status > 299) throw refusal(reply, { seconds: server.skewSeconds, corrected }, facts)
    return accept(reply, options, context)
  }
}

/** Folds a reply's Date into the server's clock and tells the difference. */
function learn(server: ServerClock, reply: Reply, context: ExchangeContext): void {
  server.learn(reply)
  if (server.skewSeconds !== undefined)
    context.emit({ type: 'exchange.clock_skew', profile: context.profile, method: 'rolesanywhere', seconds: server.skewSeconds })
}

function sessionsUrl({ endpoint, trustAnchor, profile, role }: RolesAnywhereOptions): URL {
  const url = new URL(endpoint)
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/sessions`
  url.search = new URLSearchParams({ profileArn: profile.text, roleArn: role.text, trustAnchorArn: trustAnchor.text }).toString()
  return url
}

const refusalFacts = (svid: X509Svid, { trustAnchor, profile, role }: RolesAnywhereOptions): Record<string, string | number> => {
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

function refusal(reply: Reply, skew: Skew, facts: Record<string, string | number>) {
  const document = json(reply.body)
  const text = (...candidates: unknown[]) => candidates.find((one): one is string => typeof one === 'string') ?? ''
  const code = text(reply.headers['x-amzn-errortype'], document['code'], document['__type'], 'without a code')
  const message = text(document['message'], document['Message']).slice(0, 1000)
  return refusalFailure(
    {
      service: 'Roles Anywhere',
      status: reply.status,
      code: (code.split(':')[0] ?? code).replace(/^.*#/, ''),
      message,
      retryAfter: reply.headers['retry-after'],
    },
    skew,
    facts,
  )
}

function accept(reply: Reply, options: RolesAnywhereOptions, { clock }: ExchangeContext): Credentials {
  const set = json(reply.body)['credentialSet']
  const first = (Array.isArray(set) ? set[0] : undefined) as { credentials?: Record<string, unknown>; assumedRoleUser?: Record<string, unknown> } | undefined
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = first?.credentials ?? {}
  return acceptCredentials(
    { accessKeyId, secretAccessKey, sessionToken, expiration, assumedRoleArn: first?.assumedRoleUser?.['arn'], roleArn: options.role.text },
    { date: reply.date, sentAt: reply.sentAt, now: clock.now() },
  )
}
