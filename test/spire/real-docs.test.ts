// docs/spire.md: its parts of configuration as SPIRE reads them, and its commands.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse } from 'yaml'
import { checkout, folder, must, node, run } from '../platform/machine.ts'
import { readCertificate } from '../support/world/certificate.ts'
import { blocks, commands } from './page.ts'
import { type Spire, startSpire, writeRoot } from './spire.ts'

const bin = execFileSync(join(import.meta.dirname, 'testbed', 'build'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
const shipped = join(checkout, 'deploy/spire')
const space = await folder('spire-docs')
after(() => space.remove())

describe('docs/spire.md', () => {
  let spire: Spire
  before(async () => {
    spire = await startSpire(bin, { authority: 'self-signed' })
    await writeRoot(join(space.path, 'machines'))
  })
  after(() => spire?.close())
  const shell = (command: string, cwd = space.path) =>
    must(['bash', '-ec', command], { cwd, env: { PATH: `${bin}:${process.env['PATH']}`, SPIRE_SERVER_PRIVATE_SOCKET: spire.socket } })

  const parts = blocks().filter(({ language }) => language === 'hcl')
  assert.ok(parts.length >= 5)
  for (const [index, { file = '', text }] of parts.entries()) {
    const [, type = '', name = ''] = /^(\w+) "(\w+)"/.exec(text) ?? []
    test(`${type} "${name}" is taken in the place of the one in ${file}`, async () => {
      const before = readFileSync(join(shipped, file), 'utf8')
      // To the brace that closes a plugin, two spaces in.
      const after = before.replace(new RegExp(`^  ${type} "\\w+" \\{\\n[\\s\\S]*?^  \\}$`, 'm'), text.trimEnd())
      assert.notEqual(after, before)
      const path = join(space.path, `${index}.conf`)
      // SPIRE reads this file to validate.
      await writeFile(path, after.replace('/etc/spire/server/machines-ca.pem', join(space.path, 'machines/root.pem')))
      await must([join(bin, file.startsWith('agent') ? 'spire-agent' : 'spire-server'), 'validate', '-config', path])
    })
  }

  test('the root that it makes is one that a trust anchor takes and SPIRE signs below', async () => {
    for (const command of commands('A server for Roles Anywhere')) await shell(command)
    const root = new X509Certificate(await readFile(join(space.path, 'root.pem')))
    const { version, ca, keyCertSign } = readCertificate(root.raw)
    assert.deepEqual([version, ca, keyCertSign], [3, true, true])
    assert.ok(root.toString().length < 8000)
    const below = await startSpire(bin, {
      authority: 'intermediate',
      before: async (own) => {
        await mkdir(join(own, 'upstream'), { recursive: true })
        for (const name of ['root.pem', 'root.key']) await writeFile(join(own, 'upstream', name), await readFile(join(space.path, name)), { mode: 0o600 })
      },
    })
    try {
      const { x509_authorities: authorities } = (await below.server('bundle', 'show')) as { x509_authorities: { asn1: string }[] }
      assert.deepEqual(
        authorities.map(({ asn1 }) => asn1),
        [root.raw.toString('base64')],
      )
    } finally {
      await below.close()
    }
  })

  test('the first steps of a machine give a bundle and a token', async () => {
    const [, show = '', generate = ''] = commands('Agents')
    await shell(show)
    assert.match(await readFile(join(space.path, 'bootstrap.pem'), 'utf8'), /^-----BEGIN CERTIFICATE-----/)
    assert.match(await shell(generate), /^Token: [0-9a-f-]{36}$/m)
  })

  test('a machine is registered by the script and by the file', async () => {
    // The executable of the package, on the node; here there is neither.
    const [script = '', file = ''] = commands('Registration entries')
    await shell(
      script
        .replace('ssh web1 sha256sum /usr/bin/svidecar', `sha256sum ${node}`)
        .replace('deploy/spire/register.sh', 'bash <(sed "s,^socket=.*,socket=$SPIRE_SERVER_PRIVATE_SOCKET," deploy/spire/register.sh)'),
      checkout,
    )
    await shell(file, checkout)
    const { entries } = (await spire.server('entry', 'show')) as { entries: { spiffe_id: { path: string } }[] }
    const paths = entries.map(({ spiffe_id }) => spiffe_id.path)
    assert.equal(paths.filter((path) => path === '/service/web').length, 2)
    assert.ok(paths.includes('/service/batch'))
  })

  test("the publisher's configuration is svidecar's", async () => {
    const [yaml] = blocks().filter(({ language }) => language === 'yaml')
    assert.ok(yaml)
    await writeFile(join(space.path, 'config.yaml'), yaml.text.replace('group: spire', 'group: root'))
    const { status, stdout, stderr } = await run([node, join(checkout, 'src/main.ts'), 'check', '--config', join(space.path, 'config.yaml')], {
      env: { ...process.env, SPIFFE_ENDPOINT_SOCKET: 'unix:///run/spire/sockets/agent.sock', SVIDECAR_RUNTIME_DIR: join(space.path, 'run') },
    })
    assert.equal(status, 0, stdout + stderr)
  })
})

test("the values for SPIRE's chart say what the ClusterSPIFFEID says, and take its own away", async () => {
  const read = async (name: string) => parse(await readFile(join(shipped, 'kubernetes', name), 'utf8')) as never
  const { spec } = (await read('clusterspiffeid.yaml')) as { spec: { jwtTtl: string } & Record<string, unknown> }
  const { jwtTtl, ...same } = spec
  const values = (await read('values.yaml')) as { 'spire-server': { controllerManager: { identities: { clusterSPIFFEIDs: object } } } }
  assert.deepEqual(values['spire-server'].controllerManager.identities.clusterSPIFFEIDs, { default: { enabled: false }, svidecar: { ...same, jwtTTL: jwtTtl } })
})
