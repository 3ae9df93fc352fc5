// The daemon: telemetry first, then identities and profiles, then the endpoints; stopped in reverse.
import { join } from 'node:path'
import type { Config } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'
import { type Failure, failure, toFailure } from '../core/errors.ts'
import { createEvents, type Listener } from '../core/events.ts'
import type { StatusReport } from '../core/health.ts'
import { start } from '../core/run.ts'
import { createHealth } from '../telemetry/health.ts'
import { createLog, listenerOf, type OtherLog } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { createSystemd } from '../telemetry/systemd.ts'
import { loadedEvent } from './assemble.ts'
import { createListeners } from './listeners.ts'
import { createParts } from './parts.ts'
import { overlapMs, ownerOf, prepareRuntimeDir, tokenName } from './runtime-dir.ts'
import type { WantedListener } from './wanted-listeners.ts'

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
  /** A log of another form, instead of the configured one. */
  readonly log?: OtherLog | undefined
  /** Further listeners that give no secret. */
  readonly listeners?: ((status: () => StatusReport) => readonly WantedListener[]) | undefined
  /** False: no runtime directory and no control socket, for who has not asked for anything on disk. */
  readonly control?: false | undefined
}

export type Daemon = Awaited<ReturnType<typeof startDaemon>>

const refreshMs = 15_000

/** An owner that this machine does not know is found before anything is touched. */
function checked(config: Config): Config {
  for (const file of config.files) ownerOf(file, file.name)
  return config
}

/**
 * Starts everything and returns when all listeners are open; credentials come later, and until then endpoints
 * answer 503. Throws listen_failed, runtime_dir or config_invalid, and then nothing is left running.
 */
export async function startDaemon(options: DaemonOptions) {
  const { clock, random, env, control = true } = options
  let config = checked(options.config)
  const events = createEvents()
  const { emit } = events
  const health = createHealth(clock)
  const metrics = createMetrics()
  const systemd = createSystemd({ env, health: health.health, clock })
  const logOf = (of: Config): Listener => listenerOf(options.log) ?? createLog({ ...of.log, clock, write: options.writeLog })
  let log = logOf(config)
  events.subscribe((event) => log(event))
  for (const listener of [health.listener, metrics.listener, systemd?.listener, options.listener]) if (listener !== undefined) events.subscribe(listener)
  emit({ type: 'daemon.starting', version: options.version, commit: options.commit, pid: process.pid })

  const world = { clock, random, emit }
  const parts = createParts(world)
  const announce = () => emit(loadedEvent(config, clock))

  const refresh = (name: string | undefined) =>
    Promise.all(
      [...parts.profiles.values()]
        .filter(({ view }) => name === undefined || view.name === name)
        .map(async ({ view: { name: profile }, store }) => {
          try {
            const state = await store.refresh(AbortSignal.timeout(refreshMs))
            return { profile, ok: state.status === 'fresh' && state.failure === undefined, failure: state.failure }
          } catch {
            return { profile, ok: false, failure: failure('not_ready', `profile ${profile} waits for its identity`) }
          }
        }),
    )

  let changing: Promise<unknown> = Promise.resolve()
  let stopping = false
  /** One change after the other. */
  function inTurn<T>(change: () => Promise<T>): Promise<T> {
    if (stopping) return Promise.reject(failure('not_ready', 'svidecar is stopping'))
    const turn = changing.then(change)
    changing = turn.catch(() => {})
    return turn
  }

  /** A configuration that does not load, or listeners that do not open, change nothing. */
  const reload = (): Promise<{ changed: readonly string[] }> =>
    inTurn(async () => {
      try {
        const next = checked(await options.load())
        const moved = `runtime_dir has changed from ${config.runtimeDir} to ${next.runtimeDir}, which needs a restart`
        if (next.runtimeDir !== config.runtimeDir) throw failure('config_invalid', moved, { remedy: 'Restart svidecar.' })
        const changed = await listeners.apply(next, () => {
          config = next
          log = logOf(config)
          // Before the parts: what they tell of must be known by then.
          announce()
          return parts.apply(next)
        })
        return { changed }
      } catch (error) {
        emit({ type: 'config.reload_failed', failure: toFailure(error) })
        throw error
      }
    })

  const rotateToken = (name: string): Promise<{ file: string; overlapSeconds: number } | undefined> =>
    inTurn(async () => {
      const consumer = config.consumers.find((one) => one.name === name)
      if (consumer === undefined) return undefined
      await listeners.renewToken(config, consumer)
      emit({ type: 'consumer.token_rotated', consumer: name })
      return { file: join(config.runtimeDir, tokenName(name)), overlapSeconds: overlapMs / 1_000 }
    })

  const skew = new Map<string, number>()
  events.subscribe((event) => event.type === 'exchange.clock_skew' && skew.set(event.profile, event.seconds))
  const doctor = async () =>
    (await import('./doctor.ts')).examineAll({ config, clock, running: { refresh: () => refresh(undefined), status: health.status, skew } })

  const further = options.listeners?.(health.status) ?? []
  const listeners = createListeners({
    ...world,
    ...health,
    parts,
    metrics: metrics.render,
    commands: { refresh, reload, rotateToken, doctor },
    control,
    env,
    further,
  })
  announce()
  try {
    if (control) await prepareRuntimeDir(config.runtimeDir)
    await listeners.apply(config, () => parts.apply(config))
  } catch (error) {
    await listeners.stop()
    await parts.stop()
    throw error
  }
  emit({ type: 'daemon.listening' })
  const watchdog = systemd === undefined ? undefined : start(systemd.run)

  return {
    status: health.status,
    get listeners() {
      return listeners.open
    },
    get config() {
      return config
    },
    reload,
    /** Tells of an error that nobody caught; everything goes on. */
    defect: (problem: Failure) => emit({ type: 'daemon.defect', failure: problem }),
    /** Answers in flight are finished; resolves when nothing is left. */
    async stop(reason: string): Promise<void> {
      emit({ type: 'daemon.stopping', reason })
      stopping = true
      await changing
      if (config.shutdownGraceMs > 0) await clock.sleep(config.shutdownGraceMs, new AbortController().signal)
      await parts.stop()
      await listeners.stop()
      await watchdog?.stop()
      emit({ type: 'daemon.stopped' })
    },
  }
}
