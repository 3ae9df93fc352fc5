// The dev AWS for tests: it remembers what it was asked, and fails when told to.
import { X509Certificate } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { decodeJwt } from 'jose'
import type { Clock } from '../../../src/core/clock.ts'
import { answering, type Handle, openListener } from '../world/aws.ts'
import { type AccountOptions, mintAt, openAccount } from '../world/aws-account.ts'
import { type AwsRequest, isAwsError, refuse } from '../world/aws-request.ts'

/** hang: takes the request, answers nothing · trickle: a 200 that sends a byte now and then and never ends. */
export type Fault = 'hang' | 'trickle' | 'empty-200' | 'not-json-200' | { status: number; code?: string; message?: string; headers?: Record<string, string> }

/** What a request says of itself, verified or not. */
interface RequestFacts {
  /** Such as CreateSession; empty when it names none. */
  action: string
  roleArn: string | undefined
  spiffeId: string | undefined
}

export interface RecordedRequest extends RequestFacts {
  readonly listener: 'issuing' | 'checking'
  /** 0 until it is answered. */
  status: number
  /** Of the role that was assumed. */
  sessionName?: string | undefined
  /** The code and message of a refusal, and what AWS would not say. */
  error?: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface DevAwsOptions extends Omit<AccountOptions, 'mint' | 'clock'>, Partial<Pick<AccountOptions, 'mint'>> {
  clock: Clock
  /** How long its sessions really live, whatever valid duration was asked. */
  issueSeconds?: number
  /** AWS's clock is ahead of `clock` by this. */
  clockSkewSeconds?: number
  /** An address of this machine's; 127.0.0.1 unless set. */
  host?: string
}

export type DevAws = Awaited<ReturnType<typeof startDevAws>>

const rememberedRequests = 1000
const trickleMs = 100

export async function startDevAws(options: DevAwsOptions) {
  const { clock, issueSeconds, clockSkewSeconds = 0, host } = options
  const now = () => clock.now() + clockSkewSeconds * 1000
  const requests: RecordedRequest[] = []
  let fault: Fault | undefined
  let inFlight = 0

  const fail = async (response: ServerResponse, how: Fault) => {
    if (how === 'hang') return undefined
    if (how === 'empty-200') return { status: 200, type: 'application/json', body: '' }
    if (how === 'not-json-200') return { status: 200, type: 'text/html', body: '<html>a captive portal</html>' }
    if (how === 'trickle') {
      const gone = new AbortController()
      response.once('close', () => gone.abort())
      response.writeHead(200, { 'content-type': 'application/json' })
      while (!gone.signal.aborted) {
        response.write(' ')
        await clock.sleep(trickleMs, gone.signal).catch(() => {})
      }
      return undefined
    }
    for (const [name, value] of Object.entries(how.headers ?? {})) response.setHeader(name, value)
    throw refuse(how.status, how.code ?? 'InternalFailure', how.message ?? 'The dev AWS was told to fail')
  }

  const recording =
    (listener: RecordedRequest['listener'], handle: Handle): Handle =>
    async (request, response) => {
      const url = request.query === '' ? request.path : `${request.path}?${request.query}`
      const record: RecordedRequest = { listener, status: 0, url, headers: request.headers, body: request.body.toString(), ...factsOf(request) }
      requests.push(record)
      if (requests.length > rememberedRequests) requests.shift()
      const issues = listener === 'issuing'
      if (issues) {
        inFlight += 1
        response.once('close', () => (inFlight -= 1))
      }
      try {
        const reply = await (issues && fault !== undefined ? fail(response, fault) : handle(request, response))
        record.status = reply?.status ?? 0
        record.sessionName = /:assumed-role\/[^/]+\/([^"<]+)/.exec(reply?.body ?? '')?.[1]
        return reply
      } catch (error) {
        const { status, code, message, detail } = isAwsError(error) ? error : refuse(500, 'InternalFailure', 'Internal failure', String(error))
        record.status = status
        record.error = `${code}: ${message}${detail === undefined ? '' : ` (${detail})`}`
        throw error
      }
    }
  const account = openAccount({ mint: async ({ durationSeconds }) => mintAt(now() + (issueSeconds ?? durationSeconds) * 1000), ...options, clock: { now } })
  const issuer = await openListener(now, recording('issuing', answering(account)), host)
  const checker = await openListener(now, recording('checking', answering(account)), host)
  return {
    issuingUrl: issuer.url,
    checkingUrl: checker.url,
    closeIssuing: issuer.close,
    /** On the same port. */
    openIssuing: issuer.open,
    stop: async () => {
      await Promise.all([issuer.close(), checker.close()])
    },
    /** The last thousand. */
    requests: requests as readonly Readonly<RecordedRequest>[],
    /** Requests to the issuing listener that are not answered yet. */
    get inFlight() {
      return inFlight
    },
    /** For the issuing listener only. */
    setFault: (next: Fault | undefined) => {
      fault = next
    },
  }
}

function factsOf({ path, query, headers, body }: AwsRequest): RequestFacts {
  if (path.endsWith('/sessions')) {
    const spiffeId = attempt(() => /URI:([^,]+)/.exec(new X509Certificate(Buffer.from(headers['x-amz-x509'] ?? '', 'base64')).subjectAltName ?? '')?.[1])
    return { action: 'CreateSession', roleArn: new URLSearchParams(query).get('roleArn') ?? undefined, spiffeId }
  }
  const form = new URLSearchParams(body.toString())
  const spiffeId = attempt(() => decodeJwt(form.get('WebIdentityToken') ?? '').sub)
  return { action: form.get('Action') ?? '', roleArn: form.get('RoleArn') ?? undefined, spiffeId }
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
