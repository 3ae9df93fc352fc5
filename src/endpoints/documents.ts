// Credentials as the bytes that clients read: rendered once for each set of credentials, checked against the clock at each request.
import { type Credentials, isoSeconds } from '../aws/credentials.ts'
import type { Clock } from '../core/clock.ts'
import type { Source } from '../core/source.ts'
import { type CredentialState, usable } from '../credentials/store.ts'

/** One profile as endpoints see it: what it is called, and the state that they show and cannot change. */
export interface ProfileView {
  readonly name: string
  readonly roleArn: string
  readonly roleName: string
  readonly region: string
  readonly state: Source<CredentialState>
}

/** The profile of that name among those that somebody may read, or the only one if none is named. */
export const pick = (profiles: readonly ProfileView[], asked: string | undefined): ProfileView | undefined =>
  asked === undefined ? (profiles.length === 1 ? profiles[0] : undefined) : profiles.find(({ name }) => name === asked)

type Form = 'container' | 'imds' | 'process'

// The superset that all traced clients accept: .NET demands Code on the container route, Rust a Z and whole seconds.
const fields = (credentials: Credentials) => ({
  Code: 'Success',
  LastUpdated: isoSeconds(credentials.issuedAt),
  Type: 'AWS-HMAC',
  AccessKeyId: credentials.accessKeyId,
  SecretAccessKey: credentials.secretAccessKey.reveal(),
  Token: credentials.sessionToken.reveal(),
  Expiration: isoSeconds(credentials.expiration),
  AccountId: credentials.accountId,
})

const render: Readonly<Record<Form, (credentials: Credentials) => string>> = {
  imds: (credentials) => JSON.stringify(fields(credentials)),
  container: (credentials) => JSON.stringify({ ...fields(credentials), RoleArn: credentials.roleArn }),
  process(credentials) {
    const { AccessKeyId, SecretAccessKey, Token, Expiration, AccountId } = fields(credentials)
    return JSON.stringify({ Version: 1, AccessKeyId, SecretAccessKey, SessionToken: Token, Expiration, AccountId })
  },
}

const rendered = new WeakMap<Credentials, Partial<Record<Form, Buffer>>>()

/** The document of a profile at this instant, or undefined when there is nothing to give out. */
export function document(profile: ProfileView, form: Form, clock: Clock): Buffer | undefined {
  const credentials = usable(profile.state.current, clock.boot())
  if (credentials === undefined) return undefined
  let forms = rendered.get(credentials)
  if (forms === undefined) rendered.set(credentials, (forms = {}))
  return (forms[form] ??= Buffer.from(render[form](credentials)))
}
