// Makes the executable: the pinned Node.js with the bundle inside. SPIRE attests a process by its executable's path and digest, and a script's is that of
// every other script. `npm run build:sea [-- x64|arm64 [FILE]]`; the same sources and the same lock file give the same bytes wherever they are built.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'

const bundle = 'dist/svidecar.cjs'
const architectures = { x64: 'x64', amd64: 'x64', arm64: 'arm64' } as const
const [asked = 'x64', file = 'dist/svidecar'] = process.argv.slice(2)
const architecture = architectures[asked as keyof typeof architectures]
if (architecture === undefined) throw new Error(`${asked} is none of ${Object.keys(architectures).join(', ')}`)
// Compiled code is of the processor that compiled it. On x64 it is 10 ms of each start; arm64 does without, so that one machine can build both.
const compiled = architecture === 'x64'
if (compiled && !(process.platform === 'linux' && process.arch === 'x64')) throw new Error('the executable for x64 can only be built on Linux x64')

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version: string; readonly integrity: string } | undefined>>
}
const name = `node-linux-${architecture}`
const locked = (JSON.parse(readFileSync('package-lock.json', 'utf8')) as Lock).packages[`node_modules/${name}`]
if (locked === undefined || process.version !== `v${locked.version}`) throw new Error(`this is Node.js ${process.version}, and ${locked?.version} is pinned`)

/** The pinned Node.js of another processor: npm left it out here. It checks what comes by the integrity that our lock file has for it. */
function fetchNode(folder: string): string {
  const { version, integrity } = locked ?? {}
  const project = { name: 'fetch', version: '0.0.0', dependencies: { [name]: version } }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(project))
  const packages = { '': project, [`node_modules/${name}`]: { version, integrity } }
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ ...project, lockfileVersion: 3, requires: true, packages }))
  execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts', '--os=linux', `--cpu=${architecture}`], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return join(folder, 'node_modules', name, 'bin/node')
}

/** What Node.js finds in itself: the bundle, how it starts, and on x64 the bundle as it is compiled. */
function makeBlob(folder: string): string {
  const blob = join(folder, 'blob')
  const config = {
    // Not absolute, because the path is part of the blob.
    main: bundle,
    output: blob,
    disableExperimentalSEAWarning: true,
    useCodeCache: compiled,
    // SIGUSR1 would open the inspector, which reads every secret.
    execArgv: ['--disable-sigusr1'],
    // NODE_OPTIONS could load somebody's code.
    execArgvExtension: 'none',
  }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  // The order of hash tables goes into compiled code, and is another in each process unless its seed is given.
  execFileSync(process.execPath, ['--hash-seed=1', '--experimental-sea-config', join(folder, 'config.json')], { stdio: 'pipe' })
  if (compiled) {
    // V8 takes compiled code only under the flags that it was made with, and a known seed at run time would let a client choose keys that collide. The seed
    // has no meaning for compiled code, whose strings are hashed anew, so the digest of flags in its header becomes that of a start without flags.
    const bytes = readFileSync(blob)
    const source = readFileSync(bundle)
    const header = bytes.indexOf(source) + source.length + 8
    bytes.writeUInt32LE(new Script('0').createCachedData().readUInt32LE(12), header + 12)
    writeFileSync(blob, bytes)
  }
  return blob
}

mkdirSync(dirname(file), { recursive: true })
const folder = mkdtempSync(join(tmpdir(), 'svidecar-sea-'))
const made = `${file}.new`
try {
  copyFileSync(compiled ? process.execPath : fetchNode(folder), made)
  chmodSync(made, 0o755)
  const fuse = ['--sentinel-fuse', 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2']
  // It warns of names of sections that it cannot read: what it says is shown when it fails.
  execFileSync(process.execPath, [fileURLToPath(import.meta.resolve('postject/dist/cli.js')), made, 'NODE_SEA_BLOB', makeBlob(folder), ...fuse], {
    stdio: 'pipe',
  })
  if (compiled) {
    const { status, stderr } = spawnSync(resolve(made), ['--version'], { encoding: 'utf8' })
    // That compiled code was refused is told here, too.
    if (status !== 0 || stderr !== '') throw new Error(`${made} --version ended with ${status}: ${stderr}`)
  }
  renameSync(made, file)
} finally {
  rmSync(folder, { recursive: true })
  rmSync(made, { force: true })
}
