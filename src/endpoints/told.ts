// What is told of an answer of the endpoints that give credentials: one event each, and another with the reason if it was refused.
import type { Clock } from '../core/clock.ts'
import type { Emit } from '../core/events.ts'
import type { Answer, Handler, Request } from './server.ts'

export interface Teller {
  readonly clock: Clock
  readonly emit: Emit
}

/** An answer, who got it, and why it is a refusal; only the answer leaves the process. */
export interface Told extends Answer {
  readonly consumer?: string
  readonly profile?: string
  /** Of the credentials that were asked for; empty if there were none to give. Left out: nothing of that kind was asked for. */
  readonly accessKeyId?: string
  /** Of the token that was asked for. */
  readonly audience?: string
  readonly reason?: string
}

/** A handler that tells of each of its answers. */
export function telling(endpoint: string, { clock, emit }: Teller, handle: (request: Request) => Told | Promise<Told>): Handler {
  return (request) => {
    const begun = clock.boot()
    const tell = ({ consumer = '', profile = '', reason, accessKeyId, audience, ...answer }: Told): Answer => {
      const { status } = answer
      emit({ type: 'served', endpoint, consumer, profile, accessKeyId, audience, status, seconds: (clock.boot() - begun) / 1000 })
      if (reason !== undefined) emit({ type: 'listener.refused', listener: endpoint, status, reason })
      return answer
    }
    const given = handle(request)
    return given instanceof Promise ? given.then(tell) : tell(given)
  }
}
