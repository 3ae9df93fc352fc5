// One HTTP call to a far service, with a deadline of our own: it destroys the request, so that a peer that
// hangs, trickles or never ends is over in time.
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { rootCertificates } from 'node:tls'
import type { Clock } from './clock.ts'
import { errorText, type Failure, failure, isFailure, systemCode } from './errors.ts'
import { linked } from './run.ts'

export interface Call {
  readonly url: URL
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
  /** PEM of private CAs to trust besides the public ones. */
  readonly ca?: string | undefined
}

export interface Reply {
  readonly status: number
  /** Lower-case names; of repeated headers the joined value. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** The reply's Date header, wall clock in milliseconds: the other side's idea of now. */
  readonly date: number | undefined
  /** Boot clock when the request began: what the reply says was true no earlier than this. */
  readonly sentAt: number
  /** Wall clock of this machine when the reply's head came. */
  readonly receivedAt: number
}

const connectMs = 3_000
const totalMs = 10_000
const maxReplyBytes = 1 << 20

const tlsCode = /^(ERR_TLS|ERR_SSL|EPROTO|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH)/

function explain(error: unknown, url: URL): Failure {
  if (isFailure(error)) return error
  const code = systemCode(error) ?? ''
  const why = { ECONNREFUSED: 'connection refused', ENOTFOUND: 'no such host', ECONNRESET: 'the connection broke' }[code] ?? (errorText(error) || code)
  return failure(tlsCode.test(code) ? 'tls' : 'network', `cannot reach ${url.host}: ${why}`, { cause: error })
}

/**
 * Makes the call: 3 s to connect, 10 s in all, at most 1 MiB of reply. HTTPS goes through the proxy that
 * HTTPS_PROXY names, unless NO_PROXY excludes the host; plain http never does. Throws a Failure: network, tls, timeout, reply_invalid;
 * or the signal's reason.
 */
export async function callHttps({ url, method, headers, body, ca }: Call, clock: Clock, signal: AbortSignal): Promise<Reply> {
  signal.throwIfAborted()
  const sentAt = clock.boot()
  const secure = url.protocol === 'https:'
  using done = linked(signal)
  using connecting = linked(done.signal)
  // proxyEnv makes the agent honour HTTPS_PROXY and NO_PROXY; one agent a call, as calls are half an hour apart.
  const agent = secure ? new HttpsAgent({ proxyEnv: process.env, ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }) }) : new HttpAgent()
  return await new Promise<Reply>((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)(url, { agent, method, headers: { ...headers, 'content-length': Buffer.byteLength(body) } })
    // However this ends: a request that still waits for its socket would say nothing of its own destruction.
    done.signal.addEventListener('abort', () => {
      reject(signal.reason)
      request.destroy()
      agent.destroy()
    })
    const fail = (error: unknown) => reject(explain(error, url))
    const limit = (ms: number, message: string, unless: AbortSignal) =>
      clock.sleep(ms, unless).then(
        () => reject(failure('timeout', message)),
        () => {},
      )
    void limit(connectMs, `cannot connect to ${url.host} within 3 s`, connecting.signal)
    void limit(totalMs, `${url.host} did not finish its answer within 10 s`, done.signal)
    request.once('socket', (socket) => socket.once(secure ? 'secureConnect' : 'connect', connecting.stop))
    request.on('error', fail)
    request.once('response', (response) => {
      readReply(response, url, { sentAt, receivedAt: clock.now() }).then(resolve, fail)
    })
    request.end(body)
  })
}

async function readReply(response: IncomingMessage, url: URL, when: Pick<Reply, 'sentAt' | 'receivedAt'>): Promise<Reply> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxReplyBytes) throw failure('reply_invalid', `${url.host} answered with more than 1 MiB`)
    chunks.push(chunk)
  }
  const headers = Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, [value ?? ''].flat().join(', ')]))
  const date = Date.parse(headers['date'] ?? '')
  return { status: response.statusCode ?? 0, headers, body: Buffer.concat(chunks), date: Number.isNaN(date) ? undefined : date, ...when }
}
