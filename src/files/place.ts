// Puts files where they belong so that no reader ever meets an empty one or half of one.
import { constants, type Stats } from 'node:fs'
import { access, lstat, open, readlink, realpath, rename, rm, stat, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { type Ownership, removeLeftovers, writeBeside } from '../core/atomic-file.ts'
import { type Failure, failure, isFailure, systemCode, systemReason } from '../core/errors.ts'
import { readShortFile } from '../core/short-file.ts'
import { expiryOf } from '../spiffe/jwt-svid.ts'

export interface NewFile {
  readonly path: string
  readonly data: Buffer
  readonly mode: number
  /** A file that was there before keeps its mode. */
  readonly keepMode?: boolean | undefined
}

/** Where an output's files go. */
export interface Place {
  /** Throws file_write. */
  write(files: readonly NewFile[]): Promise<void>
  /** Whether all that was written is still there. */
  isThere(): Promise<boolean>
  /** What an earlier run has left here, and when that ends by the wall clock; undefined for nothing that could only be ours. */
  earlier?(): Promise<{ readonly expiresAt?: number | undefined } | undefined>
  /** Takes away what is no longer needed; resolves with the milliseconds until there is more to do, if there is. */
  sweep?(): Promise<number | undefined>
  /** Takes away what was written; false: there was nothing. Rejects with the system's error. */
  remove(): Promise<boolean>
}

/** What a system's error about a file is to people; its facts are the path and the reason by itself. */
export function fileFailure(path: string, error: unknown, what = 'write'): Failure {
  if (isFailure(error)) return error
  const reason = systemReason(error)
  return failure('file_write', `cannot ${what} ${path}: ${reason}`, { facts: { path, reason }, cause: error })
}

interface Prepared {
  /** Where the file's path leads. */
  readonly path: string
  readonly commit: () => Promise<void>
  readonly discard: () => Promise<void>
}

const mostLinks = 40
const longestToken = 65_536

/**
 * In a directory such as /tmp a stranger may have put a link or a file in our way. The kernel keeps plain writers from using it
 * (protected_symlinks, protected_regular), but not who renames over it with the owner that was found.
 */
async function refusePlanted(path: string, { uid }: Stats): Promise<void> {
  const directory = await stat(dirname(path))
  const isShared = (directory.mode & 0o1000) !== 0 && (directory.mode & 0o022) !== 0
  if (isShared && uid !== process.geteuid?.() && uid !== directory.uid)
    throw Object.assign(new Error(`it belongs to user ${uid}, in a directory where everybody may put things`), { code: 'EACCES' })
}

/** Where a path leads to, also when nothing is there yet: what a writer that follows symbolic links would write. */
async function follow(path: string): Promise<string> {
  for (let target = path, links = 0; ; links++) {
    const next = await readlink(target).catch(() => undefined)
    if (next === undefined || links === mostLinks) return target
    await refusePlanted(target, await lstat(target))
    target = resolve(await realpath(dirname(target)), next)
  }
}

/**
 * In place, for what cannot be renamed over: everything and then the new length, so that a reader may see old and new side by
 * side but never nothing. A pipe that nobody reads is refused, and not waited for.
 */
async function overwrite(path: string, { data, mode, keepMode }: NewFile, { uid, gid }: Ownership): Promise<void> {
  const probe = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK, mode)
  const file = await open(path, constants.O_WRONLY).finally(() => probe.close())
  try {
    const before = await file.stat()
    const regular = before.isFile()
    // First of all: a key must not lie there with the rights of what was there. Whose file it is may have decided for fewer.
    const narrower = (before.mode & 0o777 & ~mode) === 0
    if (regular && (uid ?? gid) !== undefined) await file.chown(uid ?? before.uid, gid ?? before.gid)
    if (regular && !keepMode) await file.chmod(mode).catch((error) => (systemCode(error) === 'EPERM' && narrower ? undefined : Promise.reject(error)))
    const put = async (from: number, to: number): Promise<void> => {
      for (let at = from; at < to; ) at += (await file.write(data, at, to - at, regular ? at : null)).bytesWritten
    }
    const length = regular ? Math.min(before.size, data.length) : 0
    // What needs room goes first, and goes away again if there is none: nothing of what was there is lost.
    await put(length, data.length).catch(async (error) => {
      if (regular) await file.truncate(before.size).catch(() => {})
      throw error
    })
    await put(0, length)
    if (regular) await file.truncate(data.length)
  } finally {
    await file.close()
  }
}

/** Notices what would fail; what it returns then takes the place of what is there. */
async function prepare(file: NewFile, owner: Ownership): Promise<Prepared> {
  const path = await follow(file.path)
  const inPlace = async (): Promise<Prepared> => {
    await access(path, constants.W_OK)
    return { path, commit: () => overwrite(path, file, owner), discard: async () => {} }
  }
  const before = await stat(path).catch((error) => (systemCode(error) === 'ENOENT' ? undefined : Promise.reject(error)))
  if (before?.isDirectory()) throw Object.assign(new Error(`${path} is a directory`), { code: 'EISDIR' })
  if (before !== undefined) await refusePlanted(path, before)
  // A device, a pipe, or a file that has a second name somewhere: whoever reads there would lose sight of it.
  if (before !== undefined && (!before.isFile() || before.nlink > 1)) return inPlace()
  const mode = before !== undefined && file.keepMode ? before.mode & 0o7777 : file.mode
  let temporary: string
  try {
    // Who pre-created a file for somebody else to read has decided whose it is.
    temporary = await writeBeside(path, file.data, { mode, uid: owner.uid ?? before?.uid, gid: owner.gid ?? before?.gid })
  } catch (error) {
    // No rights in the directory, or none to give files away: the file itself may be ours to write all the same.
    if (before !== undefined && ['EACCES', 'EPERM', 'EROFS'].includes(systemCode(error) ?? '')) return inPlace()
    throw error
  }
  return {
    path,
    commit: async () => {
      try {
        await rename(temporary, path)
      } catch (error) {
        await unlink(temporary).catch(() => {})
        // A single file that is mounted here cannot be renamed over.
        if (systemCode(error) !== 'EBUSY') throw error
        await overwrite(path, file, owner)
      }
    },
    discard: () => unlink(temporary).catch(() => {}),
  }
}

/**
 * Replaces several files that belong together: all are written beside their places first, so that whatever fails, fails
 * before the first of them changes; then each takes its place by a rename. Files that were there keep their owner unless
 * `owner` says otherwise, and stay reachable by their symbolic links; what cannot be renamed over is written in
 * place. No directory is made. Resolves with where the files are. Throws file_write.
 */
export async function replaceFiles(files: readonly NewFile[], owner: Ownership = {}): Promise<string[]> {
  // All at once: each waits for the disk.
  const tried = await Promise.allSettled(files.map((file) => prepare(file, owner)))
  const prepared = tried.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  for (const [index, one] of tried.entries()) {
    if (one.status === 'fulfilled') continue
    for (const other of prepared) await other.discard()
    throw fileFailure(files[index]?.path ?? '', one.reason)
  }
  for (const [index, one] of prepared.entries()) {
    try {
      await one.commit()
    } catch (error) {
      for (const rest of prepared.slice(index + 1)) await rest.discard()
      throw fileFailure(files[index]?.path ?? '', error)
    }
  }
  return prepared.map(({ path }) => path)
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    (error) => systemCode(error) !== 'ENOENT',
  )

/** Files by their paths, wherever they are. `token`: the path of the one file, a JWT-SVID, which tells of itself when it ends. */
export function plainFiles(owner: Ownership, token?: string): Place {
  // Where they were written: a link that somebody puts in the place of one later is not ours to follow.
  let written: readonly string[] = []
  let isFirst = true
  return {
    async write(files) {
      if (isFirst) for (const { path } of files) await removeLeftovers(await follow(path).catch(() => path))
      isFirst = false
      written = await replaceFiles(files, owner)
    },
    async earlier() {
      const path = token === undefined ? undefined : await follow(token).catch(() => undefined)
      if (path === undefined) return undefined
      const expiresAt = expiryOf(await readShortFile(path, longestToken).catch(() => ''))
      if (expiresAt === undefined) return undefined
      written = [path]
      return { expiresAt }
    },
    isThere: async () => (await Promise.all(written.map(exists))).every(Boolean),
    async remove() {
      const there = await Promise.all(written.map(exists))
      for (const path of written) await rm(path, { force: true })
      written = []
      return there.some(Boolean)
    },
  }
}
