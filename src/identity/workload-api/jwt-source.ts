// JWT-SVIDs from the agent: fetched for one use, or kept fresh for many readers.
import { steady } from '../../core/backoff.ts'
import { failure, toFailure } from '../../core/errors.ts'
import type { Emit } from '../../core/events.ts'
import { type Running, run, start, type Task } from '../../core/run.ts'
import { createCell, nextWithin } from '../../core/source.ts'
import { parseJwtSvid } from '../../spiffe/jwt-svid.ts'
import type { Choice } from '../choice.ts'
import type { IdentityToken, JwtSource } from '../sources.ts'
import { createIdentityCell, type IdentityCell, type SourceOptions } from '../state.ts'
import { backoffFor } from './stream.ts'

/**
 * When to renew a watched token: at half of its life less up to a tenth, by iat and exp where there is an iat, because an agent hands out tokens that are
 * already half used; and never sooner than a second from now, because the agent may go on giving the same one. Milliseconds from now.
 */
export function untilRenewal(token: IdentityToken, now: number, random: () => number): number {
  const issuedAt = Math.min(token.issuedAt ?? now, now)
  const life = token.expiresAt - issuedAt
  return Math.max(1_000, issuedAt + life * (0.5 - 0.1 * random()) - now)
}

const keyOf = (audience: readonly string[]): string => JSON.stringify(audience.toSorted())

/** One audience's token, and what keeps it fresh. */
type Watched = { readonly source: ReturnType<JwtSource['watch']>; readonly run: Task }

/** Creates the source. `run` keeps the watched tokens fresh; fetch() needs no task. */
export function createJwtSource(options: SourceOptions & { readonly choice: Choice }): { source: JwtSource; run: Task } {
  const { identity, api, choice, clock, random, emit } = options
  const createTokenCell = (told: Emit) => createIdentityCell<IdentityToken>({ identity, clock, emit: told }, 'jwt', ({ compact }) => compact.reveal())
  // The state of the identity in its JWT form, which the events report: apart from any one audience's.
  const state = createTokenCell(emit)
  const watched = createCell<ReadonlyMap<string, Watched>>(new Map())

  /** Tries at the Workload API's pace until there is a token. Whoever watches is told each failure, and given no token that has ended. */
  async function persist(audience: readonly string[], signal: AbortSignal, watcher?: IdentityCell<IdentityToken>): Promise<IdentityToken> {
    for (let attempt = 0; ; attempt++) {
      try {
        const token = parseJwtSvid(choice.pick(await api.jwtSvids(audience, choice.spiffeId, signal)))
        const missing = audience.find((one) => !token.audience.includes(one))
        if (missing !== undefined) throw failure('jwt_svid_invalid', `the agent's JWT-SVID of ${token.subject} lacks the audience ${missing}`)
        emit({ type: 'jwt.fetched', identity, spiffeId: token.subject, audience: audience.join(' '), expiresAt: token.expiresAt })
        if (watcher !== undefined && token.expiresAt <= clock.now())
          throw failure('jwt_svid_expired', `the agent gave a JWT-SVID of ${token.subject} that expired at ${new Date(token.expiresAt).toISOString()}`)
        state.ready(token)
        return token
      } catch (error) {
        signal.throwIfAborted()
        const problem = options.explain(toFailure(error))
        emit({ type: 'identity.disconnected', identity, stream: 'jwt', failure: problem, wasConnected: false })
        state.failing(problem)
        watcher?.failing(problem)
        await clock.sleep(steady(backoffFor(problem, api.address), attempt, random), signal)
      }
    }
  }

  function keepFresh(audience: readonly string[]): Watched {
    const cell = createTokenCell(() => {})
    const renew: Task = async (signal) => {
      for (;;) {
        const token = await persist(audience, signal, cell)
        const now = clock.now()
        // The agent renews a little before or after half of the life, when it is asked: then a twentieth later is soon enough.
        const wait = cell.ready(token) ? untilRenewal(token, now, random) : Math.max(1_000, (token.expiresAt - (token.issuedAt ?? now)) / 20)
        await clock.sleep(Math.min(wait, token.expiresAt - now), signal)
      }
    }
    // A token is given up at its end, whatever the agent is doing meanwhile.
    const expire: Task = async (signal) => {
      for (;;) {
        const { current } = cell.source
        const left = current.status === 'ready' ? current.value.expiresAt - clock.now() : Number.POSITIVE_INFINITY
        if (left <= 0) cell.ended(failure('jwt_svid_expired', `the JWT-SVID for ${audience.join(' ')} expired and the agent gives no other`))
        else await nextWithin(cell.source, current, left, clock, signal)
      }
    }
    return { source: cell.source, run: (signal) => run([renew, expire], signal) }
  }

  return {
    source: {
      // For one exchange, which asks AWS at once: AWS's clock decides whether the token has ended, since ours may be the wrong one.
      fetch: (audience, signal) => persist(audience, signal),
      watch(audience) {
        const key = keyOf(audience)
        const one = watched.current.get(key) ?? keepFresh(audience)
        if (!watched.current.has(key)) watched.set(new Map(watched.current).set(key, one))
        return one.source
      },
      retain(audiences) {
        const keys = new Set(audiences.map(keyOf))
        watched.set(new Map([...watched.current].filter(([key]) => keys.has(key))))
      },
    },
    async run(signal) {
      const keepers = new Map<string, Running>()
      try {
        for (;;) {
          const { current } = watched
          for (const [key, one] of current) if (!keepers.has(key)) keepers.set(key, start(one.run))
          for (const [key, keeper] of keepers) {
            if (current.has(key)) continue
            keepers.delete(key)
            await keeper.stop()
          }
          await watched.next(current, signal)
        }
      } finally {
        for (const keeper of keepers.values()) await keeper.stop()
      }
    },
  }
}
