// Config → parts, nothing started: the only translator between what was configured and what the stages take.
import { roleName } from '../aws/arn.ts'
import { type Config, type IdentityConfig, ofIdentities, type ProfileConfig } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'
import type { Event, World } from '../core/events.ts'
import { callHttps } from '../core/https.ts'
import { linked, run, type Task } from '../core/run.ts'
import { createCell } from '../core/source.ts'
import { createStore } from '../credentials/store.ts'
import type { ProfileView } from '../endpoints/documents.ts'
import type { ExchangeContext, Permit } from '../exchange/exchange.ts'
import { rolesAnywhere } from '../exchange/roles-anywhere.ts'
import { webIdentity } from '../exchange/web-identity.ts'
import { createJwtBundleSource } from '../identity/workload-api/bundle-source.ts'
import { createJwtSource } from '../identity/workload-api/jwt-source.ts'
import { createX509Source } from '../identity/workload-api/x509-source.ts'
import { reachAgent } from './agent.ts'

export type IdentityPart = ReturnType<typeof assembleIdentity>

/** One identity: the sources of both forms, with one choice between them. Only the streams that somebody reads are open. */
export function assembleIdentity(config: IdentityConfig, { clock, random, emit }: World) {
  const { name: identity } = config
  const agent = reachAgent(config, clock, (code, message) => emit({ type: 'identity.warning', identity, code, message }))
  const options = { identity, ...agent, clock, random, emit }
  const x509 = createX509Source(options)
  const jwt = createJwtSource(options)
  const jwtBundles = createJwtBundleSource(options)
  const needs = createCell<Needs>({ x509: false, jwtBundles: false, audiences: [] })
  const whileNeeded =
    (kind: 'x509' | 'jwtBundles', stream: Task): Task =>
    async (signal) => {
      const until = async (wanted: boolean, either: AbortSignal) => {
        while (needs.current[kind] !== wanted) await needs.next(needs.current, either)
      }
      for (;;) {
        signal.throwIfAborted()
        await until(true, signal)
        const open = linked(signal)
        await run([stream, (either) => until(false, either).then(open.stop)], open.signal)
      }
    }
  const streams = [whileNeeded('x509', x509.run), jwt.run, whileNeeded('jwtBundles', jwtBundles.run)]
  const runAll: Task = (signal) => run(streams, signal)
  const need = (next: Needs): void => {
    needs.set(next)
    jwt.source.retain(next.audiences)
  }
  return { api: agent.api, x509: x509.source, jwt: jwt.source, jwtBundles: jwtBundles.source, need, run: runAll }
}

export type ProfilePart = ReturnType<typeof assembleProfile>

/** One profile: its exchange, its store, and what moves the store when the identity does. */
export function assembleProfile(
  config: ProfileConfig,
  identity: IdentityPart,
  permit: Permit,
  onWithdrawn: Config['onIdentityWithdrawn'],
  { clock, random, emit }: World,
) {
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
  const view: ProfileView = { name, roleArn: method.role.text, roleName: roleName(method.role), region, state: store.state }
  const runAll: Task = (signal) => run([store.run, follow], signal)
  return { view, store, run: runAll, replaced: () => emit({ type: 'credentials.forgotten', profile: name }) }
}

/** The method's name in metrics and events. */
const methodLabel = ({ method }: ProfileConfig): 'rolesanywhere' | 'webidentity' => (method.kind === 'roles_anywhere' ? 'rolesanywhere' : 'webidentity')

/** What everybody who listens is told of a configuration that is in force. */
export const loadedEvent = ({ origin, profiles, consumers, files, hooks }: Config, clock: Clock): Event => ({
  type: 'config.loaded',
  at: clock.now(),
  origin,
  // A consumer's audiences are those of the default identity.
  identities: [
    ...new Set(
      [...profiles, ...ofIdentities(files)].map(({ identity }) => identity).concat(consumers.some(({ audiences }) => audiences.length > 0) ? ['default'] : []),
    ),
  ],
  profiles: profiles.map((profile) => ({
    name: profile.name,
    required: profile.required,
    roleArn: profile.method.role.text,
    method: methodLabel(profile),
    identity: profile.identity,
  })),
  outputs: files.map(({ name, kind }) => ({ output: name, kind })),
  hooks: hooks.map(({ name }) => name),
})

export type Needs = ReturnType<typeof needsOf>

/** Which streams of an identity have a reader: an exchange, a file, or the wish to hear of a withdrawal. */
export function needsOf(config: Config, identity: string) {
  const files = ofIdentities(config.files).filter((file) => file.identity === identity)
  const kinds: readonly string[] = files.map(({ kind }) => kind)
  // A consumer's audiences are those of the default identity.
  const ofConsumers = identity === 'default' ? config.consumers.flatMap(({ audiences }) => audiences.map((audience) => [audience])) : []
  const audiences = [...files.flatMap((file) => (file.kind === 'jwt' ? [file.audience] : [])), ...ofConsumers]
  const exchanged = config.profiles.some((profile) => profile.identity === identity && profile.method.kind === 'roles_anywhere')
  return { x509: config.onIdentityWithdrawn === 'drop' || exchanged || kinds.includes('x509'), jwtBundles: kinds.includes('jwt_bundle'), audiences }
}
