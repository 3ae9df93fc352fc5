// Everything observable, declared once. Log, metrics, health and systemd are folds over these, so they cannot
// disagree; events carry printable facts only, so no secret can reach any of them.
import type { Failure } from './errors.ts'

export type Stream = 'x509' | 'jwt' | 'x509_bundles' | 'jwt_bundles'

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
    }
  | { type: 'config.reload_failed'; failure: Failure }
  | { type: 'listener.opened'; listener: string; address: string }
  | { type: 'listener.closed'; listener: string }
  | { type: 'listener.warning'; listener: string; message: string }
  | { type: 'listener.refused'; listener: string; status: number; reason: string }
  | { type: 'identity.connected'; identity: string; stream: Stream }
  | { type: 'identity.disconnected'; identity: string; stream: Stream; failure: Failure; wasConnected: boolean }
  | { type: 'identity.rejected'; identity: string; stream: Stream; failure: Failure }
  | { type: 'identity.failing'; identity: string; stream: Stream; failure: Failure }
  | { type: 'identity.recovered'; identity: string; stream: Stream }
  | { type: 'identity.withdrawn'; identity: string; stream: Stream; failure: Failure }
  | { type: 'identity.warning'; identity: string; code: string; message: string }
  | ({ type: 'x509.updated'; identity: string; hint: string; svids: number; bundles: readonly string[] } & X509Facts)
  | { type: 'jwt.fetched'; identity: string; spiffeId: string; audience: string; expiresAt: number }
  | { type: 'bundles.updated'; identity: string; stream: 'x509_bundles' | 'jwt_bundles'; trustDomains: readonly string[] }
  | ({ type: 'exchange.succeeded'; seconds: number } & ProfileFacts)
  | ({ type: 'exchange.failed'; failure: Failure; seconds: number; retryInSeconds: number; attempt: number; expiresAt?: number } & ProfileFacts)
  | ({ type: 'exchange.warning'; code: string; message: string } & ProfileFacts)
  | ({ type: 'exchange.clock_skew'; seconds: number } & ProfileFacts)
  | { type: 'credentials.fresh'; profile: string; accessKeyId: string; roleArn: string; expiresAt: number; deadline: number; refreshAt: number }
  | { type: 'credentials.stale'; profile: string }
  | { type: 'credentials.expired'; profile: string }
  | { type: 'credentials.forgotten'; profile: string }
  | { type: 'credentials.dropped'; profile: string; failure: Failure }
  | { type: 'served'; endpoint: string; consumer: string; profile: string; status: number; seconds: number }

export type EventOf<T extends Event['type']> = Extract<Event, { type: T }>
export type Emit = (event: Event) => void
export type Listener = (event: Event) => void

export interface Events {
  readonly emit: Emit
  /** Listeners are called in the order in which they came, at once. Returns how to leave. */
  subscribe(listener: Listener): () => void
}

/** The one list of listeners. A listener that throws is a defect of that listener and stops nobody else. */
export function createEvents(): Events {
  const listeners = new Set<Listener>()
  return {
    emit(event) {
      for (const listener of listeners) {
        try {
          listener(event)
        } catch (error) {
          process.emitWarning(error instanceof Error ? error : String(error))
        }
      }
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
