// JWT-SVIDs from the agent: fetched for one use, or kept fresh for many readers.
import { steady } from '../../core/backoff.ts'
import type { Clock } from '../../core/clock.ts'
import { type Failure, failure, toFailure } from '../../core/errors.ts'
import type { Emit } from '../../core/events.ts'
import { type Running, start, type Task } from '../../core/run.ts'
import { createCell, type Source } from '../../core/source.ts'
import { type JwtSvid, parseJwtSvid } from '../../spiffe/jwt-svid.ts'
import type { Choice } from '../choice.ts'
import type { IdentityState, IdentityToken, JwtSource } from '../sources.ts'
import { createIdentityCell, type IdentityCell } from '../state.ts'
import type { WorkloadApi } from './client.ts'
import { backoffFor } from './stream.ts'

export interface JwtSourceOptions {
  readonly identity: string
  readonly api: WorkloadApi
  readonly choice: Choice
  readonly clock: Clock
  readonly random: () => number
  readonly emit: Emit
  readonly explain: (failure: Failure) => Failure
}

const toToken = (svid: JwtSvid): IdentityToken =>
  Object.freeze({
    compact: svid.compact,
    subject: svid.spiffeId,
    issuer: svid.issuer,
    audience: svid.audience,
    algorithm: svid.algorithm,
    issuedAt: svid.issuedAt,
    expiresAt: svid.expiresAt,
  })

/**
 * When to renew a watched token: at half of its life less up to a tenth, by iat and exp where there is an iat,
 * because an agent hands out tokens that are already half used; and never sooner than a second from now, because
 * the agent may go on giving the same one. Milliseconds from now.
 */
export function untilRenewal(token: IdentityToken, now: number, random: () => number): number {
  const issuedAt = Math.min(token.issuedAt ?? now, now)
  const life = token.expiresAt - issuedAt
  return Math.max(1_000, issuedAt + life * (0.5 - 0.1 * random()) - now)
}

const gone = (audience: readonly string[]): Failure =>
  failure('jwt_svid_expired', `the JWT-SVID for ${audience.join(' ')} expired and the agent gives no other`)

/** Creates the source. `run` keeps the watched tokens fresh; fetch() needs no task. */
export function createJwtSource(options: JwtSourceOptions): { source: JwtSource; run: Task } {
  const { identity, api, choice, clock, random, emit } = options
  const watched = new Map<string, { cell: IdentityCell<IdentityToken>; audience: readonly string[]; keeper?: Running }>()
  let running: AbortSignal | undefined
  // The state of the identity in its JWT form, which the events report: apart from any one audience's.
  const state = createIdentityCell<IdentityToken>({ identity, stream: 'jwt', clock, emit })

  async function once(audience: readonly string[], signal: AbortSignal): Promise<IdentityToken> {
    const offered = await api.jwtSvids(audience, choice.spiffeId, signal)
    const svid = parseJwtSvid(choice.pick(offered))
    const missing = audience.find((one) => !svid.audience.includes(one))
    if (missing !== undefined) throw failure('jwt_svid_invalid', `the agent's JWT-SVID of ${svid.spiffeId} lacks the audience ${missing}`)
    emit({ type: 'jwt.fetched', identity, spiffeId: svid.spiffeId, audience: audience.join(' '), expiresAt: svid.expiresAt })
    return toToken(svid)
  }

  /** Tries at the Workload API's pace until there is a token; each failure is told to `failed`. */
  async function persist(
    audience: readonly string[],
    signal: AbortSignal,
    failed: (problem: Failure) => void,
    check: (token: IdentityToken) => void,
  ): Promise<IdentityToken> {
    for (let attempt = 0; ; attempt++) {
      try {
        const token = await once(audience, signal)
        check(token)
        state.ready(token)
        return token
      } catch (error) {
        signal.throwIfAborted()
        const problem = options.explain(toFailure(error))
        emit({ type: 'identity.disconnected', identity, stream: 'jwt', failure: problem, wasConnected: false })
        state.failing(problem)
        failed(problem)
        await clock.sleep(steady(backoffFor(problem, api.address), attempt, random), signal)
      }
    }
  }

  /** What is handed to others by this machine's clock must live by it. */
  function alive(token: IdentityToken): void {
    if (token.expiresAt <= clock.now())
      throw failure('jwt_svid_expired', `the agent gave a JWT-SVID of ${token.subject} that expired at ${new Date(token.expiresAt).toISOString()}`)
  }

  /** Keeps one audience's token fresh, for ever; gives it up at its end. */
  async function keep(audience: readonly string[], cell: IdentityCell<IdentityToken>, signal: AbortSignal): Promise<void> {
    for (;;) {
      const { current } = cell.source
      const held = current.status === 'ready' ? current.value : undefined
      const attempt = new AbortController()
      const either = AbortSignal.any([signal, attempt.signal])
      const expiry = held === undefined ? undefined : clock.sleep(held.expiresAt - clock.now(), either).then(() => attempt.abort())
      expiry?.catch(() => {})
      try {
        const fetched = await persist(audience, either, cell.failing, alive)
        attempt.abort()
        // The agent renews a little before or after half of the life, when it is asked: then a twentieth later is soon enough.
        const same = held !== undefined && held.compact.reveal() === fetched.compact.reveal()
        const token = same ? held : fetched
        cell.ready(token)
        const now = clock.now()
        const wait = same ? Math.max(1_000, (token.expiresAt - (token.issuedAt ?? now)) / 20) : untilRenewal(token, now, random)
        await clock.sleep(Math.min(wait, token.expiresAt - now), signal)
        if (clock.now() >= token.expiresAt) cell.ended(gone(audience))
      } catch {
        signal.throwIfAborted()
        cell.ended(gone(audience))
      }
    }
  }

  function begin(entry: { cell: IdentityCell<IdentityToken>; audience: readonly string[]; keeper?: Running }): void {
    if (running !== undefined && !running.aborted) entry.keeper ??= start((signal) => keep(entry.audience, entry.cell, signal))
  }

  const source: JwtSource = {
    // For one exchange, which asks AWS at once: AWS's clock decides whether the token has ended, since ours may be the wrong one.
    fetch: (audience, signal) =>
      persist(
        audience,
        signal,
        () => {},
        () => {},
      ),
    watch(audience): Source<IdentityState<IdentityToken>> {
      const key = JSON.stringify(audience.toSorted())
      let entry = watched.get(key)
      if (entry === undefined) {
        entry = { cell: createIdentityCell<IdentityToken>({ identity, stream: 'jwt', clock, emit: () => {} }), audience }
        watched.set(key, entry)
      }
      begin(entry)
      return entry.cell.source
    },
  }

  return {
    source,
    async run(signal) {
      running = signal
      for (const entry of watched.values()) begin(entry)
      const stopped = createCell(false)
      try {
        await stopped.next(false, signal)
      } finally {
        for (const entry of watched.values()) {
          await entry.keeper?.stop()
          delete entry.keeper
        }
      }
    },
  }
}
