// AWS on loopback, as far as it gives credentials: it verifies like the real one.
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Account } from './aws-account.ts'
import { type AwsRequest, isAwsError, readRequest, refuse } from './aws-request.ts'
import { createSession } from './aws-rolesanywhere.ts'
import { answerSts, errorXml } from './aws-sts.ts'

/** Gives what is sent, or undefined if it has seen to the response itself; throws a refusal. */
export type Handle = (request: AwsRequest, response: ServerResponse) => Promise<{ status: number; type: string; body: string } | undefined>

/** Roles Anywhere at POST …/sessions, STS at any other path. */
export const answering =
  (account: Account): Handle =>
  async (request) => {
    if (!isRolesAnywhere(request)) return { status: 200, type: 'text/xml', body: await answerSts(request, account) }
    if (request.method !== 'POST') throw refuse(404, 'UnknownOperationException', 'Not found')
    return { status: 201, type: 'application/json', body: await createSession(request, account) }
  }

/** Below any prefix. */
const isRolesAnywhere = ({ path }: AwsRequest): boolean => path.endsWith('/sessions')

/** Listens on a port that the system picks. `now`: AWS's time, for Date. */
export async function openListener(now: () => number, handle: Handle, host = '127.0.0.1') {
  const serve = async (message: IncomingMessage, response: ServerResponse) => {
    const request = await readRequest(message)
    const reply = await handle(request, response).catch((thrown) => {
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
    server.listen(port, host)
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  }
  await open()
  return {
    url: `http://${host}:${port}`,
    /** On the same port. */
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
