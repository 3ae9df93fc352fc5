// Servers that stand where svidecar would: one that answers as a test says, and one that passes on and remembers what was asked.
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { pipeline } from 'node:stream'

export interface Stand {
  readonly url: string
  /** The heads of the requests, as they came. */
  readonly heads: string[]
  readonly stop: () => Promise<void>
}

/** Answers every request by `handle`. */
export async function standIn(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<Stand> {
  const heads: string[] = []
  const server = createHttpServer((request, response) => {
    heads.push(`${request.method} ${request.url}\r\n${request.rawHeaders.map((text, index) => (index % 2 ? `${text}\r\n` : `${text}: `)).join('')}`)
    handle(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = async () => {
    server.close()
    server.closeAllConnections()
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heads, stop }
}

/** As an IMDS does it, with these answers; `handle` may take a request away. */
export const imdsOf =
  (document: () => string, { role = 'web', delayMs = 0 } = {}) =>
  (request: IncomingMessage, response: ServerResponse): void => {
    const { method, url = '' } = request
    if (method === 'PUT') response.setHeader('x-aws-ec2-metadata-token-ttl-seconds', '21600').end('token')
    else if (url.endsWith('security-credentials/')) response.end(role)
    else if (url.includes('security-credentials/')) setTimeout(() => response.end(document()), delayMs)
    else response.writeHead(404).end()
  }

/** Passes every byte on to `target`, and remembers the heads of requests. */
export async function record(target: string): Promise<Stand> {
  const { hostname, port } = new URL(target)
  const heads: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    }
    // Requests of SDKs here have no body: what comes in is heads.
    client.on('data', (chunk: Buffer) => heads.push(chunk.toString()))
    pipeline(client, upstream, client, () => {})
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = async () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heads, stop }
}
