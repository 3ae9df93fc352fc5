// The daemon: telemetry first, then identities and profiles, then the endpoints; stopped in reverse.
import type { Config } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'
import { type Failure, failure, toFailure } from '../core/errors.ts'
import { createEvents, type Listener } from '../core/events.ts'
import type { StatusReport } from '../core/health.ts'
import { start } from '../core/run.ts'
import type { OpenListener } from '../endpoints/server.ts'
import { createHealth } from '../telemetry/health.ts'
import { createLog } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { createSystemd } from '../telemetry/systemd.ts'
import { loadedEvent } from './assemble.ts'
import { createListeners } from './listeners.ts'
import { createParts } from './parts.ts'
import { prepareRuntimeDir } from './runtime-dir.ts'

export interface DaemonOptions {
  readonly config: Config
  /** Loads the configuration again, for a reload. Throws config_invalid. */
  readonly load: () => Promise<Config>
  readonly clock: Clock
  readonly random: () => number
  readonly env: NodeJS.ProcessEnv
  readonly version: string
  readonly commit: string
  /** A further listener: exec and tests follow the events. */
  readonly listener?: Listener | undefined
  /** Where the log goes; stderr when left out. */
  readonly writeLog?: ((line: string) => void) | undefined
}

export interface Daemon {
  readonly status: () => StatusReport
  readonly listeners: ReadonlyMap<string, OpenListener>
  readonly reload: () => Promise<{ changed: readonly string[] }>
  /** Tells of an error that nobody caught; everything goes on. */
  readonly defect: (failure: Failure) => void
  /** Answers in flight are finished; resolves when nothing is left. */
  readonly stop: (reason: string) => Promise<void>
}

const refreshMs = 15_000

/**
 * Starts everything and returns when all listeners are open; credentials come later, and until then endpoints
 * answer 503. Throws listen_failed, runtime_dir or config_invalid, and then nothing is left running.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { clock, random, env } = options
  let config = options.config
  const events = createEvents()
  const { emit } = events
  const health = createHealth(clock)
  const metrics = createMetrics()
  const systemd = createSystemd({ env, health: health.health, clock })
  const log = (of: Config) => events.subscribe(createLog({ ...of.log, clock, write: options.writeLog }))
  let unlog = log(config)
  for (const listener of [health.listener, metrics.listener, systemd?.listener, options.listener]) if (listener !== undefined) events.subscribe(listener)
  emit({ type: 'daemon.starting', version: options.version, commit: options.commit, pid: process.pid })

  const parts = createParts({ clock, random, emit })
  const announce = () => emit(loadedEvent(config, clock))

  async function refresh(name: string | undefined) {
    const stores = [...parts.profiles].filter(([profile]) => name === undefined || profile === name)
    return Promise.all(
      stores.map(async ([profile, { store }]) => {
        const limit = AbortSignal.timeout(refreshMs)
        try {
          const state = await store.refresh(limit)
          return { profile, ok: state.status === 'fresh' && state.failure === undefined, failure: state.failure }
        } catch {
          return { profile, ok: false, failure: failure('not_ready', `profile ${profile} waits for its identity`) }
        }
      }),
    )
  }

  let reloading: Promise<unknown> = Promise.resolve()
  /** One after the other. A configuration that does not load, or listeners that do not open, change nothing. */
  function reload(): Promise<{ changed: readonly string[] }> {
    const turn = reloading.then(async () => {
      const before = config
      try {
        const next = await options.load()
        if (next.runtimeDir !== before.runtimeDir)
          throw failure('config_invalid', `runtime_dir has changed from ${before.runtimeDir} to ${next.runtimeDir}, which needs a restart`, {
            remedy: 'Restart svidecar.',
          })
        const commit = await listeners.prepare(next)
        const changed = await parts.apply(next)
        await commit()
        config = next
        unlog()
        unlog = log(config)
        announce()
        return { changed }
      } catch (error) {
        emit({ type: 'config.reload_failed', failure: toFailure(error) })
        throw error
      }
    })
    reloading = turn.catch(() => {})
    return turn
  }

  const listeners = createListeners({
    clock,
    random,
    emit,
    parts,
    health: health.health,
    status: health.status,
    metrics: metrics.render,
    commands: { refresh, reload },
  })
  announce()
  try {
    await prepareRuntimeDir(config.runtimeDir)
    const commit = await listeners.prepare(config)
    await parts.apply(config)
    await commit()
  } catch (error) {
    await listeners.stop()
    await parts.stop()
    unlog()
    throw error
  }
  emit({ type: 'daemon.listening' })
  const watchdog = systemd === undefined ? undefined : start(systemd.run)

  return {
    status: health.status,
    get listeners() {
      return listeners.open
    },
    reload,
    defect: (problem) => emit({ type: 'daemon.defect', failure: problem }),
    async stop(reason) {
      emit({ type: 'daemon.stopping', reason })
      await reloading
      if (config.shutdownGraceMs > 0) await clock.sleep(config.shutdownGraceMs, new AbortController().signal)
      await parts.stop()
      await listeners.stop()
      await watchdog?.stop()
      emit({ type: 'daemon.stopped' })
    },
  }
}
