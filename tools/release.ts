// Makes the folder of a release: executables, packages, the npm package, the bill of materials, and the digest of each. `npm run release`, with a clean checkout.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
const folder = `dist/release-${version}`
const node = (...args: readonly string[]) => execFileSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] })

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
node('build.ts')
for (const [architecture, executable] of [
  ['amd64', 'dist/svidecar'],
  ['arm64', 'dist/svidecar-arm64'],
] as const) {
  node('build-sea.ts', architecture, executable)
  node('tools/package/package.ts', architecture, executable)
  copyFileSync(executable, join(folder, `svidecar-${version}-linux-${architecture}`))
  for (const name of [`svidecar_${version}_${architecture}.deb`, `svidecar-${version}-linux-${architecture}.tar.gz`])
    renameSync(join('dist', name), join(folder, name))
}
node('tools/sbom.ts', join(folder, `svidecar-${version}.cdx.json`))
execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { stdio: ['ignore', 'ignore', 'inherit'] })
const sums = readdirSync(folder).map(
  (name) =>
    `${createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex')}  ${name}\n`,
)
writeFileSync(join(folder, 'SHA256SUMS'), sums.join(''))
console.log(`${folder}\n${sums.join('')}`)
