// The runtime directory: the consumers' tokens and the IMDS key. Nothing else of the daemon is on disk.
import { randomBytes } from 'node:crypto'
import { constants, existsSync, readFileSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config, ConsumerConfig, OwnerConfig } from '../config/config.ts'
import { makeDirectory, type Ownership, writeFileAtomic } from '../core/atomic-file.ts'
import { errorText, failure, systemCode } from '../core/errors.ts'
import type { Token } from '../endpoints/container.ts'

/** What is secret in the directory, by the file's name: what lies there, and then what it has replaced a moment ago. */
export type Secrets = ReadonlyMap<string, readonly Token[]>

/** How long a replaced token still opens: SDKs read the file at each fetch, so this is for those that are on their way. */
export const overlapMs = 300_000

export const tokenName = (consumer: string): string => `${consumer}.token`
export const imdsKeyName = 'imds.key'

const keyBytes = 32
const tokenPattern = /^[A-Za-z0-9_-]{43}$/
// base64url of 32 bytes, without a newline: URL-safe ASCII, as every SDK can send it.
const token = { isOne: (found: Buffer) => tokenPattern.test(found.toString('latin1')), make: () => Buffer.from(randomBytes(keyBytes).toString('base64url')) }
const imdsKey = { isOne: (found: Buffer) => found.length === keyBytes, make: () => randomBytes(keyBytes) }

/** Creates the directory if it is missing. Throws runtime_dir. Others may pass through it to what is theirs. */
export async function prepareRuntimeDir(path: string): Promise<void> {
  try {
    await makeDirectory(path)
    if (!(await stat(path)).isDirectory()) throw new Error('it is not a directory')
  } catch (error) {
    throw failure('runtime_dir', `cannot use the runtime directory ${path}: ${errorText(error)}`, { cause: error })
  }
}

/** Ours, or its owner's to whom we gave it, and nobody else can write it: what lies there is what we put there. */
const isPrivate = ({ uid, mode }: { uid: number; mode: number }, owner = process.getuid?.()): boolean =>
  (uid === process.getuid?.() || uid === owner) && (mode & 0o022) === 0

/** What lies at `path`, if file and directory are ours alone to write. A stranger could have planted anything else. */
async function reuse(directory: string, path: string, owner: number | undefined): Promise<Buffer | undefined> {
  if (!isPrivate(await stat(directory))) return undefined
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const facts = await file.stat()
    return facts.isFile() && isPrivate(facts, owner) && facts.size <= 1024 ? await file.readFile() : undefined
  } finally {
    await file.close()
  }
}

/**
 * Writes the consumers' tokens and, for IMDS endpoints, the key of their tokens (0600): in a reload the ones that are held already, else those of
 * the last run if they can be trusted, since some clients read them once. Mode and group are set again each time. Throws runtime_dir and,
 * for an unknown owner or group, config_invalid.
 */
export async function writeSecrets(
  { runtimeDir, consumers, imdsEndpoints }: Pick<Config, 'runtimeDir' | 'consumers' | 'imdsEndpoints'>,
  held?: Secrets,
): Promise<Secrets> {
  const secrets = new Map<string, readonly Token[]>()
  const wanted = [
    ...consumers.map((consumer) => ({ ...token, name: tokenName(consumer.name), rights: { mode: consumer.mode, ...consumerOwner(consumer) } })),
    ...(imdsEndpoints.length === 0 ? [] : [{ ...imdsKey, name: imdsKeyName, rights: { mode: 0o600, uid: undefined } }]),
  ]
  for (const { name, rights, isOne, make } of wanted) {
    const known = held?.get(name)
    const found = known?.[0]?.bytes ?? (await reuse(runtimeDir, join(runtimeDir, name), rights.uid).catch(cannotWrite(join(runtimeDir, name))))
    const bytes = found !== undefined && isOne(found) ? found : make()
    await put(join(runtimeDir, name), bytes, rights)
    secrets.set(name, [{ bytes, until: Number.POSITIVE_INFINITY }, ...(known?.slice(1) ?? [])])
  }
  return secrets
}

/**
 * Writes another token for a consumer; the one that is held opens for the overlap more. `now` is the boot clock. Nothing else is written: what
 * fails half-way would leave a token on disk that opens nothing. Throws runtime_dir, and config_invalid for an unknown owner or group.
 */
export async function renewToken(runtimeDir: string, consumer: ConsumerConfig, held: Secrets, now: number): Promise<Secrets> {
  const name = tokenName(consumer.name)
  const bytes = token.make()
  await put(join(runtimeDir, name), bytes, { mode: consumer.mode, ...consumerOwner(consumer) })
  const older = (held.get(name) ?? []).map((one) => ({ ...one, until: Math.min(one.until, now + overlapMs) })).filter(({ until }) => until > now)
  return new Map(held).set(name, [{ bytes, until: Number.POSITIVE_INFINITY }, ...older])
}

const cannotWrite =
  (path: string) =>
  (error: unknown): never => {
    const remedy =
      systemCode(error) === 'EPERM'
        ? 'Giving a file to another owner, or to a group that is not ours, needs CAP_CHOWN: leave owner out, and use a group of this process.'
        : undefined
    throw failure('runtime_dir', `cannot write ${path}: ${errorText(error)}`, { remedy, cause: error })
  }

const put = (path: string, bytes: Buffer, rights: Ownership & { readonly mode: number }): Promise<void> =>
  writeFileAtomic(path, bytes, rights).catch(cannotWrite(path))

/** Looks up owner and group, by number or name. Throws config_invalid for unknown names. */
export const ownerOf = ({ owner, group }: OwnerConfig, what: string): Ownership => ({
  uid: lookUp(owner, '/etc/passwd', `owner of ${what}`),
  gid: lookUp(group, '/etc/group', `group of ${what}`),
})

export const consumerOwner = (consumer: ConsumerConfig): Ownership => ownerOf(consumer, `consumer ${consumer.name}`)

function lookUp(wanted: string | undefined, database: string, what: string): number | undefined {
  if (wanted === undefined) return undefined
  if (/^\d+$/.test(wanted)) return Number(wanted)
  const entries = existsSync(database) ? readFileSync(database, 'utf8').split('\n') : []
  const [, , id] = entries.map((line) => line.split(':')).find(([name]) => name === wanted) ?? []
  if (Number.isNaN(Number(id)))
    throw failure('config_invalid', `${what}: there is no ${JSON.stringify(wanted)} in ${database}`, { remedy: 'Use a name of this machine or a number.' })
  return Number(id)
}

/** Mode of a consumer's socket: whoever may read the token may connect, which takes read and write. */
export const socketMode = (tokenMode: number): number => (tokenMode & 0o444) | ((tokenMode & 0o444) >> 1)
