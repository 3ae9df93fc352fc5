// What happens in the demo, in plain words: a fold over the daemon's log, the calls and the key presses. Pure but for
// its own state, so that a test can tell it any story.
import type { Call } from './demo-client.ts'
import { type ProfileName, profileNames } from './demo-daemon.ts'
import { expectation, seconds, tail } from './demo-words.ts'

/** quiet: what the screen shows in its rows anyway. */
export type Tone = 'plain' | 'quiet' | 'good' | 'warn' | 'bad'

export interface Entry {
  readonly at: number
  /** Who it is about: agent, identity, daemon, AWS, or a profile. */
  readonly subject: string
  readonly text: string
  readonly tone: Tone
}

export interface Tally {
  ok: number
  failed: number
  /** The last of them, oldest first. */
  recent: boolean[]
  last?: Call
  lastAt: number
  /** The key that the last good call was signed with. */
  accessKeyId?: string
  /** Of the credentials that the daemon has; wall clock, milliseconds. */
  endsAt: number
  /** When the daemon asks AWS again after a failure. */
  retryAt?: number
}

/** What a person can take away. */
export type Part = 'agent' | 'AWS'

export interface Story {
  readonly entries: readonly Entry[]
  readonly profiles: Readonly<Record<ProfileName, Tally>>
  /** How often each was replaced by a new one; credentials count once a call was signed with them. */
  readonly rotations: { svids: number; credentials: number }
  readonly firstError: string | undefined
  readonly x509EndsAt: number
  readonly jwtEndsAt: number
  /** Since when a part is away. */
  readonly away: Readonly<Partial<Record<Part, number>>>
  readonly lastSwitch: { readonly part: Part; readonly here: boolean; readonly at: number } | undefined
  /** Every profile has had credentials. */
  readonly ready: boolean
  logged(line: Readonly<Record<string, unknown>>): void
  called(profile: ProfileName, call: Call): void
  /** Somebody took a part away or brought it back. */
  switched(part: Part, here: boolean): void
}

const remembered = 200
const recently = 60

/** Starts a story; `told` hears every entry at once. */
export function createStory(now: () => number, told: (entry: Entry) => void): Story {
  const entries: Entry[] = []
  const tally = (): Tally => ({ ok: 0, failed: 0, recent: [], lastAt: 0, endsAt: 0 })
  const profiles = { app: tally(), reports: tally() }
  const rotations = { svids: 0, credentials: 0 }
  const away: Partial<Record<Part, number>> = {}
  // Told since the identity was last well: two streams of one agent say the same.
  const complaints = new Set<string>()
  let lastSwitch: Story['lastSwitch']
  let serial = ''
  let firstError: string | undefined
  let x509EndsAt = 0
  let jwtEndsAt = 0

  function tell(subject: string, text: string, tone: Tone = 'plain'): void {
    const entry = { at: now(), subject, text, tone }
    entries.push(entry)
    if (entries.length > remembered) entries.shift()
    told(entry)
  }
  const left = (instant: number): string => `${seconds(instant - now())} s`

  const listeners: Readonly<Record<string, (line: Line) => void>> = {
    'daemon.starting': ({ text }) => tell('daemon', `svidecar ${text('version')} runs as process ${text('pid')}`),
    'x509.updated': ({ text, instant }) => {
      x509EndsAt = instant('not_after')
      const first = serial === ''
      if (!first && serial !== text('serial')) rotations.svids++
      serial = text('serial')
      tell('identity', `${first ? `${text('spiffe_id')} has` : 'a new'} X.509-SVID ${tail(serial)}, which ends in ${left(x509EndsAt)}`, 'good')
    },
    'jwt.fetched': ({ instant }) => {
      jwtEndsAt = instant('expires')
    },
    'identity.failing': ({ words }) => {
      if (complaints.has(words)) return
      complaints.add(words)
      tell('identity', words, 'warn')
    },
    'identity.recovered': () => {
      if (complaints.size > 0) tell('identity', 'the agent answers again', 'good')
      complaints.clear()
    },
    // The SDK for JavaScript asks once more without its token when an endpoint answers 503.
    'listener.refused': () => {},
    'credentials.fresh': ({ profile, text, instant }) => {
      if (profile === undefined) return
      profiles[profile].endsAt = instant('expires')
      delete profiles[profile].retryAt
      tell(profile, `new credentials ${text('access_key_id')}, which end in ${left(profiles[profile].endsAt)}`, 'good')
    },
    'credentials.expired': ({ profile }) => tell(profile ?? 'daemon', 'the last good credentials have ended: callers get 503', 'bad'),
    'exchange.failed': ({ profile, text, number }) => {
      if (profile === undefined) return
      const wait = number('retry_in_seconds')
      profiles[profile].retryAt = now() + wait * 1_000
      const served = profiles[profile].endsAt > now() ? 'the last good ones stay' : 'there are none to serve'
      tell(profile, `no new credentials (${text('code')}): ${served}; the daemon asks again in ${seconds(wait * 1_000)} s`, 'warn')
    },
  }

  return {
    entries,
    profiles,
    rotations,
    away,
    get lastSwitch() {
      return lastSwitch
    },
    get firstError() {
      return firstError
    },
    get x509EndsAt() {
      return x509EndsAt
    },
    get jwtEndsAt() {
      return jwtEndsAt
    },
    get ready() {
      return profileNames.every((name) => profiles[name].endsAt > 0)
    },
    logged(fact) {
      const line = readable(fact)
      const listener = listeners[line.text('event')]
      const level = line.text('level')
      if (listener !== undefined) listener(line)
      else if (level === 'warn' || level === 'error')
        tell(line.profile ?? (line.text('identity') === '' ? 'daemon' : 'identity'), line.words, level === 'warn' ? 'warn' : 'bad')
    },
    called(profile, call) {
      const known = profiles[profile]
      const before = known.last
      known.last = call
      known.lastAt = now()
      known.recent = [...known.recent, call.ok].slice(-recently)
      if (!call.ok) {
        known.failed++
        firstError ??= call.error
        if (before?.ok !== false) tell(profile, `GetCallerIdentity failed: ${call.error}`, 'bad')
        return
      }
      known.ok++
      if (before?.ok === false) tell(profile, 'GetCallerIdentity succeeds again', 'good')
      if (call.accessKeyId === known.accessKeyId) return
      if (known.accessKeyId !== undefined) rotations.credentials++
      if (call.accessKeyId !== undefined) known.accessKeyId = call.accessKeyId
      tell(profile, `GetCallerIdentity, signed with ${known.accessKeyId}: ${call.arn}`, 'quiet')
    },
    switched(part, here) {
      if (here) delete away[part]
      else away[part] = now()
      lastSwitch = { part, here, at: now() }
      tell(part, expectation(part, here, { profiles, x509EndsAt }, now()), here ? 'good' : 'warn')
    },
  }
}

interface Line {
  readonly profile: ProfileName | undefined
  /** The sentence, without its subject. */
  readonly words: string
  text(name: string): string
  number(name: string): number
  instant(name: string): number
}

const readable = (fact: Readonly<Record<string, unknown>>): Line => {
  const text = (name: string): string => {
    const value = fact[name]
    return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  }
  return {
    profile: profileNames.find((name) => name === fact['profile']),
    words: text('msg').replace(/^(identity|profile) \S+: /, ''),
    text,
    number: (name) => Number(fact[name] ?? 0),
    instant: (name) => Date.parse(text(name)) || 0,
  }
}
