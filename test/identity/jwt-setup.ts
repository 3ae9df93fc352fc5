// The JWT source over a scripted agent, and the tokens that this agent can give.
import type { TestContext } from 'node:test'
import type { Failure } from '../../src/core/errors.ts'
import type { Wanted } from '../../src/identity/choice.ts'
import type { IdentityState, IdentityToken } from '../../src/identity/sources.ts'
import { createJwtSource } from '../../src/identity/workload-api/jwt-source.ts'
import type { JwtSvidMessage } from '../../src/spiffe/jwt-svid.ts'
import { id, setup } from './setup.ts'

export interface TokenContent {
  /** `name` or `name=hint`. */
  name?: string
  audience?: unknown
  /** Seconds from iat to exp, and since iat. */
  life?: number
  age?: number
  claims?: object
}

const encode = (json: unknown) => Buffer.from(JSON.stringify(json)).toString('base64url')

export function startJwt(t: TestContext, { wanted = {}, random = () => 0, run = true }: { wanted?: Wanted; random?: () => number; run?: boolean } = {}) {
  const world = setup(t, wanted, random)
  const { clock, api, options } = world
  const explain = <F>(failure: F): F => Object.assign(failure as object, { remedy: 'explained' }) as F
  const { source, run: task } = createJwtSource({ ...options, explain: explain<Failure> })
  let serial = 0
  const token = ({ name = 'web', audience = ['x'], life = 300, age = 0, claims = {} }: TokenContent = {}) => {
    const [own = '', hint = ''] = name.split('=')
    const iat = clock.now() / 1000 - age
    const content = { sub: id(own), aud: audience, iat, exp: iat + life, jti: serial++, ...claims }
    return { spiffe_id: id(own), hint, svid: `${encode({ alg: 'ES256', kid: 'k' })}.${encode(content)}.c2ln` }
  }
  const start = () => world.start(task)
  const running = run ? start() : undefined
  return {
    ...world,
    source,
    token,
    startTask: start,
    stop: async () => running?.stop(),
    /** The agent's newest call. */
    call: () => {
      const one = api.jwtCalls.at(-1)
      if (one === undefined) throw new Error('no token was asked for')
      return one
    },
    /** The agent answers every call at once, each with a new token of this content, or with these very messages. */
    give: (content: TokenContent | JwtSvidMessage[]) => api.scriptJwt((call) => call.answer(...(Array.isArray(content) ? content : [token(content)]))),
    /** Milliseconds between calls. */
    gaps: () => api.jwtCalls.slice(1).map(({ at }, index) => at - (api.jwtCalls[index]?.at ?? 0)),
  }
}

export const compact = (state: IdentityState<IdentityToken>): string | undefined => (state.status === 'ready' ? state.value.compact.reveal() : undefined)
