// Everything observable, declared once. Log, metrics, health and systemd are folds over these, so they cannot
// disagree; events carry printable facts only, so no secret can reach any of them.
import type { Clock } from './clock.ts'
import type { Failure } from './errors.ts'

export type Stream = 'x509' | 'jwt' | 'x509_bundles' | 'jwt_bundles'

export type OutputKind = 'x509' | 'jwt' | 'jwt_bundle' | 'credentials'

export interface OutputFacts {
  readonly output: string
  readonly kind: OutputKind
}

export interface X509Facts {
  readonly spiffeId: string
  readonly serial: string
  readonly fingerprint: string
  /** Wall clock, milliseconds. */
  readonly notBefore: number
  readonly notAfter: number
}

export interface ProfileFacts {
  readonly profile: string
  readonly method: 'rolesanywhere' | 'webidentity'
}

export type Event =
  | { type: 'daemon.starting'; version: string; commit: string; pid: number }
  | { type: 'daemon.listening' }
  | { type: 'daemon.stopping'; reason: string }
  | { type: 'daemon.stopped' }
  | { type: 'daemon.defect'; failure: Failure }
  | {
      type: 'config.loaded'
      origin: string
      /** Wall clock, milliseconds. */
      at: number
      /** Those that something reads. */
      identities: readonly string[]
      profiles: readonly { name: string; required: boolean; roleArn: string; method: ProfileFacts['method']; identity: string }[]
      outputs: readonly OutputFacts[]
      hooks: readonly string[]
    }
  | { type: 'config.reload_failed'; failure: Failure }
  | { type: 'consumer.token_rotated'; consumer: string }
  | { type: 'listener.opened'; listener: string; address: string }
  | { type: 'listener.closed'; listener: string }
  | { type: 'listener.warning'; listener: string; message: string }
  | { type: 'listener.refused'; listener: string; status: number; reason: string }
  | { type: 'identity.connected' | 'identity.recovered'; identity: string; stream: Stream }
  | { type: 'identity.disconnected'; identity: string; stream: Stream; failure: Failure; wasConnected: boolean }
  | { type: 'identity.rejected' | 'identity.failing' | 'identity.withdrawn'; identity: string; stream: Stream; failure: Failure }
  | { type: 'identity.warning'; identity: string; code: string; message: string }
  /** A message that says something new, by which of its identities is chosen or not. */
  | { type: 'x509.received'; identity: string; spiffeIds: readonly string[] }
  | ({ type: 'x509.updated'; identity: string; hint: string; svids: number; bundles: readonly string[] } & X509Facts)
  | { type: 'jwt.fetched'; identity: string; spiffeId: string; audience: string; expiresAt: number }
  | { type: 'bundles.updated'; identity: string; stream: 'x509_bundles' | 'jwt_bundles'; trustDomains: readonly string[] }
  | ({ type: 'exchange.succeeded'; seconds: number } & ProfileFacts)
  | ({ type: 'exchange.failed'; failure: Failure; seconds: number; retryInSeconds: number; attempt: number; expiresAt?: number } & ProfileFacts)
  | ({ type: 'exchange.warning'; code: string; message: string } & ProfileFacts)
  | ({ type: 'exchange.clock_skew'; seconds: number } & ProfileFacts)
  | { type: 'credentials.fresh'; profile: string; accessKeyId: string; roleArn: string; expiresAt: number; deadline: number; refreshAt: number }
  | { type: 'credentials.stale' | 'credentials.expired' | 'credentials.forgotten'; profile: string }
  | { type: 'credentials.dropped'; profile: string; failure: Failure }
  | ({ type: 'output.written'; files: readonly string[]; expiresAt?: number } & OutputFacts)
  | ({ type: 'output.failed'; failure: Failure; retryInSeconds: number } & OutputFacts)
  | ({ type: 'output.removed'; why: string } & OutputFacts)
  | { type: 'hook.done'; hook: string }
  | { type: 'hook.failed'; hook: string; failure: Failure }
  | { type: 'hook.said'; hook: string; line: string }
  | { type: 'hook.child_started'; hook: string; pid: number }
  /** `expected`: the daemon ended it. */
  | { type: 'hook.child_ended'; hook: string; how: string; expected: boolean }
  /** `accessKeyId`, `audience`: of the credentials or the token that were asked for; the former is empty if there were none to give. */
  | {
      type: 'served'
      endpoint: string
      consumer: string
      profile: string
      accessKeyId?: string | undefined
      audience?: string | undefined
      status: number
      seconds: number
    }

export type EventOf<T extends Event['type']> = Event & { type: T }
export type Emit = (event: Event) => void
export type Listener = (event: Event) => void

/** What every part is handed: time, chance, and a way to say what happens. */
export interface World {
  readonly clock: Clock
  readonly random: () => number
  readonly emit: Emit
}

/** The one list of listeners. A listener that throws is a defect of that listener and stops nobody else. */
export function createEvents() {
  const listeners = new Set<Listener>()
  return {
    emit(event: Event) {
      for (const listener of listeners) {
        try {
          listener(event)
        } catch (error) {
          process.emitWarning(error instanceof Error ? error : String(error))
        }
      }
    },
    /** Listeners are called in the order in which they came, at once. Returns how to leave. */
    subscribe(listener: Listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
