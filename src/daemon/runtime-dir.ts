// The runtime directory: the consumers' tokens and the IMDS key. Nothing else of the daemon is on disk.
import { randomBytes } from 'node:crypto'
import { constants, existsSync, readFileSync } from 'node:fs'
import { chmod, mkdir, open, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ConsumerConfig } from '../config/config.ts'
import { writeFileAtomic } from '../core/atomic-file.ts'
import { errorText, failure, systemCode } from '../core/errors.ts'

export interface Owner {
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

const keyBytes = 32
// base64url of 32 bytes: URL-safe ASCII, as every SDK can send it.
const tokenPattern = /^[A-Za-z0-9_-]{43}$/

/** Creates the directory if it is missing. Throws runtime_dir. Others may pass through it to what is theirs. */
export async function prepareRuntimeDir(path: string): Promise<void> {
  try {
    // A directory that was there keeps its mode; one of ours must not depend on the umask.
    const first = await mkdir(path, { recursive: true })
    if (first !== undefined) for (let made = path; made.length >= first.length; made = dirname(made)) await chmod(made, 0o755)
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
 * The token of one consumer, in <runtime_dir>/<name>.token without a newline: the one of the last run if it can
 * be trusted, since some clients read it once; in a reload the one that is held already. Mode and group are set again at every start. Throws runtime_dir.
 */
export async function consumerToken(directory: string, consumer: ConsumerConfig, owner: Owner, held?: Buffer): Promise<Buffer> {
  const path = join(directory, `${consumer.name}.token`)
  const isToken = (found: Buffer | undefined): found is Buffer => found !== undefined && tokenPattern.test(found.toString('latin1'))
  return write(
    directory,
    path,
    { mode: consumer.mode, ...owner },
    (found) => held ?? (isToken(found) ? found : Buffer.from(randomBytes(keyBytes).toString('base64url'))),
  )
}

/** The key of the IMDS tokens, in <runtime_dir>/imds.key (0600): with it, tokens outlive a restart. Throws runtime_dir. */
export const imdsKey = (directory: string): Promise<Buffer> =>
  write(directory, join(directory, 'imds.key'), { mode: 0o600 }, (found) => (found?.length === keyBytes ? found : randomBytes(keyBytes)))

async function write(directory: string, path: string, rights: { mode: number } & Owner, choose: (found: Buffer | undefined) => Buffer): Promise<Buffer> {
  try {
    const bytes = choose(await reuse(directory, path, rights.uid))
    await writeFileAtomic(path, bytes, rights)
    return bytes
  } catch (error) {
    const remedy =
      systemCode(error) === 'EPERM'
        ? 'Giving a file to another owner, or to a group that is not ours, needs CAP_CHOWN: leave owner out, and use a group of this process.'
        : undefined
    throw failure('runtime_dir', `cannot write ${path}: ${errorText(error)}`, { remedy, cause: error })
  }
}

/** Looks up owner and group of a consumer, by number or name. Throws config_invalid for unknown names. */
export const ownerOf = ({ name, owner, group }: ConsumerConfig): Owner => ({
  uid: lookUp(owner, '/etc/passwd', `owner of consumer ${name}`),
  gid: lookUp(group, '/etc/group', `group of consumer ${name}`),
})

function lookUp(wanted: string | undefined, database: string, what: string): number | undefined {
  if (wanted === undefined) return undefined
  if (/^\d+$/.test(wanted)) return Number(wanted)
  const line = existsSync(database)
    ? readFileSync(database, 'utf8')
        .split('\n')
        .find((one) => one.split(':')[0] === wanted)
    : undefined
  const id = Number(line?.split(':')[2] ?? Number.NaN)
  if (Number.isNaN(id))
    throw failure('config_invalid', `${what}: there is no ${JSON.stringify(wanted)} in ${database}`, { remedy: 'Use a name of this machine or a number.' })
  return id
}

/** Mode of a consumer's socket: whoever may read the token may connect, which takes read and write. */
export const socketMode = (tokenMode: number): number => (tokenMode & 0o444) | ((tokenMode & 0o444) >> 1)
