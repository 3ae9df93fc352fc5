// A release as CONTRIBUTING.md makes it: the files, their digests, the signature, and the executable of the other processor.
import assert from 'node:assert/strict'
import { appendFile, copyFile, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { checkout, folder, must, need, node, run } from './machine.ts'

const space = await folder('release')
const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as { version: string }
const release = join(checkout, `dist/release-${version}`)
const guide = await readFile(join(checkout, 'CONTRIBUTING.md'), 'utf8')

before(async () => {
  need({ 'ssh-keygen': 'openssh-client', 'qemu-aarch64': 'qemu-user', 'dpkg-deb': 'dpkg', npm: 'npm' })
  await must([node, 'tools/release.ts'], { cwd: checkout, timeoutMs: 600_000 })
})
after(() => space.remove())

test('the release has the files that the guide lists, and the digest of each', async () => {
  const table = /^ {3}\| file[^]*?\n\n/m.exec(guide)?.[0] ?? ''
  // A second name of a line is the end of the first with another processor in it.
  const listed = [...table.matchAll(/^ {3}\| (`[^|]+?) +\|/gm)].flatMap(([, names = '']) => {
    const [first = '', second] = [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name.replaceAll('0.1.0', version))
    return second === undefined ? [first] : [first, `${first.slice(0, first.indexOf('amd64') - 1)}${second}`]
  })
  assert.deepEqual((await readdir(release)).sort(), listed.sort())
  const { stdout } = await run(['sha256sum', '--check', 'SHA256SUMS'], { cwd: release })
  assert.deepEqual(
    stdout.trim().split('\n').sort(),
    listed
      .filter((name) => name !== 'SHA256SUMS')
      .map((name) => `${name}: OK`)
      .sort(),
  )
})

test('the executables run, each on its processor, and say the version and the commit', async () => {
  const commit = (await must(['git', 'rev-parse', '--short=12', 'HEAD'], { cwd: checkout })).trim()
  const says = `svidecar ${version} (${commit}, Node.js ${process.version})\n`
  assert.equal(await must([join(release, `svidecar-${version}-linux-amd64`), '--version']), says)
  const emulated = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu', join(release, `svidecar-${version}-linux-arm64`), '--version']
  assert.deepEqual(await run(emulated, { timeoutMs: 120_000 }), { status: 0, stdout: says, stderr: '' })
  for (const architecture of ['amd64', 'arm64'])
    assert.equal((await must(['dpkg-deb', '--field', join(release, `svidecar_${version}_${architecture}.deb`), 'Architecture'])).trim(), architecture)
})

test('the npm package holds the bundle and no executable, and runs where it is installed', async () => {
  const listed = await must(['tar', '--list', '--file', join(release, `svidecar-${version}.tgz`)])
  assert.match(listed, /^package\/dist\/svidecar\.cjs$/m)
  assert.doesNotMatch(listed, /^package\/dist\/(svidecar|svidecar-arm64|release.*|.*\.deb|.*\.gz)$/m)
  await must(['tar', '--extract', '--directory', space.path, '--file', join(release, `svidecar-${version}.tgz`)])
  assert.match(await must([node, join(space.path, 'package/dist/svidecar.cjs'), '--version']), new RegExp(`^svidecar ${version} `))
})

test('the signature is verified by the commands of the guide, and a changed file is found', async () => {
  const sign = /^ {3}(ssh-keygen -Y sign .*)$/m.exec(guide)?.[1]?.replace('~/.ssh/release', join(space.path, 'key'))
  const verify = /^(ssh-keygen -Y verify [^]*?)\n```/m.exec(guide)?.[1]
  assert.ok(sign !== undefined && verify !== undefined)
  for (const name of ['SHA256SUMS', `svidecar-${version}.cdx.json`]) await copyFile(join(release, name), join(space.path, name))
  await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(space.path, 'key')])
  await must(['sh', '-ec', sign], { cwd: space.path })
  await writeFile(join(space.path, 'allowed_signers'), `releases@svidecar ${await readFile(join(space.path, 'key.pub'), 'utf8')}`)
  assert.match(await must(['sh', '-ec', verify], { cwd: space.path }), /Good "svidecar-release" signature[^]*cdx\.json: OK/)
  await appendFile(join(space.path, `svidecar-${version}.cdx.json`), ' ')
  assert.notEqual((await run(['sh', '-ec', verify], { cwd: space.path })).status, 0)
  await copyFile(join(release, `svidecar-${version}.cdx.json`), join(space.path, `svidecar-${version}.cdx.json`))
  await appendFile(join(space.path, 'SHA256SUMS'), `${'0'.repeat(64)}  other\n`)
  assert.notEqual((await run(['sh', '-ec', verify], { cwd: space.path })).status, 0)
})
