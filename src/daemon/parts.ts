// The running identities, profiles, outputs and hooks. A new configuration keeps those that did not change, with all they have.
import { type Config, ofIdentities } from '../config/config.ts'
import { toFailure } from '../core/errors.ts'
import type { Event, World } from '../core/events.ts'
import { type Running, start, type Task } from '../core/run.ts'
import { createLimiter } from '../credentials/limiter.ts'
import type { Output } from '../files/output.ts'
import { type Hook, type Trigger, triggerOf } from '../hooks/hook.ts'
import { assembleIdentity, assembleProfile, type IdentityPart, needsOf, type ProfilePart } from './assemble.ts'
import { assembleCredentialsFile, assembleHook, assembleOutput } from './assemble-outputs.ts'

/** What runs under a name. `replaced` is called when a successor is about to take the name, `gone` when there is none. */
interface Part {
  readonly run: Task
  readonly replaced?: () => void
  readonly gone?: (why: string) => Promise<void>
}

interface Wanted<P> {
  readonly name: string
  /** What people are told instead of the name. */
  readonly label?: string
  /** Equal for what may go on running as it is. */
  readonly key: string
  readonly make: () => P
}

type Kept<P> = P & { readonly key: string; readonly label: string; readonly running: Running }

/** Parts of one kind, by name. `endsFirst`: what is gone ends before anything new begins. */
function createGroup<P extends Part>(launch: (task: Task) => Running, endsFirst = false) {
  const kept = new Map<string, Kept<P>>()
  return {
    kept,
    /** Starts what is new; resolves with how to stop what is gone. */
    async apply(wanted: readonly Wanted<P>[], changed: Set<string>): Promise<(why: string) => Promise<void>> {
      const leaving = [...kept].filter(([name]) => wanted.every((one) => one.name !== name))
      for (const [name] of leaving) kept.delete(name)
      const leave = async (why: string) => {
        for (const [, { label }] of leaving) changed.add(label)
        // All at once, since a child may take its time to end.
        await Promise.all(leaving.map(([, { running, gone }]) => running.stop().then(() => gone?.(why))))
      }
      if (endsFirst) await leave(noLonger)
      for (const { name, label = name, key, make } of wanted) {
        const known = kept.get(name)
        if (known?.key === key) continue
        changed.add(label)
        // The old one ends first, or it might still tell of itself under the name of the new one.
        await known?.running.stop()
        known?.replaced?.()
        kept.delete(name)
        const part = make()
        kept.set(name, { ...part, key, label, running: launch(part.run) })
      }
      return endsFirst ? async () => {} : leave
    },
  }
}

const noLonger = 'it is no longer asked for'
const exchangesPerSecond = 5
const restartMs = 1_000

export type Parts = ReturnType<typeof createParts>

/** Creates the set, empty. */
export function createParts(outer: World) {
  // What lies there now, by output or profile: a child that comes later is started by it.
  const placed = new Map<string, Trigger>()
  // What came while parts change: a hook that takes the place of another may have missed it.
  let meanwhile = new Set<Trigger>()
  const emit = (event: Event): void => {
    const trigger = triggerOf(event)
    const subject = 'output' in event ? event.output : 'profile' in event ? event.profile : ''
    if (trigger !== undefined) {
      placed.set(subject, trigger)
      meanwhile.add(trigger)
    } else if (/^(output\.removed|credentials\.(expired|dropped|forgotten))$/.test(event.type)) placed.delete(subject)
    // Hooks first: whoever asks whether they are idle must not be told too early.
    for (const hook of hooks.kept.values()) hook.listener(event)
    outer.emit(event)
  }
  const world: World = { ...outer, emit }
  const permit = createLimiter(exchangesPerSecond, world.clock)

  /** A defect ends a task; it must not end the daemon, whose other parts are fine. */
  const launch = (task: Task): Running =>
    start(async (signal) => {
      for (;;) {
        try {
          return await task(signal)
        } catch (error) {
          if (signal.aborted) return
          emit({ type: 'daemon.defect', failure: toFailure(error) })
          await world.clock.sleep(restartMs, signal)
        }
      }
    })

  const identities = createGroup<IdentityPart>(launch)
  const profiles = createGroup<ProfilePart>(launch)
  const outputs = createGroup<Output>(launch)
  const hooks = createGroup<Hook>(launch, true)

  /** One for each that has an identity; a changed identity changes what hangs on it, and so does `also`. What is required is no part of the work. */
  const perIdentity = <C extends { name: string; identity: string }, P>(
    configs: readonly C[],
    also: unknown,
    make: (config: C, identity: IdentityPart) => P,
  ): Wanted<P>[] =>
    configs.flatMap((config) => {
      const identity = identities.kept.get(config.identity)
      if (identity === undefined) return []
      return [{ name: config.name, key: JSON.stringify([{ ...config, required: undefined }, also, identity.key]), make: () => make(config, identity) }]
    })

  return {
    identities: identities.kept as ReadonlyMap<string, IdentityPart>,
    profiles: profiles.kept as ReadonlyMap<string, ProfilePart>,
    /** Every hook has been told of everything. */
    idle: (): boolean => [...hooks.kept.values()].every((hook) => hook.idle()),
    /** Starts what is new or different, stops what is gone; returns the names of what changed. Throws config_invalid for an unknown owner. */
    async apply(config: Config): Promise<readonly string[]> {
      const changed = new Set<string>()
      meanwhile = new Set()
      const { onIdentityWithdrawn, stopTimeoutMs } = config
      const wantedIdentities = config.identities.map((identity) => ({
        name: identity.name,
        key: JSON.stringify(identity),
        make: () => assembleIdentity(identity, world),
      }))
      const named = new Set([...config.files, ...config.profiles].map(({ name }) => name))
      // By what it does, so that a hook that stands elsewhere now is the same one.
      const wantedHooks = config.hooks.map((hook, index) => {
        const content = JSON.stringify([hook.on, hook.action])
        const before = config.hooks.slice(0, index).filter(({ on, action }) => JSON.stringify([on, action]) === content)
        const isChild = hook.action.kind === 'child'
        const lies = (trigger: Trigger) => [...placed].some(([name, one]) => one === trigger && named.has(name))
        const isDue = () => hook.on.some((trigger) => meanwhile.has(trigger) || (isChild && lies(trigger)))
        return {
          name: `hook ${content} ${before.length}`,
          label: `hook ${hook.name}`,
          key: String(isChild && stopTimeoutMs),
          make: () => assembleHook(hook, stopTimeoutMs, isDue(), world),
        }
      })
      const wantedOutputs = () => [
        ...perIdentity(ofIdentities(config.files), undefined, (file, identity) => assembleOutput(file, identity, world)),
        ...config.files.flatMap((file): Wanted<Output>[] => {
          const profile = file.kind === 'credentials' && profiles.kept.get(file.profile)
          if (!profile) return []
          return [{ name: file.name, key: JSON.stringify([file, profile.key]), make: () => assembleCredentialsFile(file, profile, world) }]
        }),
      ]
      const stops = [await identities.apply(wantedIdentities, changed)]
      for (const { name } of config.identities) identities.kept.get(name)?.need(needsOf(config, name))
      stops.push(
        await profiles.apply(
          perIdentity(config.profiles, onIdentityWithdrawn, (profile, identity) => assembleProfile(profile, identity, permit, onIdentityWithdrawn, world)),
          changed,
        ),
        // Hooks listen before there is anything to hear.
        await hooks.apply(wantedHooks, changed),
        await outputs.apply(wantedOutputs(), changed),
      )
      for (const stop of stops.reverse()) await stop(noLonger)
      return [...changed]
    },
    async stop(): Promise<void> {
      // Children first: what they read is still there while they end.
      for (const group of [hooks, outputs, profiles, identities]) await (await group.apply([], new Set()))('svidecar stops')
    },
  }
}
