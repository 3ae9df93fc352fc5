// A reader sees the old file or the new one, never half of one.
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'

export interface Ownership {
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

type FileOptions = Ownership & { readonly mode: number }

/** A name has at most 255 bytes, and a character is not to be cut in two. */
const shortened = (name: string): string =>
  Buffer.from(name)
    .subarray(0, 200)
    .toString('utf8')
    .replace(/\uFFFD+$/, '')

// What this process is writing just now is no leftover, also not to another writer of the same path.
const ownMark = randomBytes(3).toString('hex')

const temporaryName = (path: string, random: string): string => join(dirname(path), `.${shortened(basename(path))}.${random}.new`)

/** Makes a directory with all that lead to it. One that was there keeps its mode; those of ours must not depend on the umask. */
export async function makeDirectory(path: string): Promise<void> {
  const first = await mkdir(resolve(path), { recursive: true })
  if (first !== undefined) for (let made = resolve(path); made.length >= first.length; made = dirname(made)) await letPass(made)
}

/** Lets everybody pass through a directory of ours; a neighbour may have put a link in its place meanwhile, which is not followed. */
export async function letPass(directory: string): Promise<void> {
  await using made = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  await made.chmod(0o755)
}

/**
 * Writes a whole and durable file beside `path`, and returns its name. Mode and owner are set on the descriptor before
 * anything else may know the name, so no reader meets it with other rights. Rejects with the system's error.
 */
export async function writeBeside(path: string, data: string | Buffer, { mode, uid, gid }: FileOptions): Promise<string> {
  const temporary = temporaryName(path, ownMark + randomBytes(3).toString('hex'))
  // What has this name already is not ours to remove.
  await using file = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
  try {
    await file.writeFile(data)
    const now = await file.stat()
    if ((uid ?? now.uid) !== now.uid || (gid ?? now.gid) !== now.gid) await file.chown(uid ?? now.uid, gid ?? now.gid)
    await file.chmod(mode)
    await file.sync()
  } catch (error) {
    await unlink(temporary).catch(() => {})
    throw error
  }
  return temporary
}

/** Gives a file its name; what cannot have it is removed. Rejects with the system's error. */
export const renameOrRemove = (temporary: string, path: string): Promise<void> =>
  rename(temporary, path).catch(async (error) => {
    await unlink(temporary).catch(() => {})
    throw error
  })

/** Removes what a killed process may have left beside `path`: it may hold a private key. */
export async function removeLeftovers(path: string): Promise<void> {
  const [start = '', end = ''] = temporaryName(basename(path), '|').split('|')
  const names = await readdir(dirname(path)).catch(() => [])
  const left = names.filter((name) => {
    const mark = name.startsWith(start) && name.endsWith(end) ? name.slice(start.length, -end.length) : ''
    return /^[0-9a-f]{12}$/.test(mark) && !mark.startsWith(ownMark)
  })
  for (const name of left) await unlink(join(dirname(path), name)).catch(() => {})
}

/** Puts a file in its place by a rename. Rejects with the system's error. */
export async function writeFileAtomic(path: string, data: string | Buffer, options: FileOptions): Promise<void> {
  await renameOrRemove(await writeBeside(path, data, options), path)
  // It has its name by now: that the disk knows it, too, is for after a power cut.
  await syncDirectory(dirname(path)).catch(() => {})
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, constants.O_RDONLY)
  await directory.sync()
}
