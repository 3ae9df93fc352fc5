// What the tests of the endpoints share: profiles made by hand, requests as values, and bytes over a raw socket.
import { connect, type Socket } from 'node:net'
import type { Credentials } from '../../src/aws/credentials.ts'
import type { Clock } from '../../src/core/clock.ts'
import { secret } from '../../src/core/secret.ts'
import { type Cell, createCell } from '../../src/core/source.ts'
import type { CredentialState } from '../../src/credentials/store.ts'
import type { ProfileView } from '../../src/endpoints/documents.ts'
import type { Request } from '../../src/endpoints/server.ts'

export const roleArn = 'arn:aws:iam::111122223333:role/team/app'

let issued = 0

/** Credentials that live for `lifeMs` from now on; each one has other keys. */
export function credentialsFor(clock: Clock, lifeMs: number, over: Partial<Credentials> = {}): Credentials {
  const number = String(++issued).padStart(4, '0')
  return Object.freeze({
    accessKeyId: `ASIAEXAMPLE0000${number}`,
    secretAccessKey: secret(`secret/key+${number}`),
    sessionToken: secret(`session//token++${number}==`),
    expiration: clock.now() + lifeMs,
    obtainedAt: clock.boot(),
    deadline: clock.boot() + lifeMs,
    issuedAt: clock.now(),
    accountId: '111122223333',
    roleArn,
    ...over,
  })
}

export const fresh = (clock: Clock, lifeMs: number, over?: Partial<Credentials>): CredentialState => ({
  status: 'fresh',
  credentials: credentialsFor(clock, lifeMs, over),
  since: clock.now(),
  refreshAt: clock.boot() + lifeMs / 2,
})

export interface HandMade extends ProfileView {
  readonly state: Cell<CredentialState>
}

/** A profile whose state the test sets. */
export const profileOf = (name: string, state: CredentialState, over: Partial<ProfileView> = {}): HandMade => ({
  name,
  roleArn,
  roleName: 'app',
  region: 'eu-central-1',
  ...over,
  state: createCell(state),
})

/** A request as a handler gets it, to a listener on 127.0.0.1. */
export function requestOf(path: string, headers: Record<string, string> = {}, over: Partial<Omit<Request, 'headers' | 'path'>> = {}): Request {
  return { method: 'GET', path, query: '', headers: { host: '127.0.0.1', ...headers }, hasBody: false, ...over }
}

export interface RawAnswer {
  /** 0: the connection was closed without a word. */
  readonly status: number
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** What came after this answer. */
  readonly rest: string
}

/** The first answer of a byte stream, or undefined while it is not whole. A HEAD's has no body. */
function parseAnswer(received: string, closed: boolean, head: boolean): RawAnswer | undefined {
  const cut = received.indexOf('\r\n\r\n')
  if (cut < 0) return closed ? { status: 0, headers: {}, body: received, rest: '' } : undefined
  const [line = '', ...lines] = received.slice(0, cut).split('\r\n')
  const status = Number(line.split(' ')[1])
  const after = received.slice(cut + 4)
  if (status === 100) return parseAnswer(after, closed, head)
  const headers = Object.fromEntries(lines.map((one) => [one.slice(0, one.indexOf(':')).toLowerCase(), one.slice(one.indexOf(':') + 1).trim()]))
  const chunked = headers['transfer-encoding'] === 'chunked'
  const end = chunked ? after.indexOf('0\r\n\r\n') + 5 : head ? 0 : Number(headers['content-length'] ?? Number.NaN)
  if (chunked ? end >= 5 : after.length >= end)
    return { status, headers, body: chunked ? after.slice(0, end - 5) : after.slice(0, end), rest: after.slice(end) }
  return closed ? { status, headers, body: after, rest: '' } : undefined
}

export interface Conversation {
  readonly socket: Socket
  readonly closed: boolean
  send(bytes: string): void
  /** The next answer; rejects when it does not come within the time. */
  answer(limitMs?: number): Promise<RawAnswer>
  /** Resolves with the milliseconds until the other side has closed; rejects when it does not. */
  ended(limitMs: number): Promise<number>
}

const opened = new Set<Socket>()

/** Cuts every connection of this file: a listener that is stopped after a failed test must not wait for them. */
export function hangUp(): void {
  for (const socket of opened) socket.destroy()
  opened.clear()
}

/** Opens a connection to a port of `host` or to a unix socket's path; latin1 both ways, so that any byte can be sent. */
export function talk(to: number | string, host = '127.0.0.1'): Conversation {
  const socket = typeof to === 'number' ? connect(to, host) : connect(to)
  opened.add(socket)
  let received = ''
  let head = false
  let closed = false
  const waiting = new Set<() => void>()
  const wake = () => {
    for (const one of waiting) one()
  }
  socket.setEncoding('latin1')
  socket.on('data', (text: string) => {
    received += text
    wake()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    closed = true
    opened.delete(socket)
    wake()
  })
  const until = <T>(what: string, limitMs: number, probe: () => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      const done = () => {
        waiting.delete(look)
        clearTimeout(timer)
      }
      const look = () => {
        const found = probe()
        if (found === undefined) return
        done()
        resolve(found)
      }
      const timer = setTimeout(() => {
        done()
        reject(new Error(`${what} within ${limitMs} ms; received: ${JSON.stringify(received)}`))
      }, limitMs)
      waiting.add(look)
      look()
    })
  return {
    socket,
    get closed() {
      return closed
    },
    send(bytes) {
      head = bytes.startsWith('HEAD ')
      socket.write(bytes, 'latin1')
    },
    answer: (limitMs = 3_000) =>
      until('no whole answer', limitMs, () => {
        const found = parseAnswer(received, closed, head)
        if (found !== undefined) received = found.rest
        return found
      }),
    async ended(limitMs) {
      const begun = performance.now()
      await until('the connection was not closed', limitMs, () => closed || undefined)
      return performance.now() - begun
    },
  }
}

/** One request on a connection of its own. */
export async function ask(to: number | string, bytes: string): Promise<RawAnswer> {
  const conversation = talk(to)
  conversation.send(bytes)
  try {
    return await conversation.answer()
  } finally {
    conversation.socket.destroy()
  }
}

/** A request head; the Host header is the listener's literal unless given. */
export const head = (line: string, headers: Readonly<Record<string, string>> = {}): string =>
  `${line} HTTP/1.1\r\n${Object.entries({ Host: '127.0.0.1', ...headers })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`
