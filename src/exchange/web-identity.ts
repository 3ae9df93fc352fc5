// STS AssumeRoleWithWebIdentity: a JWT-SVID, fetched for this one exchange, becomes AWS credentials.
import { Readable } from 'node:stream'
import type { Arn } from '../aws/arn.ts'
import { acceptCredentials } from '../aws/credentials.ts'
import { refusalFailure } from '../aws/faults.ts'
import { errorText, failure, isFailure } from '../core/errors.ts'
import type { Reply } from '../core/https.ts'
import type { IdentityToken, JwtSource } from '../identity/sources.ts'
import { createServerClock, type Exchange, type ExchangeContext } from './exchange.ts'
import { lintFailure, lintToken } from './lint.ts'
import { sessionName } from './session-name.ts'

export interface WebIdentityOptions {
  readonly role: Arn
  readonly audience: string
  readonly region: string
  readonly endpoint: URL
  readonly durationSeconds: number
  /** Made from the SPIFFE ID when not configured. */
  readonly sessionName: string | undefined
  readonly ca: string | undefined
}

// The part of the SDK's request that its own handlers read.
interface SdkRequest {
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly headers: Record<string, string>
  readonly body?: unknown
}

/** Makes the exchange. Its Failures: svid_unsuitable, jwt_svid_expired, what callHttps throws, and STS's refusals. */
export function webIdentity(source: JwtSource, context: ExchangeContext, options: WebIdentityOptions): Exchange {
  const server = createServerClock(context.clock)

  /**
   * The SDK's way to the network is replaced by ours. Its own only warns after its timeout and lets a reply
   * trickle for ever; and whatever AWS_ENDPOINT_URL, AWS_PROFILE or ~/.aws/config made of the request, the
   * token goes to the configured endpoint or nowhere.
   */
  const handlerFor = (signal: AbortSignal, seen: (reply: Reply) => void) => ({
    metadata: { handlerProtocol: 'http/1.1' },
    async handle(request: SdkRequest) {
      const port = request.port === undefined ? '' : `:${request.port}`
      const url = new URL(`${request.protocol}//${request.hostname}${port}${request.path}`)
      if (url.origin !== options.endpoint.origin)
        throw failure('internal', `the AWS SDK turned to ${url.origin} instead of ${options.endpoint.origin}; nothing was sent`)
      const { 'content-length': _, ...headers } = request.headers
      const reply = await context.call({ url, method: 'POST', headers, body: String(request.body), ca: options.ca }, signal)
      seen(reply)
      return { response: { statusCode: reply.status, headers: reply.headers, body: Readable.from([reply.body]) } }
    },
  })

  return async (signal) => {
    const token = await source.fetch([options.audience], signal)
    await context.permit(signal)
    const facts = tokenFacts(token, options)
    const unsuitable = lintFailure(`the JWT-SVID ${token.subject}`, lintToken(token))
    if (unsuitable !== undefined) throw unsuitable
    if (server.skewSeconds !== undefined && token.expiresAt <= server.now())
      throw failure('jwt_svid_expired', `the agent gave a JWT-SVID of ${token.subject} that expired at ${new Date(token.expiresAt).toISOString()}`, { facts })
    // Loaded on first use: a Roles Anywhere daemon never pays for it.
    const { fromWebToken } = await import('./sdk.ts')
    const session = options.sessionName ?? sessionName(token.subject)
    const replies: Reply[] = []
    const seen = (reply: Reply) => {
      replies.push(reply)
      server.learn(reply)
      if (server.skewSeconds !== undefined)
        context.emit({ type: 'exchange.clock_skew', profile: context.profile, method: 'webidentity', seconds: server.skewSeconds })
    }
    const provide = fromWebToken({
      roleArn: options.role.text,
      roleSessionName: session,
      webIdentityToken: token.compact.reveal(),
      durationSeconds: options.durationSeconds,
      // Everything that the SDK would otherwise look up in the environment and in AWS's files is said here.
      clientConfig: {
        region: options.region,
        endpoint: options.endpoint.href,
        requestHandler: handlerFor(signal, seen),
        maxAttempts: 1,
        retryMode: 'standard',
        defaultsMode: 'standard',
        useDualstackEndpoint: false,
        useFipsEndpoint: false,
      },
    })
    try {
      const issued = await provide()
      return acceptCredentials(
        {
          sessionToken: undefined,
          expiration: undefined,
          ...issued,
          assumedRoleArn: assumedRoleArn(options, issued.accountId, session),
          roleArn: options.role.text,
        },
        { date: replies.at(-1)?.date, sentAt: replies.at(-1)?.sentAt ?? context.clock.boot(), now: context.clock.now() },
      )
    } catch (error) {
      signal.throwIfAborted()
      throw explain(error, replies.at(-1), server.skewSeconds, facts)
    }
  }
}

// The provider gives the account but not the ARN; STS builds it so (IAM guide, "assumed-role session").
const assumedRoleArn = ({ role }: WebIdentityOptions, account: string | undefined, session: string): string =>
  `arn:${role.partition}:sts::${account ?? role.account}:assumed-role/${role.resource.slice(role.resource.lastIndexOf('/') + 1)}/${session}`

const tokenFacts = (token: IdentityToken, { role }: WebIdentityOptions): Record<string, string | number> => ({
  spiffe_id: token.subject,
  role_arn: role.text,
  token_iss: token.issuer ?? '',
  token_aud: token.audience.join(' '),
  token_exp: new Date(token.expiresAt).toISOString(),
})

/** Only name and message of what the SDK throws are used: the rest of it holds the request, and so the token. */
function explain(error: unknown, reply: Reply | undefined, skewSeconds: number | undefined, facts: Record<string, string | number>) {
  if (isFailure(error)) return error
  if (reply === undefined) return failure('internal', `the AWS SDK failed before it asked STS: ${errorText(error)}`)
  if (reply.status >= 200 && reply.status < 300) return failure('reply_invalid', 'STS answered with something that is not credentials', { facts })
  const named = error instanceof Error ? error.name : ''
  const code = /<Code>([^<]+)<\/Code>/.exec(reply.body.toString('utf8'))?.[1] ?? named
  return refusalFailure(
    {
      service: 'STS',
      status: reply.status,
      code: code.replace(/Exception$/, ''),
      message: errorText(error).slice(0, 1000),
      retryAfter: reply.headers['retry-after'],
    },
    // Nothing is signed here: the token's times are its issuer's.
    { seconds: skewSeconds, corrected: true },
    facts,
  )
}
