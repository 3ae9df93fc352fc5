// All listeners of the daemon as one set: a new configuration opens what is new before it closes what is gone.
import type { Config } from '../config/config.ts'
import { errorText, toFailure } from '../core/errors.ts'
import { type Handler, listen, type OpenListener } from '../endpoints/server.ts'
import { credentialListeners, type ListenerDeps, type Secrets, telemetryListeners, unavailable, type WantedListener, writeSecrets } from './wanted-listeners.ts'

export interface Listeners {
  readonly open: ReadonlyMap<string, OpenListener>
  /**
   * Opens what is new; it answers 503 until the returned function, called once the parts are there, gives every
   * listener its handler and closes what is gone. Throws listen_failed or runtime_dir, and then nothing has changed.
   */
  prepare(config: Config): Promise<() => Promise<void>>
  stop(): Promise<void>
}

interface Open {
  readonly listener: OpenListener
  readonly key: string
  readonly telemetry: boolean
}

/** Creates the set, empty. */
export function createListeners(deps: ListenerDeps): Listeners {
  const { emit } = deps
  const stopping = new AbortController()
  let open = new Map<string, Open>()
  let held: Secrets | undefined

  /** A handler that throws is a defect: whoever asked gets an empty 500, and this is told. */
  const watched =
    (handler: Handler): Handler =>
    async (request) => {
      try {
        return await handler(request)
      } catch (error) {
        emit({ type: 'daemon.defect', failure: toFailure(error) })
        throw error
      }
    }

  return {
    get open() {
      return new Map([...open].map(([name, { listener }]) => [name, listener]))
    },
    async prepare(config) {
      const next = new Map<string, Open>()
      const fresh: OpenListener[] = []
      async function openAll(list: readonly WantedListener[]): Promise<void> {
        for (const { name, at } of list) {
          const key = at.kind === 'unix' ? at.path : JSON.stringify(at)
          const known = open.get(name)
          if (known?.key === key) next.set(name, known)
          else {
            const listener = await listen(name, at, unavailable, deps.clock)
            fresh.push(listener)
            next.set(name, { listener, key, telemetry: list === telemetry })
          }
        }
      }
      const telemetry = telemetryListeners(config, deps)
      const credentials = credentialListeners(config, deps, stopping.signal)
      const wanted = [...telemetry, ...credentials]
      let secrets: Secrets
      try {
        await openAll(telemetry)
        await openAll(credentials)
        // Last: another daemon in this directory, or a port in use, would have stopped us before any file is touched.
        secrets = await writeSecrets(config, held)
      } catch (error) {
        for (const listener of fresh) await listener.stop()
        throw error
      }
      return async () => {
        const before = open
        open = next
        held = secrets
        const all = new Map([...open].map(([name, { listener }]) => [name, listener]))
        // In the order of `wanted`: telemetry answers first.
        for (const { name, at, handler } of wanted) {
          const one = open.get(name)
          try {
            await one?.listener.change(watched(handler(all, secrets)), at)
          } catch (error) {
            // The handler is in place; only the rights of a socket that somebody has removed could not be set.
            emit({
              type: 'listener.warning',
              listener: name,
              message: `cannot set the rights of ${name}: ${errorText(error)}. Restart svidecar if its socket is gone`,
            })
          }
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
      // Telemetry came first and goes last; in each group all at once, since each may take a moment to drain.
      const groups = [[...open.values()].filter(({ telemetry }) => !telemetry), [...open.values()].filter(({ telemetry }) => telemetry)]
      for (const group of groups) await Promise.all(group.map(({ listener }) => listener.stop()))
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
