// The configuration as the daemon uses it: checked, complete, in nouns.
import type { Arn } from '../aws/arn.ts'
import type { SocketAddress } from '../spiffe/socket-address.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'

export interface IdentityConfig {
  readonly name: string
  readonly workloadApi: SocketAddress
  readonly spiffeId?: SpiffeId | undefined
  readonly hint?: string | undefined
  readonly followFirst?: boolean | undefined
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

export interface OwnerConfig {
  readonly owner?: string | undefined
  readonly group?: string | undefined
}

interface OutputConfig extends OwnerConfig {
  /** As people know it: "x509 /run/svid". */
  readonly name: string
  readonly identity: string
  readonly removeAtStop: boolean
  readonly mode: number
  /** A file that was there before keeps its mode. */
  readonly keepMode?: boolean | undefined
}

export interface X509FileConfig extends OutputConfig {
  readonly kind: 'x509'
  /** Where generations are made; left out, the names are paths of files that are replaced one by one. */
  readonly directory?: string | undefined
  readonly names: { readonly [K in 'certificate' | 'key' | 'bundle' | 'combined']?: string | undefined }
  /** Of key and combined. */
  readonly keyMode: number
  readonly keepKeyMode?: boolean | undefined
  readonly intermediates: 'certificate' | 'bundle'
  readonly federated: 'none' | 'merged' | 'files'
  readonly omitExpired: boolean
}

export interface JwtFileConfig extends OutputConfig {
  readonly kind: 'jwt'
  readonly audience: readonly string[]
  readonly path: string
  readonly removeExpired: boolean
}

export interface JwtBundleFileConfig extends OutputConfig {
  readonly kind: 'jwt_bundle'
  readonly path: string
  readonly format: 'jwks' | 'spiffe-helper'
  readonly trustDomain?: string | undefined
}

export type IdentityFileConfig = X509FileConfig | JwtFileConfig | JwtBundleFileConfig

/** One section of AWS's shared credentials file. */
export interface CredentialsFileConfig extends Omit<OutputConfig, 'identity' | 'keepMode'> {
  readonly kind: 'credentials'
  readonly profile: string
  readonly path: string
  readonly section: string
}

export type FileConfig = IdentityFileConfig | CredentialsFileConfig

/** Those whose content comes from an identity. */
export const ofIdentities = (files: readonly FileConfig[]): readonly IdentityFileConfig[] => files.filter((file) => file.kind !== 'credentials')

export type HookAction =
  | { readonly kind: 'run'; readonly command: readonly string[]; readonly timeoutMs: number }
  | { readonly kind: 'signal'; readonly pidFile: string; readonly signal: string }
  | { readonly kind: 'child'; readonly command: readonly string[]; readonly signal?: string | undefined; readonly restart: boolean }

export interface HookConfig {
  readonly name: string
  readonly on: readonly ('x509' | 'jwt' | 'jwt_bundle' | 'credentials')[]
  readonly action: HookAction
}

export interface ConsumerConfig extends OwnerConfig {
  readonly name: string
  readonly profiles: readonly string[]
  readonly audiences: readonly string[]
  readonly mode: number
  readonly uids?: readonly number[] | undefined
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
  readonly files: readonly FileConfig[]
  readonly hooks: readonly HookConfig[]
  readonly containerEndpoint?: { readonly listen: ListenConfig; readonly hostNames: readonly string[] } | undefined
  readonly imdsEndpoints: readonly {
    readonly listen: ListenConfig
    readonly hostNames: readonly string[]
    readonly profile: string
    readonly availabilityZone?: string | undefined
    readonly uids?: readonly number[] | undefined
  }[]
  readonly metricsEndpoint?: { readonly listen: ListenConfig; readonly hostNames: readonly string[] } | undefined
  readonly statusEndpoint?: { readonly listen: ListenConfig } | undefined
  readonly runtimeDir: string
  readonly onIdentityWithdrawn: 'keep' | 'drop'
  readonly reload: 'signal' | 'watch'
  readonly stopTimeoutMs: number
  readonly shutdownGraceMs: number
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly format: 'json' | 'text' }
}
