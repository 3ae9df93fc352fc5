// All listeners of the daemon as one set: a new configuration opens what is new before it closes what is gone.
import type { Config } from '../config/config.ts'
import { listen, type OpenListener } from '../endpoints/server.ts'
import { type ListenerDeps, unavailable, type WantedListener, wantedListeners } from './wanted-listeners.ts'

export interface Listeners {
  readonly open: ReadonlyMap<string, OpenListener>
  /**
   * Opens what is new; it answers 503 until the returned function, called once the parts are there, gives every
   * listener its handler and closes what is gone. Throws listen_failed or runtime_dir, and then nothing has changed.
   */
  prepare(config: Config): Promise<() => Promise<void>>
  stop(): Promise<void>
}

/** Creates the set, empty. */
export function createListeners(deps: ListenerDeps): Listeners {
  const { emit } = deps
  const stopping = new AbortController()
  let open = new Map<string, { listener: OpenListener; key: string }>()

  /** Opens what is not open yet; on a failure closes again what this call opened. */
  async function openAll(wanted: readonly WantedListener[]): Promise<Map<string, { listener: OpenListener; key: string }>> {
    const next = new Map<string, { listener: OpenListener; key: string }>()
    const fresh: OpenListener[] = []
    try {
      for (const { name, at } of wanted) {
        const key = at.kind === 'unix' ? at.path : JSON.stringify(at)
        const known = open.get(name)
        if (known?.key === key) {
          next.set(name, known)
          continue
        }
        const listener = await listen(name, at, unavailable, deps.clock)
        fresh.push(listener)
        next.set(name, { listener, key })
      }
    } catch (error) {
      for (const listener of fresh) await listener.stop()
      throw error
    }
    return next
  }

  return {
    get open() {
      return new Map([...open].map(([name, { listener }]) => [name, listener]))
    },
    async prepare(config) {
      const wanted = await wantedListeners(config, deps, stopping.signal)
      const next = await openAll(wanted)
      return async () => {
        const before = open
        open = next
        const all = new Map([...open].map(([name, { listener }]) => [name, listener]))
        // In the order of `wanted`: telemetry answers first.
        for (const { name, at, handler } of wanted) {
          const one = open.get(name)
          await one?.listener.change(handler(all), at)
          if (one !== undefined && before.get(name) !== one) emit({ type: 'listener.opened', listener: name, address: one.listener.address })
        }
        for (const [name, one] of before) {
          if (open.get(name) === one) continue
          await one.listener.stop()
          if (!open.has(name)) emit({ type: 'listener.closed', listener: name })
        }
        warnOpen(config)
      }
    },
    async stop() {
      stopping.abort()
      // Telemetry came first and goes last.
      for (const { listener } of [...open.values()].reverse()) await listener.stop()
      open = new Map()
    },
  }

  function warnOpen(config: Config): void {
    for (const { profile } of config.imdsEndpoints)
      emit({
        type: 'listener.warning',
        listener: `imds ${profile}`,
        message: `any local process can read the credentials of profile ${profile} from its IMDS endpoint: IMDS authenticates nobody. Prefer the container endpoint where the SDK can use it`,
      })
  }
}
