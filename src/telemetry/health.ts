// The state of everything: a fold over the events, from which probes, status page and systemd read.
import type { Clock } from '../core/clock.ts'
import type { Failure } from '../core/errors.ts'
import type { Event, EventOf } from '../core/events.ts'
import type { HealthReport, IdentityReport, OutputReport, ProfileReport, RecentEvent, StatusReport } from '../core/health.ts'
import { describe } from './describe.ts'

type Configured = EventOf<'config.loaded'>

const mostEvents = 50

const iso = (ms: number): string => new Date(ms).toISOString()

/** States by name. Each begins as `first`, when it is first spoken of: what is configured anew may be heard of before its configuration is. */
function createStates<T extends object>(first: T) {
  const states = new Map<string, T>()
  const of = (name: string): T => states.get(name) ?? first
  return {
    of,
    change: (name: string, news: Partial<T>) => states.set(name, { ...of(name), ...news }),
    keep: (names: readonly string[]) => {
      for (const name of states.keys()) if (!names.includes(name)) states.delete(name)
    },
  }
}

/** Creates the fold. Its reports compare with the clock when they are asked for, like every answer. */
export function createHealth(clock: Clock) {
  let configured: Pick<Configured, 'identities' | 'profiles' | 'outputs'> = { identities: [], profiles: [], outputs: [] }
  const identities = createStates<Omit<IdentityReport, 'name'>>({ status: 'waiting', connected: false })
  const profiles = createStates({ held: undefined as EventOf<'credentials.fresh'> | undefined, dropped: false, succeeded: 0, failed: 0 })
  const outputs = createStates({ written: undefined as { expiresAt: number | undefined } | undefined, failure: undefined as Failure | undefined })
  const listeners = new Map<string, string>()
  const problems = new Map<string, { subject: string; failure: Failure; since: number }>()
  const events: RecentEvent[] = []
  let version = ''
  let started = false

  /** What commands print is not for every local process that can open the page, and who is refused again and again must not push out the rest. */
  const remember = (event: Event): void => {
    if (event.type === 'served' || event.type === 'hook.said' || event.type === 'listener.refused') return
    const { level, message } = describe(event)
    if (level !== 'debug') events.unshift({ time: iso(clock.now()), level, message })
    events.splice(mostEvents)
  }

  /** An identity may have a problem for each of its streams. */
  const trouble = (subject: string, failure: Failure, stream = '') => {
    const key = `${subject} ${stream}`
    const known = problems.get(key)
    problems.set(key, { subject, failure, since: known?.failure.code === failure.code ? known.since : clock.now() })
  }
  const solved = (subject: string, stream = '') => problems.delete(`${subject} ${stream}`)

  const folds: { [T in Event['type']]?: (event: EventOf<T>) => void } = {
    'daemon.starting': (event) => {
      version = event.version
    },
    'config.loaded': (event) => {
      configured = event
      const names = { profiles: event.profiles.map(({ name }) => name), outputs: event.outputs.map(({ output }) => output) }
      identities.keep(event.identities)
      profiles.keep(names.profiles)
      outputs.keep(names.outputs)
      const left = new Set([
        ...event.identities.map((name) => `identity ${name}`),
        ...names.profiles.map((name) => `profile ${name}`),
        ...names.outputs,
        ...event.hooks.map((name) => `hook ${name}`),
      ])
      for (const [key, { subject }] of problems) if (!left.has(subject)) problems.delete(key)
    },
    'config.reload_failed': ({ failure }) => trouble('configuration', failure),
    'listener.opened': ({ listener, address }) => listeners.set(listener, address),
    'listener.closed': ({ listener }) => listeners.delete(listener),
    'identity.connected': ({ identity }) => identities.change(identity, { connected: true }),
    'identity.disconnected': ({ identity, stream }) => {
      // A token that could not be had does not cover an X.509 stream that is open.
      if (stream === 'x509' || identities.of(identity).serial === undefined) identities.change(identity, { connected: false })
    },
    'identity.failing': ({ identity, stream, failure }) => trouble(`identity ${identity}`, failure, stream),
    'identity.recovered': ({ identity, stream }) => {
      solved(`identity ${identity}`, stream)
      identities.change(identity, { status: 'ready' })
    },
    'identity.withdrawn': ({ identity, stream, failure }) => {
      trouble(`identity ${identity}`, failure, stream)
      identities.change(identity, { status: 'withdrawn' })
    },
    'x509.updated': ({ identity, spiffeId, serial, notAfter }) => identities.change(identity, { status: 'ready', spiffeId, serial, notAfter: iso(notAfter) }),
    'jwt.fetched': ({ identity, spiffeId }) => identities.change(identity, { status: 'ready', connected: true, spiffeId }),
    'exchange.succeeded': ({ profile }) => {
      solved(`profile ${profile}`)
      profiles.change(profile, { succeeded: profiles.of(profile).succeeded + 1 })
    },
    'exchange.failed': ({ profile, failure }) => {
      trouble(`profile ${profile}`, failure)
      profiles.change(profile, { failed: profiles.of(profile).failed + 1 })
    },
    'credentials.fresh': (event) => profiles.change(event.profile, { held: event, dropped: false }),
    'credentials.dropped': ({ profile }) => profiles.change(profile, { dropped: true }),
    'credentials.forgotten': ({ profile }) => {
      solved(`profile ${profile}`)
      profiles.change(profile, { held: undefined, dropped: false })
    },
    'output.written': ({ output, expiresAt }) => {
      solved(output)
      outputs.change(output, { written: { expiresAt }, failure: undefined })
    },
    'output.failed': ({ output, failure }) => {
      trouble(output, failure)
      outputs.change(output, { failure })
    },
    'output.removed': ({ output }) => {
      solved(output)
      outputs.change(output, { written: undefined, failure: undefined })
    },
    'hook.failed': ({ hook, failure }) => trouble(`hook ${hook}`, failure),
    'hook.done': ({ hook }) => solved(`hook ${hook}`),
  }

  const wantsSomething = (): boolean => configured.profiles.length + configured.outputs.length > 0

  const profileReport = ({ name, required, identity, method, roleArn }: Configured['profiles'][number]): ProfileReport => {
    const { held, dropped, succeeded, failed } = profiles.of(name)
    const base = { name, required, identity, method, roleArn, exchanges: { succeeded, failed } }
    const now = clock.boot()
    if (held === undefined || dropped) return { ...base, status: 'empty' }
    if (now >= held.deadline) return { ...base, status: 'expired', expiration: iso(held.expiresAt) }
    return {
      ...base,
      status: now < held.refreshAt ? 'fresh' : 'stale',
      accessKeyId: held.accessKeyId,
      expiration: iso(held.expiresAt),
      remainingSeconds: Math.floor((held.deadline - now) / 1000),
      nextRefresh: iso(clock.now() + Math.max(0, held.refreshAt - now)),
    }
  }
  const outputReport = ({ output: name, kind }: Configured['outputs'][number]): OutputReport => {
    const { written, failure } = outputs.of(name)
    if (written === undefined) return { name, kind, status: failure === undefined ? 'missing' : 'failed' }
    const status = failure === undefined ? 'written' : 'outdated'
    if (written.expiresAt === undefined) return { name, kind, status }
    return { name, kind, status: written.expiresAt <= clock.now() ? 'expired' : status, notAfter: iso(written.expiresAt) }
  }
  const status = (): StatusReport => {
    const reports = { profiles: configured.profiles.map(profileReport), outputs: configured.outputs.map(outputReport) }
    const missing = [
      ...reports.profiles.filter((profile) => profile.required && (profile.status === 'empty' || profile.status === 'expired')),
      ...reports.outputs.filter((output) => output.status !== 'written' && output.status !== 'outdated'),
    ].map(({ name }) => name)
    return {
      ready: wantsSomething() && missing.length === 0,
      started,
      missing,
      version,
      now: iso(clock.now()),
      pid: process.pid,
      identities: configured.identities.map((name) => ({ name, ...identities.of(name) })),
      ...reports,
      listeners: Object.fromEntries(listeners),
      // Two streams of one agent that is away are one problem.
      problems: [...new Map([...problems.values()].map((one) => [`${one.subject} ${one.failure.message}`, one])).values()].map(
        ({ subject, failure: { code, message, remedy }, since }) => ({ subject, code, message, remedy, since: iso(since), runbook: `docs/errors.md#${code}` }),
      ),
      events: [...events],
    }
  }

  return {
    listener(event: Event): void {
      const fold = folds[event.type] as ((event: Event) => void) | undefined
      fold?.(event)
      remember(event)
      // Kept when it happens and not when somebody asks: credentials that came and went count as having been there.
      started ||=
        wantsSomething() &&
        configured.profiles.every(({ name, required }) => !required || profiles.of(name).held !== undefined) &&
        configured.outputs.every(({ output }) => outputs.of(output).written !== undefined)
    },
    health: (): HealthReport => {
      const { ready, started, missing } = status()
      return { ready, started, missing }
    },
    status,
  }
}
