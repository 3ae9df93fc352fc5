// The two programs that are compared: the original, built by testbed/build, and ours, as `npm run build` leaves it.
import { execFileSync } from 'node:child_process'
import { chmodSync, constants, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'

export interface Program {
  readonly name: 'original' | 'ours'
  /** What to run, before the arguments. */
  readonly command: readonly string[]
  /** Makes it start faster, and nothing else; not part of what is compared. */
  readonly env: Readonly<Record<string, string>>
}

/** Where Node.js itself puts it by default. */
const compileCache = { NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache') }

export interface Programs {
  readonly original: Program
  readonly ours: Program
  /** The original is compared with itself, so nothing may differ and no difference is missed. */
  readonly self: boolean
}

const root = resolve(import.meta.dirname, '../..')

/** SVIDECAR_DROP_IN_SUBJECT: an executable to test in place of ours; `original` compares the original with itself. */
export function findPrograms(): Programs {
  if (process.getuid?.() !== 0) throw new Error('the drop-in suites change owners and mount files: run them as root')
  const built = execFileSync(join(import.meta.dirname, 'testbed', 'build'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
  const subject = process.env['SVIDECAR_DROP_IN_SUBJECT'] ?? ''
  const original: Program = { name: 'original', command: [built], env: {} }
  if (subject !== '')
    return { original, ours: { name: 'ours', command: [subject === 'original' ? built : resolve(subject)], env: {} }, self: subject === 'original' }
  const bundle = join(root, 'dist/svidecar.cjs')
  if (!existsSync(bundle)) throw new Error('dist/svidecar.cjs is not there: npm run build')
  return { original, ours: { name: 'ours', command: [process.execPath, bundle, 'spiffe-helper'], env: compileCache }, self: false }
}

let publicFolder: string | undefined

/** The same program where every user may read it: a home of root's and a checkout in it are closed to others. */
export function forEverybody(program: Program): Program {
  if (publicFolder === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'drop-in-bin-'))
    chmodSync(made, 0o755)
    process.once('exit', () => rmSync(made, { recursive: true, force: true }))
    publicFolder = made
  }
  const folder = publicFolder
  const command = program.command.map((word) => {
    if (!word.startsWith('/')) return word
    const copy = join(folder, `${program.name}-${basename(word)}`)
    if (!existsSync(copy)) {
      copyFileSync(word, copy, constants.COPYFILE_FICLONE)
      chmodSync(copy, 0o755)
    }
    return copy
  })
  return { ...program, command }
}
