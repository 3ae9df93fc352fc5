// A reader sees the old file or the new one, never half of one.
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface FileOptions {
  readonly mode: number
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

/**
 * Writes a sibling, makes it durable and renames it over `path`. Mode and owner are set on the descriptor
 * before the file has its name, so no reader meets it with other rights. Rejects with the system's error.
 */
export async function writeFileAtomic(path: string, data: string | Buffer, options: FileOptions): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.new`
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const file = await open(temporary, flags, 0o600)
  try {
    try {
      await file.writeFile(data)
      if (options.uid !== undefined || options.gid !== undefined) {
        const now = await file.stat()
        await file.chown(options.uid ?? now.uid, options.gid ?? now.gid)
      }
      await file.chmod(options.mode)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => {})
    throw error
  }
  const directory = await open(dirname(path), constants.O_RDONLY)
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
