// Makes the Debian package and the tarball: `npm run build:deb [-- amd64|arm64]`, after `npm run build:sea`. The same input gives the same bytes.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { layTree, settle, version } from './tree.ts'

const here = import.meta.dirname
const checkout = resolve(here, '../..')

const [architecture = 'amd64', executable = architecture === 'amd64' ? 'dist/svidecar' : `dist/svidecar-${architecture}`] = process.argv.slice(2)
if (!['amd64', 'arm64'].includes(architecture)) throw new Error(`${architecture} is none of amd64, arm64`)
const given = process.env['SOURCE_DATE_EPOCH']
const epoch = Number(given ?? execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: checkout, encoding: 'utf8' }))

const filesOf = (root: string): string[] =>
  readdirSync(root, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()

/** The libraries are what the official builds of Node.js 24 are linked with; systemd has ProcSubset= since 247. */
const control = (kilobytes: number): string => `Package: svidecar
Version: ${version}
Architecture: ${architecture}
Maintainer: the svidecar authors <svidecar@example.org>
Installed-Size: ${kilobytes}
Depends: libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 8), systemd (>= 247)
Section: admin
Priority: optional
Description: SPIFFE identities in, AWS credentials out
 A daemon that turns the SPIFFE identity of a machine or a job into AWS
 credentials, renews both long before they expire, and serves them where every
 AWS SDK already looks.
`

function makeDeb(tree: string): string {
  const config = join(tree, 'etc/svidecar')
  mkdirSync(config, { recursive: true })
  copyFileSync(join(checkout, 'deploy/systemd/examples/config.yaml'), join(config, 'config.yaml'))
  const files = filesOf(tree)
  const sums = files
    .filter((path) => !path.startsWith(config))
    .map((path) => `${createHash('md5').update(readFileSync(path)).digest('hex')}  ${relative(tree, path)}\n`)
  const kilobytes = files.reduce((sum, path) => sum + Math.ceil(statSync(path).size / 1024), 0)
  const meta = join(tree, 'DEBIAN')
  mkdirSync(meta)
  for (const name of ['postinst', 'prerm', 'postrm']) copyFileSync(join(here, name), join(meta, name))
  const texts = { control: control(kilobytes), conffiles: '/etc/svidecar/config.yaml\n', md5sums: sums.join('') }
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(meta, name), text)
  settle(tree, epoch)
  const file = join(checkout, `dist/svidecar_${version}_${architecture}.deb`)
  // zstd: Debian 12 and Ubuntu 22.04 read it. One thread, since their number would show in the bytes.
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zzstd', '-z3', '--threads-max=1', '--build', tree, file], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return file
}

/** Without /etc: to unpack a new one over an old one keeps the configuration. */
function makeTarball(tree: string): string {
  const file = join(checkout, `dist/svidecar-${version}-linux-${architecture}.tar.gz`)
  const options = ['--sort=name', `--mtime=@${epoch}`, '--owner=0', '--group=0', '--numeric-owner', '--format=gnu', '--use-compress-program=gzip -n -3']
  execFileSync('tar', [...options, '--create', '--file', file, '--directory', tree, 'usr'], { stdio: ['ignore', 'ignore', 'inherit'] })
  return file
}

const space = mkdtempSync(join(tmpdir(), 'svidecar-package-'))
try {
  await layTree(space, resolve(executable), epoch)
  // The tarball first: the package adds what only dpkg knows to treat.
  for (const make of [makeTarball, makeDeb]) console.log(relative('.', make(space)))
} finally {
  rmSync(space, { recursive: true })
}
