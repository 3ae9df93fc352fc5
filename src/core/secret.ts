// A value that nobody prints by accident: a logger, an inspector or a template shows [redacted].
import { inspect } from 'node:util'

export interface Secret<T> {
  /** The value itself. Each call is a place to review. */
  reveal(): T
  toString(): string
  toJSON(): string
}

/** Wraps a value; only reveal() gives it back. */
export function secret<T>(value: T): Secret<T> {
  const shown = () => '[redacted]'
  return Object.freeze({ reveal: () => value, toString: shown, toJSON: shown, [inspect.custom]: shown })
}
