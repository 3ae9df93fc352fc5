// All listeners of the daemon as one set: a new configuration opens what is new before it closes what is gone.
import type { Config, ConsumerConfig } from '../config/config.ts'
import { errorText, sentence, toFailure } from '../core/errors.ts'
import { inheritedSockets } from '../endpoints/inherited.ts'
import { type ListenAt, listen, type OpenListener } from '../endpoints/server.ts'
import { renewToken, type Secrets, writeSecrets } from './runtime-dir.ts'
import { type ListenerDeps, unavailable, wantedListeners } from './wanted-listeners.ts'

interface Open extends OpenListener {
  /** Equal for what may stay open. */
  readonly key: string
  readonly credentials: boolean
}

/** Creates the set, empty. */
export function createListeners(deps: ListenerDeps) {
  const { clock, emit } = deps
  const stopping = new AbortController()
  let open: ReadonlyMap<string, Open> = new Map()
  let held: Secrets | undefined

  const inherited = inheritedSockets(deps.env)
  const taken = (at: ListenAt): ListenAt => (at.kind === 'tcp' ? { ...at, descriptor: inherited.take(at.host, at.port) } : at)
  const warn = (listener: string, message: string) => emit({ type: 'listener.warning', listener, message })
  const defect = (error: unknown) => emit({ type: 'daemon.defect', failure: toFailure(error) })

  return {
    get open(): ReadonlyMap<string, OpenListener> {
      return open
    },
    /**
     * Opens what is new; it answers 503 until `between` has brought the parts. Then every listener gets its handler, and what is gone is
     * closed. Throws listen_failed, runtime_dir, config_invalid or what `between` throws, and then no listener has changed.
     */
    async apply<T>(config: Config, between: () => Promise<T>): Promise<T> {
      const wanted = wantedListeners(config, deps, stopping.signal)
      const before = open
      const next = new Map<string, Open>()
      const isNew = (name: string): boolean => next.get(name) !== before.get(name)
      let secrets: Secrets
      let result: T
      try {
        for (const { name, at, optional, credentials = false } of wanted) {
          const key = at.kind === 'unix' ? at.path : JSON.stringify(at)
          const known = before.get(name)
          try {
            next.set(name, known?.key === key ? known : { ...(await listen(name, taken(at), unavailable, clock, defect)), key, credentials })
          } catch (error) {
            if (!optional) throw error
            warn(name, sentence(toFailure(error)))
          }
        }
        // Last: another daemon in this directory, or a port in use, would have stopped us before any file is touched.
        secrets = await writeSecrets(config, held)
        result = await between()
      } catch (error) {
        for (const [name, one] of next) if (isNew(name)) await one.stop()
        throw error
      }
      open = next
      held = secrets
      // In the order of `wanted`: telemetry answers first.
      for (const { name, at, handler } of wanted) {
        const one = next.get(name)
        if (one === undefined) continue
        try {
          await one.change(handler(next, secrets), at)
        } catch (error) {
          // The handler is in place; only the rights of a socket that somebody has removed could not be set.
          warn(name, `cannot set the rights of ${name}: ${errorText(error)}. Restart svidecar if its socket is gone`)
        }
        if (isNew(name)) emit({ type: 'listener.opened', listener: name, address: one.address })
      }
      for (const [name, one] of before) {
        if (!isNew(name)) continue
        await one.stop()
        if (!next.has(name)) emit({ type: 'listener.closed', listener: name })
      }
      if (inherited.left() > 0)
        warn('systemd', `nobody answers on ${inherited.left()} of the sockets that systemd has handed over: no listener of the configuration has their address`)
      for (const { profile, uids } of config.imdsEndpoints)
        if (uids === undefined)
          warn(
            `imds ${profile}`,
            `any local process can read the credentials of profile ${profile} from its IMDS endpoint: IMDS authenticates nobody. Set uids, or prefer the container endpoint where the SDK can use it`,
          )
      return result
    },
    /** Gives a consumer of the running configuration another token. Throws runtime_dir and config_invalid, and then the old one stays. */
    async renewToken(config: Config, consumer: ConsumerConfig): Promise<void> {
      const secrets = await renewToken(config.runtimeDir, consumer, held ?? new Map(), clock.boot())
      held = secrets
      // Tokens open the container endpoint alone.
      const container = wantedListeners(config, deps, stopping.signal).find(({ name }) => name === 'container')
      if (container !== undefined) await open.get('container')?.change(container.handler(open, secrets), container.at)
    },
    async stop(): Promise<void> {
      stopping.abort()
      // Telemetry came first and goes last; in each group all at once, since each may take a moment to drain.
      for (const group of [true, false]) await Promise.all([...open.values()].filter(({ credentials }) => credentials === group).map((one) => one.stop()))
      open = new Map()
    },
  }
}
