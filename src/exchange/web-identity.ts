// STS AssumeRoleWithWebIdentity: a JWT-SVID, fetched for this one exchange, becomes AWS credentials.
import { hash } from 'node:crypto'
import { Readable } from 'node:stream'
import { acceptCredentials } from '../aws/credentials.ts'
import { refusalFailure } from '../aws/faults.ts'
import { errorText, failure, isFailure } from '../core/errors.ts'
import type { Reply } from '../core/https.ts'
import type { IdentityToken, JwtSource } from '../identity/sources.ts'
import { createServerClock, type Exchange, type ExchangeContext, type ExchangeOptions } from './exchange.ts'
import { lintToken } from './lint.ts'

/** The session name is made from the SPIFFE ID when not configured. */
export interface WebIdentityOptions extends ExchangeOptions {
  readonly audience: string
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
  const { role, region, endpoint, durationSeconds, ca } = options
  const server = createServerClock(context, 'webidentity')

  /**
   * The SDK's way to the network is replaced by ours. Its own only warns after its timeout and lets a reply trickle for ever; and whatever AWS_ENDPOINT_URL,
   * AWS_PROFILE or ~/.aws/config made of the request, the token goes to the configured endpoint or nowhere.
   */
  async function send(request: SdkRequest, signal: AbortSignal): Promise<Reply> {
    const port = request.port === undefined ? '' : `:${request.port}`
    const url = new URL(`${request.protocol}//${request.hostname}${port}${request.path}`)
    if (url.origin !== endpoint.origin) throw failure('internal', `the AWS SDK turned to ${url.origin} instead of ${endpoint.origin}; nothing was sent`)
    const { 'content-length': _, ...headers } = request.headers
    const reply = await context.call({ url, method: 'POST', headers, body: String(request.body), ca }, signal)
    server.learn(reply)
    return reply
  }

  return async (signal) => {
    const token = await source.fetch([options.audience], signal)
    await context.permit(signal)
    const facts = tokenFacts(token, options)
    lintToken(token)
    if (server.isOver(token.expiresAt))
      throw failure('jwt_svid_expired', `the agent gave a JWT-SVID of ${token.subject} that expired at ${facts.token_exp}`, { facts })
    // Loaded on first use: a Roles Anywhere daemon never pays for it.
    const { fromWebToken } = await import('./sdk.ts')
    const replies: Reply[] = []
    const provide = fromWebToken({
      roleArn: role.text,
      roleSessionName: options.sessionName ?? sessionName(token.subject),
      webIdentityToken: token.compact.reveal(),
      durationSeconds,
      // Everything that the SDK would otherwise look up in the environment and in AWS's files is said here.
      clientConfig: {
        region,
        endpoint: endpoint.href,
        requestHandler: {
          metadata: { handlerProtocol: 'http/1.1' },
          async handle(request: SdkRequest) {
            const reply = await send(request, signal)
            replies.push(reply)
            return { response: { statusCode: reply.status, headers: reply.headers, body: Readable.from([reply.body]) } }
          },
        },
        maxAttempts: 1,
        retryMode: 'standard',
        defaultsMode: 'standard',
        useDualstackEndpoint: false,
        useFipsEndpoint: false,
      },
    })
    try {
      const issued = await provide()
      const reply = replies.at(-1)
      if (reply === undefined) throw new Error('it gave credentials of its own')
      return acceptCredentials(issued, role.text, reply)
    } catch (error) {
      signal.throwIfAborted()
      throw explain(error, replies.at(-1), server.skewSeconds(), facts)
    }
  }
}

const tokenFacts = (token: IdentityToken, { role }: WebIdentityOptions) => ({
  spiffe_id: token.subject,
  role_arn: role.text,
  token_iss: token.issuer ?? '',
  token_aud: token.audience.join(' '),
  token_exp: new Date(token.expiresAt).toISOString(),
})

/** Only name and message of what the SDK throws are used: the rest of it holds the request, and so the token. */
function explain(error: unknown, reply: Reply | undefined, skewSeconds: number | undefined, facts: ReturnType<typeof tokenFacts>) {
  if (isFailure(error)) return error
  if (reply === undefined) return failure('internal', `the AWS SDK failed before it asked STS: ${errorText(error)}`)
  if (reply.status >= 200 && reply.status < 300) return failure('reply_invalid', 'STS answered with something that is not credentials', { facts })
  const named = error instanceof Error ? error.name : ''
  const code = (/<Code>([^<]+)<\/Code>/.exec(reply.body.toString('utf8'))?.[1] ?? named).replace(/Exception$/, '')
  // Nothing is signed here: the token's times are its issuer's.
  return refusalFailure('STS', reply, { code, message: errorText(error) }, { seconds: skewSeconds, corrected: true }, facts)
}

const longestName = 64

/**
 * The session name that CloudTrail will show, made from a SPIFFE ID. RoleSessionName is 2 to 64 of [\w+=,.@-] (STS API). A SPIFFE ID has slashes and colons and may be long: take
 * trust domain and path with dots for slashes, keep the end, which tells workloads apart, and let eight hex
 * digits of its hash keep cut names distinct.
 */
export function sessionName(spiffeId: string): string {
  const readable = spiffeId
    .replace(/^spiffe:\/\//, '')
    .replaceAll('/', '.')
    .replaceAll(/[^\w+=,.@-]/g, '-')
  if (readable.length >= 2 && readable.length <= longestName) return readable
  return `${readable.slice(-(longestName - 9))}-${hash('sha256', spiffeId).slice(0, 8)}`
}
