// One HTTP listener of the dev AWS: it records what comes in, dates what goes out, and fails when told to.
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../core/clock.ts'
import { type AwsError, type AwsRequest, isAwsError, type RequestFacts, readRequest, refuse } from './aws-request.ts'
import { errorXml } from './aws-sts.ts'

/** hang: takes the request, answers nothing · trickle: a 200 that sends a byte now and then and never ends. */
export type Fault = 'hang' | 'trickle' | 'empty-200' | 'not-json-200' | { status: number; code?: string; message?: string; headers?: Record<string, string> }

export interface RecordedRequest extends RequestFacts {
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

const trickleMs = 100

export async function openListener({ name, clock, now, handle, record }: ListenerOptions) {
  const serve = async (message: IncomingMessage, response: ServerResponse) => {
    const gone = new AbortController()
    listener.inFlight += 1
    response.once('close', () => {
      listener.inFlight -= 1
      gone.abort()
    })
    response.sendDate = false // Node's would be from its own clock
    const request = await readRequest(message)
    const { url = '' } = message
    const recorded: RecordedRequest = { listener: name, action: '', status: 0, url, headers: request.headers, body: request.body.toString() }
    record(recorded)
    const begin = ({ status, type, headers }: Omit<Reply, 'body'>) => {
      recorded.status = status
      response.writeHead(status, { 'content-type': type, date: new Date(now()).toUTCString(), 'x-amzn-requestid': randomUUID(), ...headers })
    }
    const answer = async (): Promise<Reply | undefined> => {
      const { fault } = listener
      if (fault === undefined) return handle(request, recorded)
      if (fault === 'empty-200') return { status: 200, type: 'application/json', body: '' }
      if (fault === 'not-json-200') return { status: 200, type: 'text/html', body: '<html>a captive portal</html>' }
      if (typeof fault === 'object') {
        const { status, code = 'InternalFailure', message: text = 'The dev AWS was told to fail', headers = {} } = fault
        const reply = refusal(refuse(status, code, text))
        return { ...reply, headers: { ...reply.headers, ...headers } }
      }
      if (fault === 'hang') return undefined
      begin({ status: 200, type: 'application/json' })
      for (;;) {
        response.write(' ')
        await clock.sleep(trickleMs, gone.signal)
      }
    }
    const refusal = (error: AwsError): Reply => {
      recorded.error = `${error.code}: ${error.message}${error.detail === undefined ? '' : ` (${error.detail})`}`
      return errorReply(request, error)
    }
    const reply = await answer().catch((error) => {
      if (gone.signal.aborted) return undefined
      return refusal(isAwsError(error) ? error : refuse(500, 'InternalFailure', 'Internal failure', String(error)))
    })
    if (!reply) return
    begin(reply)
    response.end(reply.body)
  }

  const server = createServer((message, response) => {
    // What is left to fail is reading the request: its caller has gone.
    serve(message, response).catch(() => response.destroy())
  })
  let port = 0
  const listener = {
    url: '',
    fault: undefined as Fault | undefined,
    /** Requests that are not answered yet. */
    inFlight: 0,
    /** Cuts every connection. */
    close: async () => {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
    /** On the same port as before. */
    open: async () => {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      port = (server.address() as AddressInfo).port
      listener.url = `http://127.0.0.1:${port}`
    },
  }
  await listener.open()
  return listener
}

/** True for Roles Anywhere, below any prefix; everything else is STS. */
export const isRolesAnywhere = ({ path }: AwsRequest): boolean => path.endsWith('/sessions')

/** Each service words a refusal in its own protocol. */
const errorReply = (request: AwsRequest, error: AwsError): Reply =>
  isRolesAnywhere(request)
    ? { status: error.status, type: 'application/json', body: JSON.stringify({ message: error.message }), headers: { 'X-Amzn-ErrorType': error.code } }
    : { status: error.status, type: 'text/xml', body: errorXml(error) }
