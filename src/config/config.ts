// The configuration as the daemon uses it: checked, complete, in nouns.
import type { Arn } from '../aws/arn.ts'
import type { SocketAddress } from '../spiffe/socket-address.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'

export interface IdentityConfig {
  readonly name: string
  readonly workloadApi: SocketAddress
  readonly spiffeId?: SpiffeId | undefined
  readonly hint?: string | undefined
}

export type MethodConfig =
  | { readonly kind: 'roles_anywhere'; readonly trustAnchor: Arn; readonly profile: Arn; readonly role: Arn; readonly durationSeconds: number }
  | { readonly kind: 'web_identity'; readonly role: Arn; readonly audience: string; readonly durationSeconds: number }

export interface ProfileConfig {
  readonly name: string
  readonly identity: string
  readonly method: MethodConfig
  readonly required: boolean
  readonly region: string
  /** Base URL of the service, always absolute. */
  readonly endpoint: string
  readonly sessionName?: string | undefined
  /** PEM text. */
  readonly ca?: string | undefined
}

export interface ConsumerConfig {
  readonly name: string
  readonly profiles: readonly string[]
  readonly audiences: readonly string[]
  readonly owner?: string | undefined
  readonly group?: string | undefined
  readonly mode: number
}

export interface ListenConfig {
  readonly host: string
  readonly port: number
}

export interface Config {
  /** Where it came from: a file's path, "the environment", "SVIDECAR_CONFIG_YAML". */
  readonly origin: string
  readonly identities: readonly IdentityConfig[]
  readonly profiles: readonly ProfileConfig[]
  readonly consumers: readonly ConsumerConfig[]
  readonly containerEndpoint?: { readonly listen: ListenConfig; readonly hostNames: readonly string[] } | undefined
  readonly imdsEndpoints: readonly {
    readonly listen: ListenConfig
    readonly hostNames: readonly string[]
    readonly profile: string
    readonly availabilityZone?: string | undefined
  }[]
  readonly metricsEndpoint?: { readonly listen: ListenConfig; readonly hostNames: readonly string[] } | undefined
  readonly statusEndpoint?: { readonly listen: ListenConfig } | undefined
  readonly runtimeDir: string
  readonly onIdentityWithdrawn: 'keep' | 'drop'
  readonly shutdownGraceMs: number
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly format: 'json' | 'text' }
}
