// AWS on loopback, as far as it gives credentials: it verifies like the real one.
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AccountOptions, openAccount } from './aws-account.ts'
import { type AwsRequest, isAwsError, readRequest, refuse } from './aws-request.ts'
import { createSession } from './aws-rolesanywhere.ts'
import { assumeRoleWithWebIdentity, errorXml, getCallerIdentity } from './aws-sts.ts'

/** issuing: Roles Anywhere at POST …/sessions, STS at any other path · checking: STS GetCallerIdentity. */
export type ListenerName = 'issuing' | 'checking'

/** Gives what is sent, or undefined if it has seen to the response itself; throws a refusal. */
export type Handle = (request: AwsRequest, response: ServerResponse) => Promise<Reply | undefined>

interface Reply {
  readonly status: number
  readonly type: string
  readonly body: string
}

export interface DevAwsOptions extends AccountOptions {
  /** For tests: what stands before the verification. */
  readonly around?: (listener: ListenerName, handle: Handle) => Handle
}

/** Starts both listeners, on ports of 127.0.0.1 that the system picks. */
export async function startDevAws({ around = (_listener, handle) => handle, ...options }: DevAwsOptions) {
  const account = openAccount(options)
  const { now } = options.clock
  const issuing = await openListener(
    now,
    around('issuing', async (request) => {
      if (isRolesAnywhere(request)) {
        if (request.method !== 'POST') throw refuse(404, 'UnknownOperationException', 'Not found')
        return { status: 201, type: 'application/json', body: await createSession(request, account) }
      }
      return { status: 200, type: 'text/xml', body: await assumeRoleWithWebIdentity(request, account) }
    }),
  )
  const checking = await openListener(
    now,
    around('checking', async (request) => ({ status: 200, type: 'text/xml', body: getCallerIdentity(request, account) })),
  )
  return {
    issuingUrl: issuing.url,
    checkingUrl: checking.url,
    closeIssuing: issuing.close,
    /** On the same port. */
    openIssuing: issuing.open,
    stop: async () => {
      await Promise.all([issuing.close(), checking.close()])
    },
  }
}

/** Below any prefix. */
const isRolesAnywhere = ({ path }: AwsRequest): boolean => path.endsWith('/sessions')

async function openListener(now: () => number, handle: Handle) {
  const serve = async (message: IncomingMessage, response: ServerResponse) => {
    const request = await readRequest(message)
    const reply = await handle(request, response).catch((thrown): Reply => {
      const error = isAwsError(thrown) ? thrown : refuse(500, 'InternalFailure', 'Internal failure')
      // Each service words a refusal in its own protocol.
      if (!isRolesAnywhere(request)) return { status: error.status, type: 'text/xml', body: errorXml(error) }
      response.setHeader('X-Amzn-ErrorType', error.code)
      return { status: error.status, type: 'application/json', body: JSON.stringify({ message: error.message }) }
    })
    if (!reply) return
    response.writeHead(reply.status, { 'content-type': reply.type, date: new Date(now()).toUTCString(), 'x-amzn-requestid': randomUUID() })
    response.end(reply.body)
  }
  const server = createServer((message, response) => {
    // What is left to fail is reading the request: its caller has gone.
    serve(message, response).catch(() => response.destroy())
  })
  let port = 0
  const open = async () => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  }
  await open()
  return {
    url: `http://127.0.0.1:${port}`,
    open,
    /** Cuts every connection. */
    close: async () => {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
