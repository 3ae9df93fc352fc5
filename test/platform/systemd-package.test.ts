// The Debian package and the tarball: built twice alike, installed, upgraded and purged on a machine with a real systemd.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { checkout, configuration, must, need, node, run } from './machine.ts'
import { type Booted, boot, configFile, executable, ports } from './systemd/booted.ts'

const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as { version: string }
const made = [`dist/svidecar-${version}-linux-amd64.tar.gz`, `dist/svidecar_${version}_amd64.deb`] as const
const deb = join(checkout, made[1])

let machine: Booted
let scratch: string

before(async () => {
  need({ 'dpkg-deb': 'dpkg', mandoc: 'mandoc', groff: 'groff-base' })
  await executable()
  scratch = await mkdtemp(join(tmpdir(), 'package-'))
  machine = await boot('systemd-package', { installed: false })
})

after(async () => {
  await machine?.end()
  await rm(scratch, { recursive: true, force: true })
})

const build = () => must([node, 'tools/package/package.ts'], { cwd: checkout, timeoutMs: 180_000, env: { ...process.env, SOURCE_DATE_EPOCH: '1700000000' } })
const digests = () =>
  Promise.all(
    made.map(async (path) =>
      createHash('sha256')
        .update(await readFile(join(checkout, path)))
        .digest('hex'),
    ),
  )

test('the same input gives the same bytes', async () => {
  assert.deepEqual((await build()).trim().split('\n'), made)
  const first = await digests()
  await build()
  assert.deepEqual(await digests(), first)
})

test('it holds what docs/systemd.md says, of root, and the tarball the same but for the configuration', async () => {
  const paths = (list: string): string[] =>
    [...list.matchAll(/^\S+ +(\S+) .*? \.?\/?((?:usr|etc)\/\S*[^/\s])(?: -> \S+)?$/gm)].map(([, owner, path]) => `${owner} ${path}`).sort()
  const inDeb = paths(await must(['dpkg-deb', '--contents', deb]))
  for (const path of [
    'usr/bin/svidecar',
    'usr/bin/spiffe-helper',
    'usr/lib/systemd/system/svidecar.socket',
    'usr/share/man/man8/svidecar.service.8.gz',
    'usr/share/doc/svidecar/copyright',
  ])
    assert.ok(inDeb.includes(`root/root ${path}`), `${path} in ${inDeb.join('\n')}`)
  const tarball = paths(await must(['tar', '--list', '--verbose', '--file', join(checkout, made[0])])).map((one) => one.replace('0/0 ', 'root/root '))
  assert.deepEqual(
    tarball,
    inDeb.filter((one) => one !== 'root/root etc/svidecar/config.yaml'),
  )
  assert.equal(await must(['dpkg-deb', '--info', deb, 'conffiles']), `${configFile}\n`)
})

test('the manual has no mistake that mandoc or groff knows, and every command, key and drop-in', async () => {
  const root = join(scratch, 'root')
  await must(['dpkg-deb', '--extract', deb, root])
  const shown: string[] = []
  for (const [page, section] of [
    ['svidecar', 1],
    ['svidecar.yaml', 5],
    ['svidecar.service', 8],
  ] as const) {
    const file = join(scratch, `${page}.${section}`)
    await writeFile(file, await must(['zcat', join(root, `usr/share/man/man${section}/${page}.${section}.gz`)]))
    assert.deepEqual(await run(['mandoc', '-T', 'lint', '-W', 'warning', file]), { status: 0, stdout: '', stderr: '' }, page)
    assert.deepEqual(await run(['groff', '-man', '-Tutf8', '-ww', '-z', file]), { status: 0, stdout: '', stderr: '' }, page)
    shown.push(await must(['groff', '-man', '-Tutf8', '-P-cbou', '-rLL=200n', file]))
  }
  const [commands = '', keys = '', units = ''] = shown
  for (const wanted of ['svidecar rotate-token CONSUMER', '--runtime-dir DIR', 'svidecar exec [options] -- COMMAND'])
    assert.ok(commands.includes(wanted), wanted)
  for (const wanted of ['profiles.NAME.roles_anywhere.role_arn', '$${ is a literal ${', 'hooks[].signal.pid_file']) assert.ok(keys.includes(wanted), wanted)
  for (const wanted of ['agent-in-tmp.conf', 'sudo dpkg -i svidecar']) assert.ok(units.includes(wanted), wanted)
})

/** What is of svidecar there, but for what systemd keeps of units that have been. */
const traces = async () =>
  (await machine.inside(['find', '/etc', '/usr', '/run', '/var', '-path', '*svidecar*', '-not', '-path', '/run/systemd/*'])).stdout.split('\n')
/** This machine is laid over the one that tests, where there may be others. */
let unrelated: readonly string[] = []

test('installed, nothing is enabled or started; with a configuration it is one command', async () => {
  unrelated = await traces()
  await copyFile(deb, machine.outside('/root/svidecar.deb'))
  await machine.done('dpkg', '--install', '/root/svidecar.deb')
  assert.match(await machine.done('id', 'svidecar'), /uid=\d+\(svidecar\)/)
  const states = await machine.inside(['systemctl', 'is-enabled', 'svidecar.service', 'svidecar.socket', 'svidecar@.service'])
  assert.equal(states.stdout, 'disabled\ndisabled\ndisabled\n')
  assert.equal(await machine.property('ActiveState'), 'inactive')
  await machine.done('svidecar', 'check')
  await machine.write(configFile, configuration(machine.world, ports))
  await machine.done('systemctl', 'enable', '--now', 'svidecar.socket', 'svidecar.service')
  await machine.ready()
  assert.match(await machine.done('readlink', `/proc/${await machine.property('MainPID')}/exe`), /^\/usr\/bin\/svidecar$/m)
})

test('the same once more keeps the configuration and the tokens, and runs the new executable', async () => {
  const [pid, token, config] = [await machine.property('MainPID'), await machine.done('cat', '/run/svidecar/app.token'), await machine.done('cat', configFile)]
  await machine.done('dpkg', '--install', '/root/svidecar.deb')
  await machine.ready()
  assert.notEqual(await machine.property('MainPID'), pid)
  assert.deepEqual([await machine.done('cat', '/run/svidecar/app.token'), await machine.done('cat', configFile)], [token, config])
})

test('removed, it runs no more and is enabled no more, and the configuration is there; purged, nothing is', async () => {
  const left = async () => (await traces()).filter((path) => !unrelated.includes(path))
  await machine.done('dpkg', '--remove', 'svidecar')
  assert.equal(await machine.get('/livez'), 0)
  assert.deepEqual(await left(), ['/etc/svidecar', '/etc/svidecar/config.yaml', '/var/lib/dpkg/info/svidecar.list', '/var/lib/dpkg/info/svidecar.postrm'])
  await machine.done('dpkg', '--purge', 'svidecar')
  assert.deepEqual(await left(), [])
  assert.match(await machine.done('id', 'svidecar'), /uid=/)
})
