// What is not right, since when, and what to do about it: the shape that status, probes and systemd share.
import type { FailureCode } from './errors.ts'
import type { OutputKind } from './events.ts'

export interface Problem {
  /** What it is about: "identity default", "profile app", "configuration". */
  readonly subject: string
  readonly code: FailureCode
  readonly message: string
  readonly remedy: string
  /** ISO time. */
  readonly since: string
  /** Where the documentation says more. */
  readonly runbook: string
}

/** One step of `svidecar doctor`. */
export interface Check {
  readonly what: string
  readonly result: 'ok' | 'warning' | 'failed'
  readonly message: string
  /** Empty where nothing is to be done. */
  readonly remedy: string
}

export interface HealthReport {
  /** Every required profile has credentials that are valid now, and every output lies there and has not expired. */
  readonly ready: boolean
  /** Every required profile has had credentials once, and every output was written. Never goes back. */
  readonly started: boolean
  /** Required profiles without valid credentials, and outputs that are missing or have expired. */
  readonly missing: readonly string[]
}

export interface IdentityReport {
  readonly name: string
  readonly status: 'waiting' | 'ready' | 'withdrawn'
  readonly connected: boolean
  readonly spiffeId?: string
  readonly serial?: string
  readonly notAfter?: string
}

export interface ProfileReport {
  readonly name: string
  readonly required: boolean
  readonly identity: string
  readonly method: string
  readonly roleArn: string
  readonly status: 'empty' | 'fresh' | 'stale' | 'expired'
  readonly accessKeyId?: string
  readonly expiration?: string
  readonly remainingSeconds?: number
  readonly nextRefresh?: string
  readonly exchanges: { readonly succeeded: number; readonly failed: number }
}

export interface OutputReport {
  readonly name: string
  readonly kind: OutputKind
  /** missing: not yet, or removed · outdated: good, but something newer could not be written · expired: what lies there is of no use. */
  readonly status: 'missing' | 'failed' | 'written' | 'outdated' | 'expired'
  readonly notAfter?: string
}

/** A line of the log, as people are shown it. */
export interface RecentEvent {
  /** ISO time. */
  readonly time: string
  readonly level: string
  readonly message: string
}

export interface StatusReport extends HealthReport {
  readonly version: string
  readonly now: string
  readonly pid: number
  readonly identities: readonly IdentityReport[]
  readonly profiles: readonly ProfileReport[]
  readonly outputs: readonly OutputReport[]
  readonly listeners: Readonly<Record<string, string>>
  readonly problems: readonly Problem[]
  /** Newest first. */
  readonly events: readonly RecentEvent[]
}
