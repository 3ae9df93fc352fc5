// One section of AWS's shared credentials file, among sections of others that keep every byte.
import { lstat, mkdir, open, readFile, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Credentials, isoSeconds } from '../aws/credentials.ts'
import { type Ownership, removeLeftovers } from '../core/atomic-file.ts'
import type { Clock } from '../core/clock.ts'
import { failure, systemCode } from '../core/errors.ts'
import { fileFailure, type Place, replaceFiles } from './place.ts'

/** What stands behind each key of ours. The last is for people: no SDK reads it. */
const values = {
  aws_access_key_id: ({ accessKeyId }: Credentials) => accessKeyId,
  aws_secret_access_key: ({ secretAccessKey }: Credentials) => secretAccessKey.reveal(),
  aws_session_token: ({ sessionToken }: Credentials) => sessionToken.reveal(),
  aws_account_id: ({ accountId }: Credentials) => accountId,
  x_security_token_expires: ({ expiration }: Credentials) => isoSeconds(expiration),
}
// botocore reads the last one before aws_session_token.
const ours = [...Object.keys(values), 'aws_security_token']

/** What a section of ours holds. */
export const sectionBody = (credentials: Credentials): string =>
  Object.entries(values)
    .map(([key, value]) => `${key} = ${value(credentials)}\n`)
    .join('')

const headerOf = (line: string): string | undefined => /^\s*\[([^\]]*)\]/.exec(line)?.[1]?.trim()
const keyOf = (line: string): string | undefined => /^\s*([\w-]+)\s*[=:]/.exec(line)?.[1]?.toLowerCase()

/**
 * The text with these lines in the section, in the place of what was there of these keys; every other byte stays. Without lines they are only
 * taken out, and the section with them if nothing else is in it. A section that is missing comes to the end. Of two of one name the first is used.
 */
export function withSection(text: string, section: string, body: string): string {
  const eol = text.includes('\r\n') ? '\r\n' : '\n'
  const fresh = body.replaceAll('\n', eol)
  const lines = text.split(/(?<=\n)/)
  const start = lines.findIndex((line) => headerOf(line) === section)
  if (start < 0) {
    if (body === '') return text
    const gap = text === '' ? '' : /(^|\n)\r?\n$/.test(text) ? '' : text.endsWith('\n') ? eol : eol + eol
    return `${text}${gap}[${section}]${eol}${fresh}`
  }
  const length = lines.slice(start + 1).findIndex((line) => headerOf(line) !== undefined)
  const end = length < 0 ? lines.length : start + 1 + length
  let isOurs = false
  let place: number | undefined
  const kept: string[] = []
  for (const line of lines.slice(start + 1, end)) {
    // An indented line goes on with the value before it, unless it is a comment or has a key of its own.
    isOurs = ours.includes(keyOf(line) ?? '') || (isOurs && /^[ \t]+[^\s#;]/.test(line) && keyOf(line) === undefined)
    if (isOurs) place ??= kept.length
    else kept.push(line)
  }
  // What is indented behind ours would go on with our value: then, and where there was nothing of ours, to the end of the section.
  const last = kept.findLastIndex((line) => line.trim() !== '')
  if (place === undefined || /^[ \t]+[^\s#;]/.test(kept[place] ?? '')) place = last + 1
  if (body !== '' && place > 0 && !kept[place - 1]?.endsWith('\n')) kept[place - 1] += eol
  const header = lines[start]?.endsWith('\n') ? [lines[start]] : [`${lines[start]}${eol}`]
  const isEmpty = body === '' && kept.every((line) => line.trim() === '')
  return [...lines.slice(0, start), ...(isEmpty ? [] : [...header, ...kept.toSpliced(place, 0, fresh)]), ...lines.slice(end)].join('')
}

const pauseMs = 25
const patienceMs = 5_000
// Nobody holds it for longer than a write takes, so whoever held it so long was killed. A clock that was set back is no reason to wait.
const forgottenMs = 30_000

/**
 * Does the work while no other svidecar writes the file: a lock file beside it, or none where nothing can be put there, and the file is written in
 * place. Throws file_write.
 */
async function locked<T>(path: string, clock: Clock, work: () => Promise<T>): Promise<T> {
  const lock = join(dirname(path), `.${basename(path)}.svidecar-lock`)
  const inode = () => lstat(lock).catch(() => undefined)
  let ours: number | undefined
  for (const end = clock.boot() + patienceMs; ; ) {
    try {
      await using held = await open(lock, 'wx', 0o600)
      ours = (await held.stat()).ino
      break
    } catch (error) {
      if (['EACCES', 'EPERM', 'EROFS'].includes(systemCode(error) ?? '')) break
      if (systemCode(error) !== 'EEXIST') throw error
    }
    const found = await inode()
    const isForgotten = found !== undefined && Math.abs(clock.now() - found.mtimeMs) > forgottenMs
    if (isForgotten && (await inode())?.ino === found.ino) await unlink(lock).catch(() => {})
    if (clock.boot() > end) throw failure('file_write', `cannot write ${path}: another svidecar holds ${lock}`, { facts: { path, reason: 'it is locked' } })
    await clock.sleep(pauseMs, new AbortController().signal)
  }
  try {
    return await work()
  } finally {
    if (ours !== undefined && (await inode())?.ino === ours) await unlink(lock).catch(() => {})
  }
}

/** One section of the file at `path`, which is made if it is missing, in a directory for its owner alone. */
export function credentialsFile(path: string, section: string, owner: Ownership, clock: Clock): Place {
  /** As it is, byte for byte: whatever its encoding, latin1 gives every byte back. */
  async function read(): Promise<string> {
    const facts = await stat(path).catch((error) => (systemCode(error) === 'ENOENT' ? undefined : Promise.reject(error)))
    if (facts !== undefined && !facts.isFile()) throw new Error('it is not a plain file')
    return facts === undefined ? '' : readFile(path, 'latin1')
  }
  let isFirst = true
  let written = ''
  let mode = 0o600

  /** True if the file has changed. */
  async function change(body: string): Promise<boolean> {
    if (isFirst) await removeLeftovers(path)
    isFirst = false
    return locked(path, clock, async () => {
      const before = await read()
      const after = withSection(before, section, body)
      // Whoever made it narrower knows why.
      const allowed = ((await stat(path).catch(() => undefined))?.mode ?? 0o777) & mode
      if (after !== before) await replaceFiles([{ path, data: Buffer.from(after, 'latin1'), mode: allowed }], owner)
      return after !== before
    })
  }

  return {
    async write([file]) {
      if (file === undefined) return
      mode = file.mode
      const body = file.data.toString('latin1')
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 })
        await change(body)
        written = body
      } catch (error) {
        throw fileFailure(path, error)
      }
    },
    async isThere() {
      if (written === '') return true
      const text = await read()
      return withSection(text, section, written) === text
    },
    remove: () => change(''),
  }
}
