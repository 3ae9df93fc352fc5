// What happens in the demo, in plain words: a fold over the daemon's status, the calls and the key presses. Pure but for
// its own state, so that a test can tell it any story.
import { sentence } from '../src/core/errors.ts'
import type { StatusReport } from '../src/core/health.ts'

/** The profiles of the demo, each with a consumer of its name, by the way to their credentials. */
export const profiles = { app: 'Roles Anywhere', reports: 'web identity' } as const
export type ProfileName = keyof typeof profiles
export const profileNames: readonly ProfileName[] = ['app', 'reports']

/** What a person can take away. */
export type Part = 'agent' | 'AWS'

/** Who AWS says the caller is, and the key that the request was signed with; or what went wrong. */
export type Call = { ok: true; arn: string; accessKeyId: string } | { ok: false; error: string }

/** The subject is who it is about: agent, AWS, daemon, identity, or a profile. */
export type Entry = Readonly<{ at: number; subject: string; text: string }>

export type Story = ReturnType<typeof createStory>

export interface DemoOptions {
  /** When it ends by itself and judges; left out, a person ends it. */
  readonly forMs?: number
  /** How long an SVID lives, X.509 and JWT. */
  readonly svidSeconds: number
  /** How long a session of AWS lives. */
  readonly sessionSeconds: number
}

/** Starts a story; `told` hears every entry at once. */
export function createStory(options: DemoOptions, now: () => number, told: (entry: Entry) => void) {
  // Told since all was well: streams and tries repeat themselves.
  const complaints = new Set<string>()

  function tell(subject: string, text: string): void {
    const entry = { at: now(), subject, text }
    story.entries.push(entry)
    told(entry)
  }

  const story = {
    options,
    now,
    startedAt: now(),
    entries: [] as Entry[],
    /** What the daemon said last; undefined until it answers. */
    status: undefined as StatusReport | undefined,
    /** The last call of each profile, and the key of its last good one. */
    last: {} as Partial<Record<ProfileName, Call>>,
    keys: {} as Partial<Record<ProfileName, string>>,
    calls: 0,
    failed: 0,
    firstError: undefined as string | undefined,
    /** How often each was replaced by a new one; credentials count once a call was signed with them. */
    rotations: { svids: 0, credentials: 0 },
    away: new Set<Part>(),
    lastSwitch: undefined as { readonly part: Part; readonly at: number } | undefined,
    /** What reads a client's environment into another shell; undefined until there is one. */
    paste: undefined as string | undefined,

    observed(status: StatusReport) {
      const before = story.status
      story.status = status
      if (before === undefined) tell('daemon', `svidecar ${status.version} runs as process ${status.pid}`)
      const [old] = before?.identities ?? []
      const [identity] = status.identities
      if (identity?.serial !== undefined && identity.serial !== old?.serial) {
        if (old?.serial !== undefined) story.rotations.svids++
        tell('identity', `${identity.spiffeId} has a new X.509-SVID ${tail(identity.serial)}, which ends in ${left(identity.notAfter, now())} s`)
      }
      for (const profile of status.profiles) {
        const known = before?.profiles.find(({ name }) => name === profile.name)
        if (profile.accessKeyId !== undefined && profile.accessKeyId !== known?.accessKeyId)
          tell(profile.name, `new credentials ${profile.accessKeyId}, which end in ${left(profile.expiration, now())} s`)
        if (profile.status === 'expired' && known?.status !== 'expired') tell(profile.name, 'the last good credentials have ended: callers get 503')
      }
      for (const problem of status.problems) {
        const text = `${problem.subject}: ${sentence(problem)}`
        if (!complaints.has(text)) tell('daemon', text)
        complaints.add(text)
      }
      if (status.problems.length === 0 && complaints.size > 0) {
        tell('daemon', 'all is well again')
        complaints.clear()
      }
    },

    called(profile: ProfileName, call: Call) {
      const before = story.last[profile]
      story.last[profile] = call
      story.calls++
      if (!call.ok) {
        story.failed++
        story.firstError ??= call.error
        if (before?.ok !== false) tell(profile, `GetCallerIdentity failed: ${call.error}`)
        return
      }
      if (before?.ok === false) tell(profile, 'GetCallerIdentity succeeds again')
      const key = story.keys[profile]
      if (call.accessKeyId === key) return
      if (key !== undefined) story.rotations.credentials++
      story.keys[profile] = call.accessKeyId
      tell(profile, `GetCallerIdentity, signed with ${call.accessKeyId}: ${call.arn}`)
    },

    /** Somebody took a part away or brought it back. */
    switched(part: Part, here: boolean) {
      if (here) story.away.delete(part)
      else story.away.add(part)
      story.lastSwitch = { part, at: now() }
      tell(part, expectation(part, story))
    },
  }
  return story
}

/** What a person sees now and may expect, with a part away or just back. */
export function expectation(part: Part, story: Pick<Story, 'away' | 'status' | 'now'>): string {
  const { away, status } = story
  const now = story.now()
  const svid = left(status?.identities[0]?.notAfter, now)
  if (!away.has(part)) {
    if (part === 'agent') return 'The agent is back. The daemon connects again within seconds and takes a new SVID.'
    const wait = away.has('agent') || svid === 0 ? 'when its wait is over' : `at the latest with its next X.509-SVID, within ${svid} s`
    return `AWS issues again. The daemon asks for new credentials when they are due; after a failure, ${wait}.`
  }
  const [gone, key] = part === 'agent' ? ['The agent is away', 'a'] : ['AWS issues nothing', 'i']
  const serving = (status?.profiles ?? []).filter(({ expiration }) => left(expiration, now) > 0)
  if (serving.length === 0) return `${gone}, and there are no valid credentials: callers get 503 until ${key} brings it back.`
  const renewal =
    svid === 0 || away.has('AWS') ? 'Nothing can be renewed.' : `Its X.509-SVID still renews app, for ${svid} s; reports needs a new JWT-SVID each time.`
  const lasting = serving.map(({ name, expiration }) => `${name} for ${left(expiration, now)} s`).join(', ')
  return `${gone}.${part === 'agent' ? ` ${renewal}` : ''} The daemon goes on serving the last good credentials: ${lasting}. Then callers get 503.`
}

/** What speaks against the demo: nothing if every call succeeded and both kinds of rotation were seen. */
export function objections({ calls, failed, firstError, rotations }: Story): string[] {
  return [
    ...(calls === 0 ? ['no call was made'] : []),
    ...(failed === 0 ? [] : [`${failed} of ${count(calls, 'call')} failed, the first with "${firstError}"`]),
    ...(rotations.svids === 0 ? ['no new X.509-SVID was seen'] : []),
    ...(rotations.credentials === 0 ? ['no new AWS credentials were seen'] : []),
  ]
}

export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`

/** Whole seconds until an ISO time; AWS and the agent cut off the rest, so that this gives back what they were asked for. */
export const left = (instant: string | undefined, now: number): number =>
  instant === undefined ? 0 : Math.max(0, Math.ceil((Date.parse(instant) - now) / 1_000))

/** The end of a serial or an access key, by which a person tells two apart. */
export const tail = (text = ''): string => (text === '' ? '' : `…${text.slice(-4)}`)

/** An entry as a plain line. */
export const entryLine = ({ at, subject, text }: Entry): string => `${new Date(at).toTimeString().slice(0, 8)}  ${subject.padEnd(8)}  ${text}`
