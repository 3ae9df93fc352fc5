// The environment variables, and every way to write the agent's address.
import { rmdirSync } from 'node:fs'
import { after } from 'node:test'
import { type Case, compareAll } from './case.ts'
import { address, jwtConfig, jwtEntry, names } from './configs.ts'
import type { Run } from './run.ts'

const files = names.svid + names.key + names.bundle
const defaultFolder = '/tmp/spire-agent/public'
// In a namespace of its own the default socket is ours; the folder that it is mounted on stays.
const atDefault = `mkdir -p ${defaultFolder}; mount --bind {etc} ${defaultFolder}; ln -s agent.sock {etc}/api.sock;`
after(() => {
  try {
    rmdirSync(defaultFolder)
    rmdirSync('/tmp/spire-agent')
  } catch {
    // It was there before, or a case has not made it.
  }
})

const working: readonly Case[] = [
  { name: 'SPIFFE_ENDPOINT_SOCKET', env: { SPIFFE_ENDPOINT_SOCKET: '{socket}' }, config: files },
  { name: 'SPIRE_AGENT_ADDRESS', env: { SPIRE_AGENT_ADDRESS: '{socket}' }, config: files },
  { name: 'both', env: { SPIFFE_ENDPOINT_SOCKET: '{socket}', SPIRE_AGENT_ADDRESS: '{socket}' }, config: files },
  { name: 'both, one of them empty', env: { SPIFFE_ENDPOINT_SOCKET: '{socket}', SPIRE_AGENT_ADDRESS: '' }, config: files },
  { name: 'both, the other empty', env: { SPIFFE_ENDPOINT_SOCKET: '', SPIRE_AGENT_ADDRESS: '{socket}' }, config: files },
  { name: 'agent_address goes before the environment', env: { SPIFFE_ENDPOINT_SOCKET: '/nowhere' }, config: address + files },
  { name: 'agent_address goes before the old name', env: { SPIRE_AGENT_ADDRESS: '/nowhere' }, config: address + files },
  { name: 'agent_address goes before both', env: { SPIFFE_ENDPOINT_SOCKET: '/nowhere', SPIRE_AGENT_ADDRESS: '/nowhere' }, config: address + files },
  { name: 'an empty agent_address is none', env: { SPIFFE_ENDPOINT_SOCKET: '{socket}' }, config: `agent_address = ""\n${files}` },
  { name: 'the default socket', before: atDefault, config: files },
  { name: 'the default socket with an empty variable', env: { SPIFFE_ENDPOINT_SOCKET: '' }, before: atDefault, config: files },
  { name: 'both, and another mistake that is found earlier', env: { SPIFFE_ENDPOINT_SOCKET: 'a', SPIRE_AGENT_ADDRESS: 'b' }, config: 'foo = 1\n' },
  { name: 'both, and another mistake that is found later', env: { SPIFFE_ENDPOINT_SOCKET: 'a', SPIRE_AGENT_ADDRESS: 'b' }, config: 'cert_file_mode = -1\n' },
  { name: 'a query', env: { SPIFFE_ENDPOINT_SOCKET: '{socket}?a=b' }, config: files },
  { name: 'a doubled slash', env: { SPIFFE_ENDPOINT_SOCKET: '/{socket}' }, config: files },
  { name: 'a dot in the path', env: { SPIFFE_ENDPOINT_SOCKET: '{etc}/./agent.sock' }, config: files },
  { name: 'an escape in the path', env: { SPIFFE_ENDPOINT_SOCKET: '{etc}/agent%2esock' }, config: files },
  { name: 'other variables', env: { SPIFFE_HLP_CERT_DIR: '/nowhere', CERT_DIR: '/nowhere', SVID_FILE_NAME: 'x' }, config: address + files },
].map((one) => ({ ...one, oneShot: true }))

/** What does not work in the original is said once, and then waited for. */
const addresses: Readonly<Record<string, string>> = {
  'unix:///…': 'unix://{socket}',
  'unix:/…': 'unix:{socket}',
  'UNIX:///…': 'UNIX://{socket}',
  'tcp://…': 'tcp://127.0.0.1:{port}',
  'a relative path': '../etc/agent.sock',
  'a name': 'agent.sock',
  'a number': '5',
  'an address that is no URL': '%zz',
  'a space before it': ' {socket}',
  'a slash after it': '{socket}/',
  'an anchor': '{socket}#a',
}

const steps = async (run: Run): Promise<void> => {
  await run.logged(/X\.509 certificates updated|Error while watching/)
  run.signal('SIGTERM')
}

const cases: readonly Case[] = [
  ...working,
  ...Object.entries(addresses).flatMap(([name, value]): Case[] => [
    { name: `SPIFFE_ENDPOINT_SOCKET: ${name}`, env: { SPIFFE_ENDPOINT_SOCKET: value }, config: files, steps, collapse: true },
    { name: `agent_address: ${name}`, config: `agent_address = "${value}"\n${files}`, steps, collapse: true },
  ]),
  {
    name: 'tokens from a socket in the environment',
    env: { SPIFFE_ENDPOINT_SOCKET: '{socket}' },
    config: jwtConfig(jwtEntry('a', 'f')).replace(address, ''),
    oneShot: true,
  },
]

compareAll('environment', cases, 4)
