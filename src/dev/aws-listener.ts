// One HTTP listener of the dev AWS: it records what comes in, dates what goes out, and fails when told to.
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Clock } from '../core/clock.ts'
import { type AwsError, type AwsRequest, isAwsError, type RequestFacts, readRequest, refuse } from './aws-request.ts'
import { errorXml } from './aws-sts.ts'

/** hang: takes the request, answers nothing · trickle: a 200 that sends a byte now and then and never ends. */
export type Fault =
  | 'hang'
  | 'trickle'
  | 'empty-200'
  | 'not-json-200'
  | { status: number; code?: string; message?: string; headers?: Record<string, string> }
  | { delayMs: number }

export interface RecordedRequest extends RequestFacts {
  readonly at: number
  readonly listener: 'issuing' | 'checking'
  /** Such as CreateSession; empty until it is known. */
  action: string
  /** 0 until it is answered. */
  status: number
  /** The code and message of a refusal, and what AWS would not say. */
  error?: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Reply {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface ListenerOptions {
  readonly name: RecordedRequest['listener']
  readonly clock: Clock
  /** AWS's time, which goes into Date. */
  readonly now: () => number
  readonly handle: (request: AwsRequest, record: RecordedRequest) => Promise<Reply>
  readonly record: (request: RecordedRequest) => void
}

export interface AwsListener {
  readonly url: string
  fault: Fault | undefined
  /** Requests that are not answered yet. */
  readonly inFlight: number
  readonly maxInFlight: number
  /** Cuts every connection. */
  close(): Promise<void>
  /** On the same port as before. */
  open(): Promise<void>
}

const trickleMs = 100

export async function openListener({ name, clock, now, handle, record }: ListenerOptions): Promise<AwsListener> {
  let fault: Fault | undefined
  let port = 0
  let inFlight = 0
  let maxInFlight = 0

  const serve = async (message: IncomingMessage, response: ServerResponse) => {
    const gone = new AbortController()
    maxInFlight = Math.max(maxInFlight, ++inFlight)
    response.once('close', () => {
      inFlight -= 1
      gone.abort()
    })
    response.sendDate = false // Node's would be from its own clock
    const request = await readRequest(message)
    const recorded: RecordedRequest = {
      at: clock.now(),
      listener: name,
      action: '',
      status: 0,
      url: message.url ?? '',
      headers: request.headers,
      body: request.body.toString(),
    }
    record(recorded)
    const send = ({ status, type, body, headers }: Reply) => {
      recorded.status = status
      const date = new Date(now()).toUTCString()
      response.writeHead(status, { 'content-type': type, date, 'x-amzn-requestid': randomUUID(), ...headers })
      response.end(body)
    }
    const fail = (error: AwsError, headers: Record<string, string> = {}) => {
      recorded.error = `${error.code}: ${error.message}${error.detail === undefined ? '' : ` (${error.detail})`}`
      const reply = errorReply(request, error)
      send({ ...reply, headers: { ...reply.headers, ...headers } })
    }
    try {
      if (fault === 'hang') return
      if (fault === 'empty-200') return send({ status: 200, type: 'application/json', body: '' })
      if (fault === 'not-json-200') return send({ status: 200, type: 'text/html', body: '<html>a captive portal</html>' })
      if (fault === 'trickle') {
        recorded.status = 200
        response.writeHead(200, { 'content-type': 'application/json', date: new Date(now()).toUTCString() })
        for (;;) {
          response.write(' ')
          await clock.sleep(trickleMs, gone.signal)
        }
      }
      if (fault && 'delayMs' in fault) await clock.sleep(fault.delayMs, gone.signal)
      else if (fault) {
        const { status, code = 'InternalFailure', message: text = 'The dev AWS was told to fail', headers } = fault
        return fail(refuse(status, code, text), headers)
      }
      send(await handle(request, recorded))
    } catch (error) {
      if (gone.signal.aborted) return
      fail(isAwsError(error) ? error : refuse(500, 'InternalFailure', 'Internal failure', String(error)))
    }
  }

  const server = createServer((message, response) => {
    // What is left to fail is reading the request: its caller has gone.
    serve(message, response).catch(() => response.destroy())
  })
  const open = () =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', () => {
        server.off('error', reject)
        const bound = server.address()
        if (typeof bound === 'object' && bound !== null) port = bound.port
        resolve()
      })
    })
  await open()

  return {
    get url() {
      return `http://127.0.0.1:${port}`
    },
    get fault() {
      return fault
    },
    set fault(next) {
      fault = next
    },
    get inFlight() {
      return inFlight
    },
    get maxInFlight() {
      return maxInFlight
    },
    close: async () => {
      if (!server.listening) return
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
    open,
  }
}

/** True for Roles Anywhere, below any prefix; everything else is STS. */
export const isRolesAnywhere = ({ path }: AwsRequest): boolean => path.endsWith('/sessions')

/** Each service words a refusal in its own protocol. */
const errorReply = (request: AwsRequest, error: AwsError): Reply =>
  isRolesAnywhere(request)
    ? { status: error.status, type: 'application/json', body: JSON.stringify({ message: error.message }), headers: { 'X-Amzn-ErrorType': error.code } }
    : { status: error.status, type: 'text/xml', body: errorXml(error) }
