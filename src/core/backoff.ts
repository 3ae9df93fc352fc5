// How long to wait before trying again, as pure functions of the attempt and of a random number.

export interface Backoff {
  readonly baseMs: number
  readonly capMs: number
}

const exponential = ({ baseMs, capMs }: Backoff, attempt: number): number => Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30))

/** Full jitter: anywhere between nothing and the exponential step. For many callers of one far service. */
export const fullJitter = (backoff: Backoff, attempt: number, random: () => number): number => random() * exponential(backoff, attempt)

/** The exponential step less up to a quarter of it: never under the base, so that a near neighbour is not hammered, nor above the cap. */
export const steady = (backoff: Backoff, attempt: number, random: () => number): number =>
  Math.max(backoff.baseMs, exponential(backoff, attempt) * (1 - random() / 4))
