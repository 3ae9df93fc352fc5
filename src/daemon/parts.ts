// The running identities and profiles. A new configuration keeps those that did not change, with their credentials.
import type { Config } from '../config/config.ts'
import { toFailure } from '../core/errors.ts'
import { type Running, start, type Task } from '../core/run.ts'
import { createLimiter } from '../credentials/limiter.ts'
import { assembleIdentity, assembleProfile, type IdentityPart, needsX509, type ProfilePart, type World } from './assemble.ts'

export interface Parts {
  readonly identities: ReadonlyMap<string, IdentityPart>
  readonly profiles: ReadonlyMap<string, ProfilePart>
  /** Starts what is new or different, stops what is gone; returns the names of what changed. */
  apply(config: Config): Promise<readonly string[]>
  stop(): Promise<void>
}

interface Wanted<P> {
  readonly name: string
  readonly key: string
  readonly make: () => P
  readonly task: (part: P) => Task
}

interface Kept<P> {
  readonly key: string
  readonly part: P
  readonly running: Running
}

const exchangesPerSecond = 5
const restartMs = 1_000

/** Creates the set, empty. */
export function createParts(world: World): Parts {
  const permit = createLimiter(exchangesPerSecond, world.clock)
  let identities = new Map<string, Kept<IdentityPart>>()
  let profiles = new Map<string, Kept<ProfilePart>>()

  /** A defect ends a task; it must not end the daemon, whose other profiles are fine. */
  const launch = (task: Task): Running =>
    start(async (signal) => {
      for (;;) {
        try {
          return await task(signal)
        } catch (error) {
          if (signal.aborted) return
          world.emit({ type: 'daemon.defect', failure: toFailure(error) })
          await world.clock.sleep(restartMs, signal)
        }
      }
    })

  async function reconcile<P>(
    old: Map<string, Kept<P>>,
    wanted: readonly Wanted<P>[],
    changed: Set<string>,
    replaced: (name: string) => void,
  ): Promise<Map<string, Kept<P>>> {
    const next = new Map<string, Kept<P>>()
    for (const { name, key, make, task } of wanted) {
      const known = old.get(name)
      if (known?.key === key) next.set(name, known)
      else {
        changed.add(name)
        // The old one ends first, or it might still tell of itself under the name of the new one.
        await known?.running.stop()
        if (known !== undefined) replaced(name)
        const part = make()
        next.set(name, { key, part, running: launch(task(part)) })
      }
    }
    return next
  }

  const stopGone = async <P>(old: Map<string, Kept<P>>, kept: Map<string, Kept<P>>, changed: Set<string>) => {
    for (const [name, one] of [...old].reverse()) {
      if (kept.get(name) === one) continue
      changed.add(name)
      await one.running.stop()
    }
  }

  return {
    get identities() {
      return new Map([...identities].map(([name, { part }]) => [name, part]))
    },
    get profiles() {
      return new Map([...profiles].map(([name, { part }]) => [name, part]))
    },
    async apply(config) {
      const changed = new Set<string>()
      const before = { identities, profiles }
      identities = await reconcile(
        before.identities,
        config.identities.map((identity) => {
          const streams = needsX509(config, identity.name)
          return {
            name: identity.name,
            key: JSON.stringify([identity, streams]),
            make: () => assembleIdentity(identity, world),
            task: (part: IdentityPart) => part.run(streams),
          }
        }),
        changed,
        () => {},
      )
      profiles = await reconcile(
        before.profiles,
        config.profiles.flatMap((profile) => {
          const identity = identities.get(profile.identity)
          if (identity === undefined) return []
          const key = JSON.stringify([{ ...profile, required: undefined }, identity.key, config.onIdentityWithdrawn])
          return [
            {
              name: profile.name,
              key,
              make: () => assembleProfile(profile, identity.part, permit, config.onIdentityWithdrawn, world),
              task: (part: ProfilePart) => part.run,
            },
          ]
        }),
        changed,
        (profile) => world.emit({ type: 'credentials.forgotten', profile }),
      )
      await stopGone(before.profiles, profiles, changed)
      await stopGone(before.identities, identities, changed)
      return [...changed]
    },
    async stop() {
      await stopGone(profiles, new Map(), new Set())
      await stopGone(identities, new Map(), new Set())
    },
  }
}
