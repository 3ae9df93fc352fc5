// The sentences of the demo: what to expect after a key press, what it comes to in the end. Pure functions.
import { profileNames } from './demo-daemon.ts'
import type { Entry, Part, Story } from './demo-story.ts'

/** What to expect after a key press. */
export function expectation(part: Part, here: boolean, story: Pick<Story, 'profiles' | 'x509EndsAt'>, now: number): string {
  const left = (instant: number): string => `${seconds(instant - now)} s`
  const { app, reports } = story.profiles
  if (part === 'agent')
    return here
      ? 'The agent is back. The daemon connects again within a second and takes a new SVID.'
      : `The agent is gone. app is renewed with the X.509-SVID in hand, for ${left(story.x509EndsAt)} yet; reports needs a new JWT-SVID each time and lives on its last good credentials for ${left(reports.endsAt)}. Only when they end do callers get 503.`
  if (!here)
    return `AWS issues nothing now. The daemon goes on serving the last good credentials, of app for ${left(app.endsAt)} and of reports for ${left(reports.endsAt)}; then callers get 503.`
  const waits = [app, reports].flatMap(({ retryAt }) => (retryAt === undefined || retryAt < now ? [] : [retryAt]))
  const when = waits.length === 0 ? 'when they are due' : `within ${left(Math.max(...waits))}`
  return `AWS issues again. The daemon asks for new credentials ${when}.`
}

/** What speaks against the demo: sentences, none if every call succeeded and both kinds of rotation were seen. */
export function objections({ profiles, rotations, firstError }: Pick<Story, 'profiles' | 'rotations' | 'firstError'>): string[] {
  const calls = profileNames.reduce((sum, name) => sum + profiles[name].ok + profiles[name].failed, 0)
  const failed = profileNames.reduce((sum, name) => sum + profiles[name].failed, 0)
  return [
    ...(calls === 0 ? ['no call was made'] : []),
    ...(failed === 0 ? [] : [`${failed} of ${count(calls, 'call')} failed, the first with ${firstError}`]),
    ...(rotations.svids === 0 ? ['no new X.509-SVID was seen'] : []),
    ...(rotations.credentials === 0 ? ['no new AWS credentials were seen'] : []),
  ]
}

/** The counts in a sentence. */
export function tallies({ profiles, rotations }: Pick<Story, 'profiles' | 'rotations'>): string {
  const calls = profileNames.reduce((sum, name) => sum + profiles[name].ok + profiles[name].failed, 0)
  const failed = profileNames.reduce((sum, name) => sum + profiles[name].failed, 0)
  const outcome = failed === 0 ? 'none failed' : `${failed} failed`
  return `${count(calls, 'call')}, ${outcome}; ${count(rotations.svids, 'new X.509-SVID')} and ${rotations.credentials} new credentials in use.`
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`

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
