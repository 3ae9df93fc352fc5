// What the dev AWS's parts hand each other: a request as it came in, and a refusal.
import type { IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'

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

export type AwsError = ReturnType<typeof refuse>

/** A refusal as AWS words it; `detail` is for tests only, since AWS says less than it knows. */
export const refuse = (status: number, code: string, message: string, detail?: string) => Object.assign(new Error(message), { status, code, detail })

export const isAwsError = (error: unknown): error is AwsError => error instanceof Error && 'status' in error && 'code' in error && 'detail' in error

export async function readRequest(message: IncomingMessage): Promise<AwsRequest> {
  const { method = '', url = '', headersDistinct } = message
  const [, path = '', query = ''] = /^([^?]*)\??(.*)$/s.exec(url) ?? []
  const headers = Object.fromEntries(Object.entries(headersDistinct).map(([name, values = []]) => [name, values.join()]))
  return { method, path, query, headers, body: await buffer(message) }
}

/** The parts of an ARN; undefined when it is none. */
export function parseArn(text: string) {
  const [, partition, service, region, account] = /^arn:([a-z-]+):([a-z0-9-]+):([a-z0-9-]*):(\d{12}):.+$/.exec(text) ?? []
  return partition && service && region !== undefined && account ? { partition, service, region, account } : undefined
}
