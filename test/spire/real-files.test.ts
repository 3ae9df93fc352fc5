// The configuration in deploy/spire, as SPIRE's own programs read it, and what the other tests put in the place of its lines.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { checkout, folder, run } from '../platform/machine.ts'
import { discoveryConfig } from './discovery.ts'
import { quoted, shipped } from './shipped.ts'
import { agentConfig, serverConfig } from './spire.ts'

const bin = execFileSync(join(import.meta.dirname, 'testbed', 'build'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
const home = join(checkout, 'deploy/spire')
const space = await folder('spire-files')
after(() => space.remove())

/** What SPIRE says of a configuration; empty when it is valid. */
async function complaint(program: 'spire-server' | 'spire-agent', text: string): Promise<string> {
  const file = join(space.path, `${program}.conf`)
  await writeFile(file, text)
  const { status, stdout, stderr } = await run([join(bin, program), 'validate', '-config', file])
  return status === 0 ? '' : `${stdout}${stderr}`
}

describe('SPIRE takes', () => {
  const configurations = globSync('**/{server*,agent}.conf', { cwd: home }).sort()
  assert.ok(configurations.length >= 6)
  for (const name of configurations) {
    const program = name.includes('server') ? 'spire-server' : 'spire-agent'
    test(name, async () => {
      assert.equal(await complaint(program, shipped(name, { set: {} })), '')
      const wrong = shipped(name, { set: {}, add: { [program === 'spire-server' ? 'server' : 'agent']: 'no_such_key = true' } })
      assert.match(await complaint(program, wrong), /unknown configuration detected/)
    })
  }

  test('no key of a kind that Roles Anywhere does not take', async () => {
    const wrong = shipped('server-roles-anywhere.conf', { set: { 'server.ca_key_type': quoted('ed25519') } })
    assert.match(await complaint('spire-server', wrong), /ed25519/)
  })

  test('no publisher without its trust anchor', async () => {
    const wrong = shipped('server-roles-anywhere.conf', { set: { 'BundlePublisher "aws_rolesanywhere_trustanchor".trust_anchor_id': '""' } })
    assert.match(await complaint('spire-server', wrong), /missing the trust anchor id/)
  })
})

describe('the tests replace', () => {
  const ports = { server: 1, health: 2 }
  const own = '/own'
  /** The keys of the lines that only one of the two has. */
  const changes = (name: string, text: string) => {
    const before = readFileSync(join(home, name), 'utf8').split('\n')
    const now = text.split('\n')
    const keys = (lines: readonly string[], others: readonly string[]) => {
      const left = [...others]
      const only = lines.filter((line) => !left.includes(line) || left.splice(left.indexOf(line), 1).length === 0)
      return only.map((line) => line.trim().replace(/ = .*$/, ''))
    }
    return { replaced: keys(before, now), by: keys(now, before) }
  }
  const serverLines = ['bind_address', 'bind_port', 'socket_path', 'data_dir', 'connection_string', 'keys_path']
  const faster = ['experimental { cache_reload_interval', 'ratelimit { attestation']

  test('addresses, ports and folders of the server, and make it look for changes each second', () => {
    const oidc = changes('server-oidc.conf', serverConfig('self-signed', own, ports))
    assert.deepEqual(oidc.replaced, [...serverLines, 'bind_port'])
    assert.deepEqual(oidc.by.toSorted(), [...faster, ...oidc.replaced].toSorted())
    const anywhere = changes('server-roles-anywhere.conf', serverConfig('intermediate', own, ports))
    assert.deepEqual(anywhere.replaced, [...serverLines, 'cert_file_path', 'key_file_path', 'bind_port'])
    assert.deepEqual(anywhere.by.toSorted(), [...faster, ...anywhere.replaced].toSorted())
  })

  test('addresses, ports and folders of the agent, and make it ask the server each second', () => {
    const { replaced, by } = changes('agent.conf', agentConfig(own, ports, { path: '/own/agent.sock' }))
    assert.deepEqual(replaced, ['server_address', 'server_port', 'trust_bundle_path', 'socket_path', 'data_dir', 'directory', 'bind_port'])
    assert.deepEqual(by, ['experimental {', 'sync_interval', ...replaced, '}'])
    const measured = changes('agent.conf', agentConfig(own, ports, { path: '/own/agent.sock', withoutDigest: true }))
    assert.deepEqual(measured.replaced, replaced)
    assert.deepEqual(measured.by.toSorted(), [...by, 'workload_size_limit'].toSorted())
  })

  test('addresses and files of the discovery provider', () => {
    const { replaced, by } = changes('oidc-discovery-provider.conf', discoveryConfig(own, '/own/api.sock', { https: 3, health: 4 }))
    assert.deepEqual(replaced, ['addr', 'cert_file_path', 'key_file_path', 'address', 'bind_port'])
    assert.deepEqual(by, replaced)
  })

  test('nothing that is not there', () => {
    assert.throws(() => shipped('agent.conf', { set: { 'agent.no_such_key': '1' } }), /no_such_key/)
  })
})
