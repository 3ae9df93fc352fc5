// Credentials as the bytes that clients read: rendered once for each set of credentials, checked against the clock at each request.
import { type Credentials, isoSeconds } from '../aws/credentials.ts'
import type { Clock } from '../core/clock.ts'
import type { Source } from '../core/source.ts'
import { type CredentialState, usable } from '../credentials/store.ts'
import { jsonText } from './guard.ts'
import type { Told } from './told.ts'

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

/** The answer with a profile's credentials at this instant, or undefined when there is nothing to give out. */
function document(render: (credentials: Credentials) => object) {
  const rendered = new WeakMap<Credentials, Told>()
  return ({ state }: ProfileView, clock: Clock): Told | undefined => {
    const credentials = usable(state.current, clock.boot())
    if (credentials === undefined) return undefined
    const { accessKeyId } = credentials
    const answer = rendered.get(credentials) ?? { ...jsonText(200, Buffer.from(JSON.stringify(render(credentials)))), accessKeyId }
    rendered.set(credentials, answer)
    return answer
  }
}

export const imdsDocument = document(fields)
export const containerDocument = document((credentials) => ({ ...fields(credentials), RoleArn: credentials.roleArn }))
export const processDocument = document((credentials) => {
  const { AccessKeyId, SecretAccessKey, Token, Expiration, AccountId } = fields(credentials)
  return { Version: 1, AccessKeyId, SecretAccessKey, SessionToken: Token, Expiration, AccountId }
})
