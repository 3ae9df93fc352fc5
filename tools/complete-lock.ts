// Completes package-lock.json: a registry mirror that does not serve optional packages of other platforms leaves them
// out, and then `npm ci` refuses the file everywhere. `node tools/complete-lock.ts` after each change of a dependency.
import { readFileSync, writeFileSync } from 'node:fs'

interface Package {
  readonly version?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
  readonly libc?: readonly string[]
  readonly optionalDependencies?: Readonly<Record<string, string>>
}
interface Lock {
  packages: Record<string, Package>
}

const systems = ['android', 'darwin', 'freebsd', 'linux', 'win32', 'openharmony', 'sunos', 'aix', 'openbsd', 'netbsd']
const processors = ['arm64', 'x64', 'ia32', 'arm', 'ppc64', 'riscv64', 's390x', 'loong64', 'mips64el']

/** The entries that are missing: optional packages whose name says for which platform they are. */
export function missingEntries({ packages }: Lock): Record<string, Package> {
  const missing: Record<string, Package> = {}
  for (const [parent, { optionalDependencies = {}, dev }] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      if (packages[`node_modules/${name}`] !== undefined || packages[`${parent}/node_modules/${name}`] !== undefined) continue
      const words = name.split(/[/-]/)
      const system = systems.filter((one) => words.includes(one))
      const processor = processors.filter((one) => words.includes(one))
      missing[`node_modules/${name}`] = {
        version,
        cpu: processor,
        ...(dev === true ? { dev } : {}),
        ...(words.includes('musl') ? { libc: ['musl'] } : {}),
        optional: true,
        os: system,
      }
    }
  }
  return missing
}

export const readLock = (): Lock => JSON.parse(readFileSync('package-lock.json', 'utf8')) as Lock

if (import.meta.main) {
  const lock = readLock()
  const packages = { ...lock.packages, ...missingEntries(lock) }
  lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync('package-lock.json', `${JSON.stringify(lock, undefined, 2)}\n`)
}
