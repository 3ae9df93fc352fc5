// Files and hooks of a configuration → outputs and hooks, nothing started.
import type { CredentialsFileConfig, HookConfig, IdentityFileConfig, X509FileConfig } from '../config/config.ts'
import type { World } from '../core/events.ts'
import { run } from '../core/run.ts'
import type { CredentialState } from '../credentials/store.ts'
import { jwtBundleContent, x509Contents } from '../files/contents.ts'
import { credentialsFile, sectionBody } from '../files/credentials-file.ts'
import { createGenerations } from '../files/generations.ts'
import { createOutput, type Output, type Rendered } from '../files/output.ts'
import { plainFiles } from '../files/place.ts'
import { createChild } from '../hooks/child.ts'
import { runCommand } from '../hooks/command.ts'
import { createHook, type Hook } from '../hooks/hook.ts'
import { signalPidFile } from '../hooks/signal.ts'
import type { IdentityState, X509Identity } from '../identity/sources.ts'
import type { IdentityPart, ProfilePart } from './assemble.ts'
import { ownerOf } from './runtime-dir.ts'

const whenReady =
  <T>(render: (value: T, now: number) => Rendered) =>
  (state: IdentityState<T>, now: number): Rendered | undefined =>
    state.status === 'ready' ? render(state.value, now) : undefined

/** The section of one profile in a shared credentials file. Throws config_invalid for an unknown owner or group. */
export function assembleCredentialsFile(config: CredentialsFileConfig, { view }: ProfilePart, world: World): Output {
  const { name, path, section, mode, removeAtStop } = config
  return createOutput<CredentialState>({
    ...world,
    name,
    kind: 'credentials',
    removeAtStop,
    removeExpired: false,
    place: credentialsFile(path, section, ownerOf(config, name), world.clock),
    source: view.state,
    render: (state) =>
      'credentials' in state
        ? { files: [{ path, data: Buffer.from(sectionBody(state.credentials)), mode }], expiresAt: state.credentials.expiration }
        : undefined,
  })
}

/** One output: what its files hold, and where they go. Throws config_invalid for an unknown owner or group. */
export function assembleOutput(config: IdentityFileConfig, { x509, jwt, jwtBundles }: IdentityPart, world: World): Output {
  const { name, kind, removeAtStop, mode, keepMode } = config
  const rights = { mode, keepMode }
  const owner = ownerOf(config, name)
  const common = { name, kind, removeAtStop, removeExpired: false, place: plainFiles(owner), ...world }
  switch (config.kind) {
    case 'x509': {
      const place = config.directory === undefined ? common.place : createGenerations(config.directory, owner, world.clock)
      return createOutput({ ...common, place, source: x509, render: whenReady((value, now) => renderX509(value, config, now)) })
    }
    case 'jwt': {
      const { audience, path, removeExpired } = config
      return createOutput({
        ...common,
        removeExpired,
        place: plainFiles(owner, path),
        source: jwt.watch(audience),
        render: whenReady(({ compact, expiresAt }) => ({ files: [{ path, data: Buffer.from(compact.reveal()), ...rights }], expiresAt })),
      })
    }
    case 'jwt_bundle': {
      const { path, format, trustDomain } = config
      return createOutput({
        ...common,
        source: jwtBundles,
        render: whenReady((bundles) => ({ files: [{ path, data: jwtBundleContent(bundles, format, trustDomain), ...rights }] })),
      })
    }
  }
}

/** Ends with the leaf: nothing in the set is of use without it. */
function renderX509(value: X509Identity, config: X509FileConfig, now: number): Rendered {
  const secretRights = { mode: config.keyMode, keepMode: config.keepKeyMode }
  const rights = { mode: config.mode, keepMode: config.keepMode }
  const files = x509Contents(value, config, now).map(({ path, data, secret }) => ({ path, data, ...(secret ? secretRights : rights) }))
  return { files, expiresAt: value.svid.notAfter }
}

/** One hook. `due`: there is something already that it has not been told of. */
export function assembleHook({ name, on, action }: HookConfig, stopMs: number, due: boolean, { clock, random, emit }: World): Hook {
  const common = { name, on, due, emit }
  switch (action.kind) {
    case 'run':
      return createHook({ ...common, action: runCommand({ ...action, hook: name, clock, emit }) })
    case 'signal':
      return createHook({ ...common, action: signalPidFile(action.pidFile, action.signal, clock) })
    case 'child': {
      const child = createChild({ ...action, hook: name, stopMs, clock, random, emit })
      const hook = createHook({ ...common, action: child.action })
      return { ...hook, run: (signal) => run([child.run, hook.run], signal) }
    }
  }
}
