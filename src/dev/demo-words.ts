// The sentences of the demo: what to expect while a part is away, what it comes to in the end. Pure functions.
import { profileNames } from './demo-daemon.ts'
import type { Entry, Part, Story } from './demo-story.ts'

export const banner = [
  'A development world with a fake AWS, on loopback: nothing leaves this machine.',
  'The daemon and the AWS SDK are the real ones, each in a process of its own.',
]

type Ends = Pick<Story, 'profiles' | 'x509EndsAt'>

/** What a person sees now and may expect, with a part away or just back. */
export function expectation(part: Part, here: boolean, story: Ends, now: number): string {
  if (here) return part === 'agent' ? 'The agent is back. The daemon connects again within a second and takes a new SVID.' : issuingAgain(story, now)
  const gone = profileNames.every((name) => story.profiles[name].endsAt <= now)
  if (part === 'AWS')
    return gone
      ? 'AWS issues nothing, and the last good credentials have ended: callers get 503 until i brings AWS back.'
      : `AWS issues nothing. The daemon goes on serving the last good credentials: ${lasting(story, now)}. Then callers get 503.`
  if (gone) return 'The agent is away, and the last good credentials have ended: callers get 503 until a brings the agent back.'
  const renewal =
    story.x509EndsAt > now
      ? `The agent is away. Its X.509-SVID still renews app, for ${seconds(story.x509EndsAt - now)} s; reports needs a new JWT-SVID each time.`
      : 'The agent is away and its last SVID has ended: nothing can be renewed.'
  return `${renewal} The last good credentials serve ${lasting(story, now)}. Then callers get 503.`
}

const lasting = ({ profiles }: Ends, now: number): string =>
  profileNames
    .map((name) => {
      const left = seconds(profiles[name].endsAt - now)
      return left > 0 ? `${name} for ${left} s` : `${name} no longer`
    })
    .join(', ')

function issuingAgain({ profiles, x509EndsAt }: Ends, now: number): string {
  const waits = profileNames.flatMap((name) => profiles[name].retryAt ?? [])
  if (waits.length === 0) return 'AWS issues again. The daemon asks for new credentials when they are due.'
  // A new SVID ends a wait, and while the agent is here one comes before the last has ended.
  const latest = Math.min(Math.max(...waits), x509EndsAt > now ? x509EndsAt : Number.POSITIVE_INFINITY)
  return `AWS issues again. The daemon asks for new credentials within ${seconds(latest - now)} s.`
}

type Results = Pick<Story, 'profiles' | 'rotations' | 'firstError'>

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)

/** How many calls were made, and how many of them failed. */
export const counts = ({ profiles }: Pick<Story, 'profiles'>): { calls: number; failed: number } => {
  const failed = sum(profileNames.map((name) => profiles[name].failed))
  return { calls: failed + sum(profileNames.map((name) => profiles[name].ok)), failed }
}

/** What speaks against the demo: nothing if every call succeeded and both kinds of rotation were seen. */
export function objections(story: Results): string[] {
  const { calls, failed } = counts(story)
  return [
    ...(calls === 0 ? ['no call was made'] : []),
    ...(failed === 0 ? [] : [`${failed} of ${count(calls, 'call')} failed, the first with "${story.firstError}"`]),
    ...(story.rotations.svids === 0 ? ['no new X.509-SVID was seen'] : []),
    ...(story.rotations.credentials === 0 ? ['no new AWS credentials were seen'] : []),
  ]
}

/** The end of it in one sentence. */
export function tallies(story: Results): string {
  const { calls, failed } = counts(story)
  const { svids, credentials } = story.rotations
  return `${count(calls, 'call')}, ${failed === 0 ? 'none' : failed} failed, ${count(svids, 'SVID rotation')}, ${count(credentials, 'credential rotation')}.`
}

export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`

/** Whole seconds that are left; AWS and the agent cut off the rest, so that this gives back what they were asked for. */
export const seconds = (ms: number): number => Math.max(0, Math.ceil(ms / 1_000))

/** The end of a serial or an access key, by which a person tells two apart. */
export const tail = (text: string): string => `…${text.slice(-4)}`

export const timeOf = (at: number): string => new Date(at).toTimeString().slice(0, 8)

/** An entry as a plain line. */
export const entryLine = ({ at, subject, text }: Entry): string => `${timeOf(at)}  ${subject.padEnd(8)}  ${text}`

/**
 * What to paste into another shell: the environment of the client, and nothing of the shell's own that an SDK would
 * follow instead.
 */
export const shellLines = (environment: Readonly<Record<string, string>>): string[] => [
  'unset AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN',
  'export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null',
  ...Object.entries(environment).map(([name, value]) => `export ${name}=${value}`),
]
