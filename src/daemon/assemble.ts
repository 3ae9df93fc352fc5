// Config → parts, nothing started: the only translator between what was configured and what the stages take.
import { parseArn, roleName } from '../aws/arn.ts'
import type { Config, IdentityConfig, ProfileConfig } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'
import { failure } from '../core/errors.ts'
import type { Emit, Event } from '../core/events.ts'
import { callHttps } from '../core/https.ts'
import { run, type Task } from '../core/run.ts'
import { createStore, type Store } from '../credentials/store.ts'
import type { ProfileView } from '../endpoints/documents.ts'
import type { ExchangeContext, Permit } from '../exchange/exchange.ts'
import { rolesAnywhere } from '../exchange/roles-anywhere.ts'
import { webIdentity } from '../exchange/web-identity.ts'
import { createChoice } from '../identity/choice.ts'
import { inspectProcess, registrationCommand } from '../identity/registration.ts'
import type { JwtSource, X509Source } from '../identity/sources.ts'
import { createWorkloadApi, type WorkloadApi } from '../identity/workload-api/client.ts'
import { createJwtSource } from '../identity/workload-api/jwt-source.ts'
import { createX509Source } from '../identity/workload-api/x509-source.ts'

/** What every part is handed. */
export interface World {
  readonly clock: Clock
  readonly random: () => number
  readonly emit: Emit
}

export interface IdentityPart {
  readonly api: WorkloadApi
  readonly x509: X509Source
  readonly jwt: JwtSource
  /** Without the X.509 stream when nobody needs it: only the streams that some output needs are opened. */
  readonly run: (needsX509: boolean) => Task
}

/** One identity: the sources of both forms, with one choice between them. */
export function assembleIdentity(config: IdentityConfig, { clock, random, emit }: World): IdentityPart {
  const { name } = config
  const api = createWorkloadApi(config.workloadApi, clock)
  const choice = createChoice({ spiffeId: config.spiffeId, hint: config.hint }, (code, message) =>
    emit({ type: 'identity.warning', identity: name, code, message }),
  )
  let command: string | undefined
  const options = {
    identity: name,
    api,
    choice,
    clock,
    random,
    emit,
    explain: (problem: ReturnType<typeof failure>) => {
      if (problem.code !== 'identity_not_issued') return problem
      command ??= registrationCommand(inspectProcess(), config.spiffeId)
      return failure(problem.code, problem.message, { remedy: `Register this process: ${command}` })
    },
  }
  const x509 = createX509Source(options)
  const jwt = createJwtSource(options)
  return { api, x509: x509.source, jwt: jwt.source, run: (needsX509) => (signal) => run(needsX509 ? [x509.run, jwt.run] : [jwt.run], signal) }
}

export interface ProfilePart {
  readonly view: ProfileView
  readonly store: Store
  readonly run: Task
}

/** One profile: its exchange, its store, and what moves the store when the identity does. */
export function assembleProfile(
  config: ProfileConfig,
  identity: IdentityPart,
  permit: Permit,
  onWithdrawn: Config['onIdentityWithdrawn'],
  world: World,
): ProfilePart {
  const { clock, random, emit } = world
  const { name, region, method, sessionName, ca } = config
  const context: ExchangeContext = { profile: name, clock, permit, emit, call: (call, signal) => callHttps(call, clock, signal) }
  const common = { role: method.role, region, endpoint: new URL(config.endpoint), durationSeconds: method.durationSeconds, sessionName, ca }
  const exchange =
    method.kind === 'roles_anywhere'
      ? rolesAnywhere(identity.x509, context, { ...common, trustAnchor: method.trustAnchor, profile: method.profile })
      : webIdentity(identity.jwt, context, { ...common, audience: method.audience })
  const store = createStore({ profile: name, method: methodLabel(config), exchange, clock, random, emit })
  const follow: Task = async (signal) => {
    for (let state = identity.x509.current; ; ) {
      const next = await identity.x509.next(state, signal)
      if (next.status === 'withdrawn' && onWithdrawn === 'drop') store.drop(next.failure)
      else if (next.status === 'ready' && (state.status !== 'ready' || next.value.svid !== state.value.svid)) store.nudge()
      state = next
    }
  }
  const view: ProfileView = { name, roleArn: method.role.text, roleName: roleName(parseArn(method.role.text, 'role')), region, state: store.state }
  return { view, store, run: (signal) => run([store.run, follow], signal) }
}

/** The method's name in metrics and events. */
const methodLabel = ({ method }: ProfileConfig): 'rolesanywhere' | 'webidentity' => (method.kind === 'roles_anywhere' ? 'rolesanywhere' : 'webidentity')

/** What everybody who listens is told of a configuration that is in force. */
export const loadedEvent = ({ origin, profiles, consumers }: Config, clock: Clock): Event => ({
  type: 'config.loaded',
  at: clock.now(),
  origin,
  // A consumer's audiences are those of the default identity.
  identities: [...new Set([...profiles.map(({ identity }) => identity), ...(consumers.some(({ audiences }) => audiences.length > 0) ? ['default'] : [])])],
  profiles: profiles.map((profile) => ({
    name: profile.name,
    required: profile.required,
    roleArn: profile.method.role.text,
    method: methodLabel(profile),
    identity: profile.identity,
  })),
})

/** Whether an identity's X.509 stream has a reader: an exchange, or the wish to hear of a withdrawal. */
export const needsX509 = (config: Config, identity: string): boolean =>
  config.onIdentityWithdrawn === 'drop' || config.profiles.some((profile) => profile.identity === identity && profile.method.kind === 'roles_anywhere')
