// SPIRE on the node, from the files in deploy/spire/kubernetes: the server as a process, the agent as the pod that it is in a cluster.
import assert from 'node:assert/strict'
import { randomUUID, X509Certificate } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { JSONWebKeySet } from 'jose'
import { eventually } from '../../support/eventually.ts'
import type { Cluster } from '../cluster.ts'
import { checkout, must } from '../machine.ts'
import type { Machine } from './machine.ts'

/** Of the machine; the CSI driver shows it to pods. */
export const socketFolder = '/run/spire/agent-sockets'
const socket = '/run/spire/server/api.sock'

export interface Spire {
  /** spire-server's command line; resolves with what it printed as JSON. */
  server(...args: readonly string[]): Promise<unknown>
  /** DER: what AWS is told to trust. */
  readonly root: Buffer
  /** What its JWT-SVIDs are verified with. */
  jwks(): Promise<JSONWebKeySet>
  /** Registers svidecar's container in the pods of a namespace, as deploy/ registers that of the namespace app; resolves with the entry's ID. */
  register(namespace: string, x509Seconds?: number): Promise<string>
  startAgent(): Promise<void>
  stopAgent(): Promise<void>
}

interface Entry {
  spiffe_id: string
  selectors: { type: string; value: string }[]
  x509_svid_ttl?: number
}

/** A text with each key, which must be in it once, replaced. */
function substitute(text: string, changes: Readonly<Record<string, string>>): string {
  for (const [from, to] of Object.entries(changes)) {
    assert.equal(text.split(from).length, 2, `${from} is not there once`)
    text = text.replace(from, () => to)
  }
  return text
}

/** Takes a plugin's block out of a configuration. */
function without(text: string, plugin: string): string {
  const block = new RegExp(`\n(  #[^\n]*\n)*  \\w+ "${plugin}" \\{\n.*?\n  \\}\n`, 's')
  assert.match(text, block)
  return text.replace(block, '')
}

const shipped = (name: string) => readFile(join(checkout, 'deploy/spire/kubernetes', name), 'utf8')

/** `bin`: the folder of the executables; `directory`: an existing private folder. */
export async function startSpire(machine: Machine, cluster: Cluster, bin: string, directory: string): Promise<Spire> {
  const own = (name: string) => join(directory, name)
  const kubectl = async (args: readonly string[], input?: string) => {
    const { status, stdout, stderr } = await cluster.kubectl(args, input)
    assert.equal(status, 0, stderr)
    return stdout
  }
  const subject = ['-subj', '/C=US/O=example', '-addext', 'keyUsage=critical,keyCertSign,cRLSign']
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  await must(['openssl', 'req', '-x509', ...curve, '-keyout', own('tls.key'), '-out', own('tls.crt'), ...subject])
  await kubectl(['apply', '--filename=-'], await shipped('rbac.yaml'))
  // It runs outside the cluster, with the rights that it would have inside.
  await writeFile(own('spire-kubeconfig.json'), cluster.kubeconfig(await kubectl(['--namespace=spire', 'create', 'token', 'spire-server'])))
  const kubeconfig = `"${own('spire-kubeconfig.json')}"`
  const server = substitute(without(await shipped('server.conf'), 'aws_rolesanywhere_trustanchor'), {
    '/etc/spire/upstream/tls.crt': own('tls.crt'),
    '/etc/spire/upstream/tls.key': own('tls.key'),
    'service_account_allow_list =': `kube_config_file = ${kubeconfig}\n          service_account_allow_list =`,
    'namespace = "spire"': `kubeconfig_path = ${kubeconfig}\n          namespace = "spire"`,
    // What has changed is known after a second.
    '  log_level = "INFO"\n': '  log_level = "DEBUG"\n  experimental { cache_reload_interval = "1s" }\n',
  })
  const agent = substitute(await shipped('agent.conf'), {
    'spire-server.spire': machine.address,
    '  log_level = "INFO"\n': '  log_level = "DEBUG"\n  experimental { sync_interval = "1s" }\n',
  })
  await writeFile(own('server.conf'), server)
  await writeFile(own('agent.conf'), agent)
  await kubectl(['--namespace=spire', 'create', 'configmap', 'spire-agent', `--from-file=${own('agent.conf')}`])
  await mkdir(machine.path('/var/lib/spire/server'), { recursive: true })

  const program = join(bin, 'spire-server')
  const process = machine.launch([program, 'run', '-config', own('server.conf')])
  await eventually(
    'the server of SPIRE is healthy',
    async () => {
      process.check()
      return (await machine.run([program, 'healthcheck', '-socketPath', socket])).status === 0
    },
    120_000,
    500,
  )
  const ask = async (...args: string[]): Promise<unknown> => JSON.parse(await machine.must([program, ...args, '-socketPath', socket, '-output', 'json']))
  const [node, app] = (JSON.parse(await shipped('entries.json')) as { entries: [Entry, Entry] }).entries
  const create = async (entry: Entry) => {
    const file = own(`entry-${randomUUID()}.json`)
    await writeFile(file, JSON.stringify({ entries: [entry] }))
    const { results } = (await ask('entry', 'create', '-data', file)) as { results: { status: { message: string }; entry: { id: string } }[] }
    return results[0]?.entry.id ?? assert.fail(JSON.stringify(results))
  }
  await create(node)
  return {
    root: new X509Certificate(await readFile(own('tls.crt'))).raw,
    server: ask,
    async jwks() {
      const bundle = await machine.must([program, 'bundle', 'show', '-socketPath', socket, '-format', 'spiffe'])
      const { keys } = JSON.parse(bundle) as JSONWebKeySet
      // The others are for X.509, and a use of SPIFFE's is none of JOSE's.
      return { keys: keys.filter(({ use }) => use === 'jwt-svid').map((key) => ({ ...key, use: 'sig' })) }
    },
    register(namespace, x509Seconds) {
      const entry = JSON.parse(JSON.stringify(app).replaceAll('/ns/app/', `/ns/${namespace}/`).replaceAll('"ns:app"', `"ns:${namespace}"`)) as Entry
      return create({ ...entry, ...(x509Seconds !== undefined && { x509_svid_ttl: x509Seconds }) })
    },
    async startAgent() {
      await kubectl(['apply', '--filename', join(import.meta.dirname, 'spire.yaml')])
      const set = async () => JSON.parse(await cluster.get('/apis/apps/v1/namespaces/spire/daemonsets/spire-agent')) as { status: { numberReady: number } }
      await eventually('the agent is there', async () => (await set()).status.numberReady === 1, 120_000, 200)
    },
    async stopAgent() {
      await kubectl(['--namespace=spire', 'delete', 'daemonset', 'spire-agent', '--cascade=foreground'])
    },
  }
}
