// What a gRPC status of the agent means for a person: which failure, and what to do about it.
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorText, type Failure, type FailureCode, failure } from '../../core/errors.ts'
import type { SocketAddress } from '../../spiffe/socket-address.ts'

// By gRPC status code, https://grpc.github.io/grpc/core/md_doc_statuscodes.html: SPIRE's meanings, as its Workload API handler sends them.
const meanings: Readonly<Record<number, readonly [code: FailureCode, what: string]>> = {
  3: ['workload_api_rejected', 'called the request invalid'],
  7: ['identity_not_issued', 'has no identity for this process'],
  12: ['workload_api_unimplemented', 'does not offer this method'],
}
const resourceExhausted = 8

/** Turns what a call threw into a Failure. */
export function statusFailure(error: unknown, address: SocketAddress): Failure {
  const at = `the agent at ${address.text}`
  const details = error instanceof Error && 'details' in error && typeof error.details === 'string' ? error.details : errorText(error)
  const status = error instanceof Error && 'code' in error ? Number(error.code) : Number.NaN
  const meaning = meanings[status]
  if (meaning !== undefined) return failure(meaning[0], `${at} ${meaning[1]}: ${details}`)
  if (status !== resourceExhausted) return connectionFailure(details, address)
  return /larger than max|message length/i.test(details)
    ? failure('workload_api_too_large', `a message of ${at} is larger than 64 MiB: ${details}`)
    : failure('workload_api_unavailable', `${at} is out of resources: ${details}`, { retryAfterSeconds: 1 })
}

// What the system says of a connection: why, and what to do where the table of failures does not know better.
type ConnectError = readonly [why: string, remedy?: string]
const forbidden: ConnectError = ['permission denied', "Let this process's user or group open the socket and enter its directory."]
const connectErrors: Readonly<Record<string, ConnectError>> = {
  ENOENT: ['no such file'],
  ECONNREFUSED: ['connection refused', 'Is the agent running? One that crashed leaves its socket behind.'],
  EACCES: forbidden,
  EPERM: forbidden,
  ENOTSOCK: ['the file is not a socket'],
  EHOSTUNREACH: ['no route or no answer'],
  ENETUNREACH: ['no route or no answer'],
  ETIMEDOUT: ['no route or no answer'],
}

function connectionFailure(details: string, address: SocketAddress): Failure {
  // grpc-js keeps the system's error as text only; a path may contain the name of one.
  const known = connectErrors[/\bconnect (E[A-Z]+)\b/.exec(details)?.[1] ?? '']
  if (known === undefined) return failure('workload_api_unavailable', `the agent at ${address.text} cannot serve: ${details}`)
  const [why, remedy] = known
  const seen = known === forbidden && address.kind === 'unix' ? ` (${rights(address.path)})` : ''
  return failure('workload_api_unreachable', `cannot connect to the Workload API at ${address.text}: ${why}${seen}`, { remedy })
}

/** Mode and owner of the socket and its directory, as far as they can be seen. */
function rights(path: string): string {
  const of = (file: string) => {
    try {
      const { mode, uid, gid } = statSync(file)
      return `${file} is ${(mode & 0o7777).toString(8).padStart(4, '0')} of ${uid}:${gid}`
    } catch {
      return `${file} cannot be seen`
    }
  }
  return `${of(path)}, ${of(dirname(path))}; this process is ${process.getuid?.() ?? '?'}:${process.getgid?.() ?? '?'}`
}
