// What the dev AWS's parts hand each other: a request as it came in, what was learnt from it, and a refusal.
import type { IncomingMessage } from 'node:http'

export interface AwsRequest {
  readonly method: string
  /** As sent, not decoded. */
  readonly path: string
  /** As sent, without the question mark. */
  readonly query: string
  /** Lower-case names; a header sent twice has both values, with a comma, as SigV4 signs them. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Filled in by the verifiers as far as they get. */
export interface RequestFacts {
  spiffeId?: string
  roleArn?: string
  sessionName?: string
}

/** A refusal as AWS words it; `detail` is for the record of requests only, since AWS says less than it knows. */
export interface AwsError extends Error {
  readonly status: number
  readonly code: string
  readonly detail: string | undefined
}

export const refuse = (status: number, code: string, message: string, detail?: string): AwsError => Object.assign(new Error(message), { status, code, detail })

export const isAwsError = (error: unknown): error is AwsError => error instanceof Error && 'status' in error && 'code' in error && 'detail' in error

const longestBody = 1 << 20

export async function readRequest(message: IncomingMessage): Promise<AwsRequest> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > longestBody) throw refuse(413, 'RequestEntityTooLarge', 'Request entity too large')
    chunks.push(chunk)
  }
  const [, path = '', query = ''] = /^([^?]*)\??(.*)$/s.exec(message.url ?? '') ?? []
  const headers: Record<string, string> = {}
  for (let at = 0; at < message.rawHeaders.length; at += 2) {
    const name = (message.rawHeaders[at] ?? '').toLowerCase()
    const value = message.rawHeaders[at + 1] ?? ''
    headers[name] = headers[name] === undefined ? value : `${headers[name]},${value}`
  }
  return { method: message.method ?? '', path, query, headers, body: Buffer.concat(chunks) }
}

/** The parts of an ARN; undefined when it is none. */
export function parseArn(text: string) {
  const [, partition, service, region, account] = /^arn:([a-z-]+):([a-z0-9-]+):([a-z0-9-]*):(\d{12}):.+$/.exec(text) ?? []
  return partition && service && region !== undefined && account ? { partition, service, region, account } : undefined
}
