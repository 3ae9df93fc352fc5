// The interfaces that the later stages ask for identities. Whoever implements them, nobody downstream can tell.
import type { Failure } from '../core/errors.ts'
import type { Source } from '../core/source.ts'
import type { JwtSvid } from '../spiffe/jwt-svid.ts'
import type { TrustDomain } from '../spiffe/spiffe-id.ts'
import type { X509Bundle } from '../spiffe/x509-bundle.ts'
import type { X509Svid } from '../spiffe/x509-svid.ts'

/**
 * waiting: not yet. ready: there is one; a failure beside it says that the agent cannot be reached just now.
 * withdrawn: the agent says, without a break, that there is none any more; its last SVID is not to be used.
 */
export type IdentityState<T> =
  | { readonly status: 'waiting'; readonly failure?: Failure }
  | { readonly status: 'ready'; readonly value: T; readonly failure?: Failure }
  | { readonly status: 'withdrawn'; readonly failure: Failure }

export interface X509Identity {
  readonly svid: X509Svid
  /** Of the same message as the SVID. */
  readonly bundles: ReadonlyMap<TrustDomain, X509Bundle>
}

export type X509Source = Source<IdentityState<X509Identity>>

export type IdentityToken = JwtSvid

export interface JwtSource {
  /** A token of now for one use. Waits for the identity as long as it takes; rejects only with `signal.reason`. */
  fetch(audience: readonly string[], signal: AbortSignal): Promise<IdentityToken>
  /** A token that is kept fresh for many readers: renewed at half its life, given up at its end. */
  watch(audience: readonly string[]): Source<IdentityState<IdentityToken>>
  /** Keeps these fresh from now on, of those that are watched, and no others. */
  retain(audiences: readonly (readonly string[])[]): void
}

/** Waits until the identity is ready: not while it is withdrawn, however long its SVID would still live. */
export async function whenReady<T>(source: Source<IdentityState<T>>, signal: AbortSignal): Promise<T> {
  for (let state = source.current; ; state = await source.next(state, signal)) {
    signal.throwIfAborted()
    if (state.status === 'ready') return state.value
  }
}
