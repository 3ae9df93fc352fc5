// A SPIFFE agent with its authority and registration entries, as a conformance scenario drives it: the dev agent or SPIRE.
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../src/core/clock.ts'

/** A registration entry that matches this process. */
export interface Entry {
  /** SVIDs come sorted by it. */
  readonly id: string
  /** The path of the SPIFFE ID, with its slash. */
  readonly path: string
  readonly hint?: string
  /** The first one is the common name, too. */
  readonly dnsNames?: readonly string[]
  /** Life of its SVIDs: short, as the world can, to see renewals; left out, so long that a scenario sees none. */
  readonly x509?: 'short'
  readonly jwt?: 'short'
  /** Foreign trust domains. */
  readonly federatesWith?: readonly string[]
}

export interface WorldOptions {
  readonly entries?: readonly Entry[]
  /** running: serves the entries when the scenario begins. Left out, it is. */
  readonly agent?: 'running' | 'down'
  /** self-signed: SPIRE's own root, tokens with `iss`. intermediate: below an upstream authority, tokens without `iss`. */
  readonly authority?: 'self-signed' | 'intermediate'
  readonly workloadKey?: 'ec-p256' | 'ec-p384' | 'rsa-2048'
  /** SPIRE's allow_unauthenticated_verifiers. */
  readonly unauthenticatedVerifiers?: boolean
  /** X.509 streams that SPIRE's agent lets one kind of caller open in a second. */
  readonly streamsPerSecond?: number
}

/** What another client than the product's gets from the agent at this moment. */
export interface Identity {
  readonly spiffeId: string
  readonly hint: string
  /** SHA-256 of the leaf, as node:crypto prints it. */
  readonly leaf: string
}

export interface ForeignBundle {
  /** DER. */
  readonly roots: readonly Buffer[]
  readonly jwks: { readonly keys: readonly object[] }
}

export interface World {
  readonly trustDomain: string
  /** The agent's socket. */
  readonly path: string
  /** The product's time here. */
  readonly clock: Clock
  /** The `iss` of tokens; undefined where the server has none to give. */
  readonly issuer: string | undefined
  /** How long an agent stays away, in milliseconds by the world's clock. */
  readonly outageMs: number
  /** The longest way of a change from the server to the agent's streams, in milliseconds by the world's clock. */
  readonly syncMs: number
  /** What a busy machine may add to any wait, in milliseconds by the world's clock. */
  readonly slackMs: number

  /** Starts the agent; it keeps its data over restarts. Returns when its socket accepted a connection, by the clock's boot(). */
  startAgent(): Promise<number>
  /** SIGKILL leaves the socket file behind. */
  stopAgent(how: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** The agent goes on living, takes calls and answers none. */
  pauseAgent(): void
  resumeAgent(): void
  /** Puts another agent's socket over this one's, then kills the old agent. Returns when that was, by the clock's boot(). */
  replaceAgent(): Promise<number>
  /** From here on no X.509-SVID is signed, until the server is started again. */
  stopServer(): Promise<void>
  startServer(): Promise<void>

  createEntry(entry: Entry): Promise<void>
  updateEntry(entry: Entry): Promise<void>
  deleteEntry(id: string): Promise<void>
  /** Sets or replaces the bundle of a foreign trust domain. */
  setForeignBundle(trustDomain: string, bundle: ForeignBundle): Promise<void>
  /** A second authority comes into the bundle. */
  prepareAuthority(): Promise<void>
  /** The second authority signs, and what the first one signed is signed again. */
  retireAuthority(): Promise<void>
  /** The first authority leaves the bundle. */
  revokeAuthority?(): Promise<void>

  /** In the agent's order; empty when it denies. */
  identities(): Promise<readonly Identity[]>
  /** The most streams that were open at the agent at once, where that can be known. */
  mostStreams?(): number
  /** The end of the agent's log, for whoever must find out why a scenario failed. */
  lastWords?(): Promise<readonly string[]>
  close(): Promise<void>
}

/** Waits until somebody accepts connections at the socket, or at the port of 127.0.0.1; `gone` says why nobody will. */
export async function accepting(path: string | number, gone: () => string | undefined, withinMs = 20_000): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!(await accepts(path))) {
    const why = gone() ?? (performance.now() > deadline ? `not within ${withinMs / 1000} s` : undefined)
    if (why !== undefined) throw new Error(`nobody accepts connections at ${path}: ${why}`)
    await delay(5)
  }
}

const accepts = (path: string | number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = typeof path === 'number' ? connect(path, '127.0.0.1') : connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })

/** Asks again and again until the answer is the right one. */
export async function eventually<T>(what: string, ask: () => Promise<T>, right: (answer: T) => boolean, withinMs = 20_000): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const answer = await ask()
    if (right(answer)) return answer
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs / 1000} s, but ${JSON.stringify(answer)}`)
    await delay(20)
  }
}
