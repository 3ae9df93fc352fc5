// What is left of a run, as names and texts that two runs can be compared by.
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** Everything a user can see of one run. */
export interface Observation {
  /** How it ended, its standard output, files, answers of its endpoints, what its child saw. */
  readonly facts: ReadonlyMap<string, string>
  /** The lines of standard error, without their time. */
  readonly log: readonly string[]
}

/** Every file and folder below `folder`, by its path in it. */
export function listTree(folder: string, prefix = ''): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${prefix}${entry.name}`
      return entry.isDirectory() ? [path, ...listTree(join(folder, entry.name), `${path}/`)] : [path]
    })
}

/** What tells one file from another with the same name. */
export const inodes = (folder: string): Map<string, number> => new Map(listTree(folder).map((path) => [path, lstatSync(join(folder, path)).ino]))

/** Type, mode, owner, content, and of those that were there before: whether they are the same file still. */
export function observeFiles(folder: string, before: ReadonlyMap<string, number>, normal: (text: string) => string): [string, string][] {
  return listTree(folder).flatMap((path): [string, string][] => {
    const full = join(folder, path)
    const stat = lstatSync(full)
    const name = (what: string) => `${what} of ${path}`
    const kept: [string, string][] = before.has(path) ? [[name('inode'), before.get(path) === stat.ino ? 'kept' : 'new']] : []
    const owner: [string, string] = [name('owner'), `${stat.uid}:${stat.gid}`]
    const mode: [string, string] = [name('mode'), (stat.mode & 0o7777).toString(8).padStart(4, '0')]
    if (stat.isSymbolicLink()) return [[name('type'), 'symlink'], [name('target'), normal(readlinkSync(full))], owner, ...kept]
    if (stat.isDirectory()) return [[name('type'), 'folder'], mode, owner, ...kept]
    if (!stat.isFile()) return [[name('type'), 'special'], mode, owner, ...kept]
    return [[name('type'), 'file'], [name('content'), normal(contentOf(full))], mode, owner, ...kept]
  })
}

function contentOf(path: string): string {
  const bytes = readFileSync(path)
  const text = bytes.toString('utf8')
  if (!Buffer.from(text).equals(bytes)) return `not text: ${bytes.toString('hex')}`
  return text.startsWith('{') ? readableBundle(text) : text
}

/** A JWT bundle with its key sets decoded and their keys in order, since the original writes those at random. */
function readableBundle(text: string): string {
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(sorted)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value)
        .sort(([one], [other]) => (one < other ? -1 : 1))
        .map(([key, inner]) => [key, sorted(inner)]),
    )
  }
  const jwks = (encoded: unknown): unknown => {
    const set = sorted(JSON.parse(Buffer.from(String(encoded), 'base64').toString())) as { keys?: object[] }
    return { ...set, keys: set.keys?.map((key) => JSON.stringify(key)).sort() }
  }
  try {
    const names = Object.entries(JSON.parse(text) as Record<string, unknown>)
    const canonical = JSON.stringify(Object.fromEntries(names)) === text ? '' : 'spaced '
    return canonical + JSON.stringify(names.map(([name, encoded]) => [name, jwks(encoded)]))
  } catch {
    return text
  }
}

const timeOfLine = /^time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)" /

/** The lines without their times. A Go panic's stack is nobody's business. */
export function observeLog(stderr: string, normal: (text: string) => string): string[] {
  const [told = ''] = stderr.split(/\n(?:PC=.*\n)?\ngoroutine \d+ /)
  return told
    .split('\n')
    .filter((line, n, all) => line !== '' || n < all.length - 1)
    .map((line) =>
      normal(line)
        .replace(timeOfLine, '')
        .replace(/\\n(?:goroutine|runtime).*?" system=/, '…" system='),
    )
}

/** What the child wrote down, one line each; its process number is nobody's business. */
export function observeChild(etc: string, normal: (text: string) => string): { lines: string[]; pids: number[] } {
  const path = join(etc, 'child.log')
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : []
  return {
    lines: lines.filter((line) => !/^(?:pid |env NODE_COMPILE_CACHE=)/.test(line)).map(normal),
    pids: lines.filter((line) => line.startsWith('pid ')).map((line) => Number(line.slice(4))),
  }
}

/** R, S, T and so on; undefined for one that is not there, or is a zombie. */
export function processState(pid: number): string | undefined {
  try {
    const state = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0]
    return state === 'Z' || state === 'X' ? undefined : state
  } catch {
    return undefined
  }
}
