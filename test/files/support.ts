// What the tests of files share: folders, programs in namespaces, identities, and a reader that never rests.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../../src/core/clock.ts'
import { isFailure } from '../../src/core/errors.ts'
import type { NewFile } from '../../src/files/place.ts'
import type { X509Identity } from '../../src/identity/sources.ts'
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/spiffe-id.ts'
import { parseX509Bundle, type X509Bundle } from '../../src/spiffe/x509-bundle.ts'
import { parseX509Svid } from '../../src/spiffe/x509-svid.ts'
import { type Authority, createAuthority } from '../support/dev/authority.ts'
import { eventually } from '../support/eventually.ts'

export function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'files-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

/** In memory, where there is such a place: a disk makes hundreds of durable writes slow. */
export function fastFolder(t: TestContext): string {
  const made = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'files-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

export const file = (path: string, text: string | Buffer, mode = 0o600, keepMode?: boolean): NewFile => ({ path, data: Buffer.from(text), mode, keepMode })

/** Temporary files and links of ours that lie in a directory. */
export const temporaries = (directory: string): string[] => readdirSync(directory).filter((name) => name.endsWith('.new'))

/** The file_write that a promise rejects with: its facts. Anything else is a defect. */
export async function writeFailure(work: Promise<unknown>): Promise<{ path: unknown; reason: unknown; message: string }> {
  try {
    await work
  } catch (error) {
    if (!isFailure(error) || error.code !== 'file_write') throw error
    return { path: error.facts?.['path'], reason: error.facts?.['reason'], message: error.message }
  }
  throw new Error('it was written')
}

/** `work`, or 'hanging' after a second. */
export const soon = async <T>(work: Promise<T>, ms = 1_000): Promise<T | 'hanging'> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'hanging'>((resolve) => {
    timer = setTimeout(() => resolve('hanging'), ms)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

const place = join(import.meta.dirname, '../../src/files/place.ts')
const generations = join(import.meta.dirname, '../../src/files/generations.ts')
const clock = join(import.meta.dirname, '../../src/core/clock.ts')

/** Imports for a program of runProgram(). */
const prelude = `import * as fs from 'node:fs'
import { replaceFiles, plainFiles } from ${JSON.stringify(place)}
import { createGenerations } from ${JSON.stringify(generations)}
import { systemClock } from ${JSON.stringify(clock)}
const file = (path, data, mode = 0o600) => ({ path, data: Buffer.from(data), mode })
const attempt = (work) => work.then(() => 'written', (error) => error.code + ': ' + error.message)
`

export interface ProgramOptions {
  /** A shell command in a mount namespace of its own, before the program; it needs root. */
  readonly mount?: string
  /** Numbers of a user without any rights. */
  readonly nobody?: boolean
}

/** Runs a program, which has the code under test, as another process: what it prints, parsed as JSON. */
export async function runProgram(code: string, { mount, nobody = false }: ProgramOptions = {}): Promise<unknown> {
  const node = [process.execPath, '--input-type=module', '-e', prelude + code]
  const [command = '', ...args] = mount === undefined ? node : ['unshare', '-m', 'sh', '-ec', `${mount}\nexec "$@"`, 'sh', ...node]
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(nobody ? { uid: 65_534, gid: 65_534 } : {}) })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const code_ = await new Promise((resolve) => child.once('close', resolve))
  if (code_ !== 0) throw new Error(`the program ended with ${String(code_)}: ${err}`)
  return JSON.parse(out)
}

const isRoot = process.getuid?.() === 0

/** Why a test that needs to be root cannot run, or false. */
export const needsRoot: string | false = isRoot ? false : 'needs root'

/** Why a test that needs a mount of its own cannot run, or false. */
export const needsMounts: string | false = !isRoot
  ? 'needs root for unshare -m'
  : spawnSync('/bin/sh', ['-c', 'unshare -m sh -c "mount -t tmpfs none /mnt"']).status === 0
    ? false
    : 'unshare -m and mount are not possible here'

/** A text by which a reader can tell whether it has all of version `n`, and nothing else: lines of equal length. */
export const versionText = (n: number): Buffer => {
  const line = `${String(n).padStart(8, '0')}\n`
  return Buffer.alloc(line.length * (200 + (n % 7) * 300), line)
}

export interface Seen {
  readonly reads: number
  readonly versions: number
  /** What nobody may ever see. */
  readonly wrong: readonly string[]
}

/** Starts a thread that reads without a pause; stop() says what it has seen. */
export async function startReader(
  t: TestContext,
  what: { kind: 'plain' | 'in place' | 'generation'; paths: readonly string[] },
): Promise<{ stop(): Promise<Seen>; progress(): Promise<void> }> {
  const shared = new Int32Array(new SharedArrayBuffer(8))
  const worker = new Worker(new URL('./reader.ts', import.meta.url), { workerData: { ...what, shared } })
  const seen = new Promise<Seen>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  t.after(() => worker.terminate())
  const progress = async () => {
    const before = Atomics.load(shared, 1)
    await eventually('the reader reads', () => Atomics.load(shared, 1) > before)
  }
  await progress()
  return {
    progress,
    stop() {
      Atomics.store(shared, 0, 1)
      return seen
    },
  }
}

/** An authority and what it makes: identities as the sources give them. */
export async function createIdentities(of: { clock: Clock; trustDomain?: string; intermediate?: boolean }) {
  const trustDomain = of.trustDomain ?? 'example.org'
  const authority = await createAuthority({ trustDomain, clock: of.clock, intermediate: of.intermediate ?? false })
  return {
    authority,
    bundle: (): X509Bundle => bundleOf(authority),
    async issue(others: readonly X509Bundle[] = [], ttlSeconds = 3_600): Promise<X509Identity> {
      const spiffeId = `spiffe://${trustDomain}/web`
      const { chain, key } = await authority.issueX509({ spiffeId, ttlSeconds })
      const svid = parseX509Svid({ spiffe_id: spiffeId, x509_svid: Buffer.concat(chain), x509_svid_key: key, hint: '' })
      const bundles = new Map<TrustDomain, X509Bundle>([bundleOf(authority), ...others].map((bundle) => [bundle.trustDomain, bundle]))
      return { svid, bundles }
    },
  }
}

const bundleOf = (authority: Authority): X509Bundle => parseX509Bundle(parseTrustDomain(authority.trustDomain), Buffer.concat(authority.bundle()))
