// One identity's sources over a scripted agent and a clock that the test moves, and what that agent can send.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Clock } from '../../src/core/clock.ts'
import type { Event, EventOf } from '../../src/core/events.ts'
import type { Task } from '../../src/core/run.ts'
import { type Choice, createChoice, type Wanted } from '../../src/identity/choice.ts'
import { createX509Source } from '../../src/identity/workload-api/x509-source.ts'
import type { X509ContextMessage } from '../../src/spiffe/x509-context.ts'
import { type Authority, createAuthority } from '../support/dev/authority.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { createScriptedApi, type ScriptedApi } from './scripted-api.ts'

export interface SourceOptions {
  identity: string
  api: ScriptedApi
  choice: Choice
  clock: FakeClock
  random: () => number
  emit: (event: Event) => void
  explain: <F>(failure: F) => F
}

export interface Setup {
  readonly clock: FakeClock
  readonly api: ScriptedApi
  readonly events: Event[]
  readonly choice: Choice
  readonly options: SourceOptions
  of<T extends Event['type']>(type: T): EventOf<T>[]
  /** Runs a task; the end of the test stops it and looks whether anything of it is left. */
  start(task: Task): { stop(): Promise<void> }
}

export function setup(t: TestContext, wanted: Wanted = {}, random: () => number = () => 0.5): Setup {
  const clock = createFakeClock()
  const api = createScriptedApi(clock)
  const events: Event[] = []
  const emit = (event: Event) => void events.push(event)
  const warn = (code: string, message: string) => emit({ type: 'identity.warning', identity: 'default', code, message })
  const choice = createChoice(wanted, warn)
  return {
    clock,
    api,
    events,
    choice,
    options: { identity: 'default', api, choice, clock, random, emit, explain: (failure) => failure },
    of: <T extends Event['type']>(type: T) => events.filter((event): event is EventOf<T> => event.type === type),
    start(task) {
      const controller = new AbortController()
      const reason = new Error('stopped by the test')
      const ended = task(controller.signal).then(
        () => 'ended',
        (error: unknown) => error,
      )
      let stopped: Promise<void> | undefined
      const stop = async () => {
        await clock.settle()
        controller.abort(reason)
        const how = await ended
        if (how !== 'ended') assert.equal(how, reason, 'the task failed')
        for (const { open } of [api.x509, api.x509Bundle, api.jwtBundle]) assert.equal(open.length, 0, 'streams left open')
        assert.equal(api.jwtCalls.filter(({ pending }) => pending).length, 0, 'calls left open')
        assert.equal(clock.sleeping, 0, 'timers left')
      }
      const once = () => (stopped ??= stop())
      t.after(once)
      return { stop: once }
    },
  }
}

/** The X.509 source, running. */
export function startX509(t: TestContext, wanted?: Wanted, random?: () => number) {
  const world = setup(t, wanted, random)
  const { source, run } = createX509Source(world.options)
  const states: (typeof source.current)[] = []
  const { stop } = world.start(run)
  const watching = new AbortController()
  t.after(() => watching.abort())
  const watch = async () => {
    for (let state = source.current; ; state = await source.next(state, watching.signal)) states.push(state)
  }
  watch().catch(() => {})
  return {
    ...world,
    source,
    /** Every state that somebody who waits for changes has seen. */
    states,
    stop,
    /** The agent's newest stream. */
    agent: () => world.api.x509.last,
    failureCode: () => source.current.failure?.code,
    spiffeId: () => (source.current.status === 'ready' ? source.current.value.svid.spiffeId : undefined),
  }
}

export const id = (name: string): string => `spiffe://example.org/${name}`

export interface Issuer {
  readonly authority: Authority
  /** A message with a new SVID for each name; `name=hint` gives it a hint. */
  message(names: readonly string[], lifetime?: { ttlSeconds?: number; ageSeconds?: number }): Promise<X509ContextMessage>
}

/** The age of an SVID starts at its notBefore, which is 10 s before its issue, and `ttlSeconds` includes those. */
export async function createIssuer(clock: Clock): Promise<Issuer> {
  const authority = await createAuthority({ trustDomain: 'example.org', clock })
  return {
    authority,
    message: async (names, { ttlSeconds = 3600, ageSeconds = 0 } = {}) => {
      const lifetimeStart = clock.now() + 10_000 - ageSeconds * 1000
      const svids = names.map(async (name) => {
        const [own = '', hint = ''] = name.split('=')
        const issued = await authority.issueX509({ spiffeId: id(own), ttlSeconds: ttlSeconds - 10, lifetimeStart })
        return { spiffe_id: id(own), x509_svid: Buffer.concat(issued.chain), x509_svid_key: issued.key, bundle: Buffer.concat(authority.bundle()), hint }
      })
      return { svids: await Promise.all(svids), federated_bundles: {} }
    },
  }
}
