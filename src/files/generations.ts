// A directory whose files change all at once: names are links into `..data`, which is a link to the newest generation.
import { randomBytes } from 'node:crypto'
import { lstat, mkdir, readdir, readlink, rename, rm, stat, symlink, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { letPass, makeDirectory, type Ownership, renameOrRemove, writeBeside } from '../core/atomic-file.ts'
import type { Clock } from '../core/clock.ts'
import { systemCode } from '../core/errors.ts'
import { fileFailure, type NewFile, type Place } from './place.ts'

/** A reader that has opened `..data` before the swap finds its files for so long. */
const readableMs = 120_000
const generationName = /^\.\.\d{8}T\d{9}Z-[0-9a-f]{12}$/
/** A link that a killed process was about to rename. */
const leftover = /^\.\..*\.[0-9a-f]{12}\.new$/
const dataLink = '..data'

/** The directory is made if it is missing; what others have put there is left alone. Paths of files are plain names. */
export function createGenerations(directory: string, owner: Ownership, clock: Clock): Place {
  // Replaced generations, and when that was by the boot clock. Those of an earlier run count from the first look.
  const replaced = new Map<string, number>()
  let published: readonly string[] = []

  /** The name of the newest generation; undefined if there is none. */
  const current = (): Promise<string | undefined> =>
    readlink(join(directory, dataLink)).catch((error) => (systemCode(error) === 'ENOENT' ? undefined : Promise.reject(error)))

  async function link(target: string, name: string): Promise<void> {
    const temporary = join(directory, `..link.${randomBytes(6).toString('hex')}.new`)
    await symlink(target, temporary)
    await renameOrRemove(temporary, join(directory, name))
  }

  /** The links of ours that lead into a generation: by name. */
  async function links(): Promise<string[]> {
    const entries = await readdir(directory, { withFileTypes: true })
    const found = await Promise.all(
      entries.filter((entry) => entry.isSymbolicLink()).map(async ({ name }) => ((await readlink(join(directory, name))) === join(dataLink, name) ? name : '')),
    )
    return found.filter((name) => name !== '')
  }

  async function publish(files: readonly NewFile[]): Promise<void> {
    await makeDirectory(directory)
    const names = files.map(({ path }) => path)
    // Noticed before anything changes.
    for (const name of [dataLink, ...names])
      if ((await lstat(join(directory, name)).catch(() => undefined))?.isDirectory())
        throw Object.assign(new Error(`${name} is a directory`), { code: 'EISDIR' })
    const stamp = new Date(clock.now()).toISOString().replaceAll(/[-:.]/g, '')
    const generation = `..${stamp}-${randomBytes(6).toString('hex')}`
    const inside = join(directory, generation)
    await mkdir(inside)
    await letPass(inside)
    try {
      const written = files.map(async ({ path, data, mode }) => rename(await writeBeside(join(inside, path), data, { mode, ...owner }), join(inside, path)))
      // A failure must not take the directory away from one that is still at work.
      await Promise.allSettled(written)
      await Promise.all(written)
      await link(generation, dataLink)
    } catch (error) {
      await rm(inside, { recursive: true, force: true })
      throw error
    }
    const known = await links()
    for (const name of names) if (!known.includes(name)) await link(join(dataLink, name), name)
    for (const name of known) if (!names.includes(name)) await unlink(join(directory, name))
    published = names
  }

  return {
    write: (files) =>
      publish(files).catch((error) => {
        throw fileFailure(directory, error)
      }),
    isThere: async () => {
      const found = published.map((name) => stat(join(directory, name)).then(Boolean, (error) => systemCode(error) !== 'ENOENT'))
      return (await Promise.all(found)).every(Boolean)
    },
    // Others keep their files in the same way: Kubernetes is one of them.
    earlier: async () => (generationName.test((await current().catch(() => undefined)) ?? '') ? {} : undefined),
    async sweep() {
      const newest = await current()
      const now = clock.boot()
      for (const name of await readdir(directory).catch(() => [])) {
        if (generationName.test(name) && name !== newest && !replaced.has(name)) replaced.set(name, now)
        if (leftover.test(name)) await rm(join(directory, name), { force: true })
      }
      for (const [name, since] of replaced) {
        if (name !== newest && now - since < readableMs) continue
        replaced.delete(name)
        if (name === newest) continue
        await rm(join(directory, name), { recursive: true, force: true })
      }
      return replaced.size === 0 ? undefined : Math.min(...replaced.values()) + readableMs - now
    },
    async remove() {
      if ((await lstat(directory).catch(() => undefined)) === undefined) return false
      const found = await links()
      for (const name of found) await unlink(join(directory, name))
      await rm(join(directory, dataLink), { force: true })
      for (const name of await readdir(directory)) if (generationName.test(name)) await rm(join(directory, name), { recursive: true, force: true })
      return found.length > 0
    },
  }
}
