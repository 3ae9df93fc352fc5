// Reads a file whose directory may be somebody else's.
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/** The text of a plain file of at most `longest` bytes: a pipe is not waited for, and nothing endless is read. Rejects with the system's error, or a reason. */
export async function readShortFile(path: string, longest: number): Promise<string> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const facts = await file.stat()
  if (facts.isDirectory()) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' })
  if (!facts.isFile() || facts.size > longest) throw new Error('it is no short plain file')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(longest), 0, longest, 0)
  return buffer.toString('utf8', 0, bytesRead)
}
