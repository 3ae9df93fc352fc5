// Every way in which something can be wrong, as values: a code to match on, a sentence, a remedy, how to retry.
import { getSystemErrorMap } from 'node:util'
import { failures } from './failures.ts'

/** 'now': at once, once or twice · 'soon': seconds · 'slow': half a minute to five minutes · 'never': only after a change. */
export type Retry = 'now' | 'soon' | 'slow' | 'never'

export type FailureCode = keyof typeof failures

export interface Failure extends Error {
  readonly code: FailureCode
  readonly remedy: string
  readonly retry: Retry
  /** What the other side asked for. */
  readonly retryAfterSeconds?: number
  /** Printable facts for the log line: never a secret. */
  readonly facts?: Readonly<Record<string, string | number>>
}

type Details = { readonly [K in 'remedy' | 'retry' | 'retryAfterSeconds' | 'facts']?: Failure[K] | undefined } & { readonly cause?: unknown }

/** Makes a Failure. Remedy and retry come from the table unless the case at hand knows better. */
export function failure(code: FailureCode, message: string, details: Details = {}): Failure {
  const { remedy = failures[code].remedy, retry = failures[code].retry, retryAfterSeconds, facts, cause } = details
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), {
    code,
    remedy,
    retry,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    ...(facts === undefined ? {} : { facts }),
  })
}

/** True for what failure() made: the code is one of the table's. */
export const isFailure = (error: unknown): error is Failure => Object.hasOwn(failures, systemCode(error) ?? '')

/** A Failure as it is, anything else as an `internal` one with its text: for the places that must go on. */
export const toFailure = (error: unknown): Failure => (isFailure(error) ? error : failure('internal', errorText(error), { cause: error }))

/** The text of anything that was thrown. */
export const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** A system error's code, such as ENOENT. */
export const systemCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** The words of the system for its error, without names: "no such file or directory". */
export function systemReason(error: unknown): string {
  const errno = error instanceof Error && 'errno' in error ? Number(error.errno) : Number.NaN
  return systemCode(error) === 'EISDIR' ? 'is a directory' : (getSystemErrorMap().get(errno)?.[1] ?? errorText(error))
}

/** One sentence for a person: what happened and what to do. */
export const sentence = ({ message, remedy }: { message: string; remedy: string }): string => {
  if (remedy === '') return message
  // A list of mistakes has its remedy on a line of its own.
  return message.includes('\n') ? `${message}\n${remedy}` : `${message.replace(/[.:?]?$/, (end) => (end === '?' ? end : '.'))} ${remedy}`
}
