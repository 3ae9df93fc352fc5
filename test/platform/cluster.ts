// A Kubernetes API server of one's own, with the etcd behind it and a kubectl that talks to it: real, but without a node
// unless it is started for one.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { eventually } from '../support/eventually.ts'
import { checkout, freePorts, launch, must, type Outcome, run } from './machine.ts'

export interface Cluster {
  readonly kubectl: (args: readonly string[], input?: string) => Promise<Outcome>
  /** What the API answers to the administrator, without the cost of a process. */
  get(path: string): Promise<string>
  /** Where the executables of Kubernetes are. */
  readonly binaries: string
  /** The file that a client needs, as JSON. `token`: a service account's, or `administrator`, or `node`. */
  kubeconfig(token: string): string
  /** With what the server shows a kubelet who it is. */
  readonly kubeletClient: string
  stop(): Promise<void>
}

/** Where it runs when it has a node, and what makes pods of objects and finds them a node. */
export interface Home {
  /** The node's. */
  readonly name: string
  readonly address: string
  /** What runs a command there. */
  command(command: readonly string[]): string[]
}

/** What turns the objects of the tests into pods, and what those need. */
const controllers = [
  'deployment',
  'replicaset',
  'job',
  'daemonset',
  'serviceaccount',
  'namespace',
  'garbage-collector',
  'node-lifecycle',
  'root-ca-certificate-publisher',
]

/** Starts both in an existing private folder; `more`: further options of the API server. Builds what is not built yet, which takes minutes. */
export async function startCluster(directory: string, more: Readonly<Record<string, string>> = {}, home?: Home): Promise<Cluster> {
  const address = home?.address ?? '127.0.0.1'
  const binaries = (await must([join(checkout, 'test/platform/kube/build')], { timeoutMs: 30 * 60_000 })).trim()
  const [clients = 0, peers = 0, secure = 0] = await freePorts(3)
  const own = (name: string) => join(directory, name)
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  await writeFile(own('service-accounts.pem'), privateKey)
  await writeFile(own('tokens.csv'), `administrator,administrator,1,system:masters\nnode,system:node:${home?.name},2,system:nodes\n`)
  // Signed by itself; the kubelet takes it for its authority.
  const kubeletClient = own('kubelet-client.crt')
  const client = ['-keyout', own('kubelet-client.key'), '-out', kubeletClient, '-subj', '/O=system:masters/CN=kube-apiserver']
  if (home !== undefined) await must(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', ...client])
  const etcd = `http://127.0.0.1:${clients}`
  const stop: (() => Promise<void>)[] = []
  const start = (command: string, options: Readonly<Record<string, string>>) => {
    const words = [command, ...Object.entries(options).map(([option, value]) => `--${option}=${value}`)]
    const server = launch(home === undefined ? words : home.command(words))
    stop.unshift(async () => {
      // Nothing of theirs is kept, so nothing is lost by this.
      server.kill('SIGKILL')
      await server.ended
    })
    return server
  }
  const stopAll = async () => {
    for (const one of stop) await one()
  }
  const kubectl: Cluster['kubectl'] = (args, input = '') =>
    run(
      [
        join(binaries, 'kubectl'),
        `--server=https://${address}:${secure}`,
        // Its certificate is a moment old and known to nobody.
        '--insecure-skip-tls-verify',
        '--token=administrator',
        `--cache-dir=${own('cache')}`,
        ...args,
      ],
      { input, env: { PATH: process.env['PATH'], HOME: directory } },
    )
  const get = (path: string): Promise<string> =>
    new Promise((answered, failed) => {
      const options = { rejectUnauthorized: false, headers: { authorization: 'Bearer administrator' } }
      const answer = async (response: IncomingMessage) => {
        const body = await text(response)
        assert.equal(response.statusCode, 200, `${path}: ${body}`)
        return body
      }
      request(`https://${address}:${secure}${path}`, options, (response) => answer(response).then(answered, failed))
        .on('error', failed)
        .end()
    })
  const kubeconfig: Cluster['kubeconfig'] = (token) =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster: { server: `https://${address}:${secure}`, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'test', user: { token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      'current-context': 'test',
    })
  try {
    const store = start('etcd', {
      'data-dir': own('etcd'),
      'listen-client-urls': etcd,
      'advertise-client-urls': etcd,
      'listen-peer-urls': `http://127.0.0.1:${peers}`,
      'initial-advertise-peer-urls': `http://127.0.0.1:${peers}`,
      'initial-cluster': `default=http://127.0.0.1:${peers}`,
    })
    const server = start(join(binaries, 'kube-apiserver'), {
      'etcd-servers': etcd,
      'bind-address': address,
      'secure-port': String(secure),
      'cert-dir': own('certificates'),
      'token-auth-file': own('tokens.csv'),
      'authorization-mode': home === undefined ? 'RBAC' : 'Node,RBAC',
      'service-cluster-ip-range': '10.96.0.0/16',
      'service-account-issuer': 'https://kubernetes.test',
      'service-account-key-file': own('service-accounts.pem'),
      'service-account-signing-key-file': own('service-accounts.pem'),
      // Service accounts are made by a controller that is not here.
      ...(home === undefined
        ? { 'disable-admission-plugins': 'ServiceAccount' }
        : {
            'allow-privileged': 'true',
            'kubelet-preferred-address-types': 'InternalIP',
            'kubelet-client-certificate': kubeletClient,
            'kubelet-client-key': own('kubelet-client.key'),
          }),
      ...more,
    })
    await eventually(
      'the API server is ready',
      async () => {
        store.check()
        server.check()
        return (await get('/readyz')) === 'ok'
      },
      120_000,
      100,
    )
    if (home !== undefined) {
      await writeFile(own('kubeconfig.json'), kubeconfig('administrator'))
      const common = { kubeconfig: own('kubeconfig.json'), 'leader-elect': 'false', 'bind-address': '127.0.0.1' }
      start(join(binaries, 'kube-scheduler'), common)
      start(join(binaries, 'kube-controller-manager'), {
        ...common,
        controllers: controllers.map((name) => `${name}-controller`).join(),
        'service-account-private-key-file': own('service-accounts.pem'),
        'root-ca-file': own('certificates/apiserver.crt'),
      })
    }
  } catch (error) {
    await stopAll()
    throw error
  }
  return { kubectl, get, binaries, kubeconfig, kubeletClient, stop: stopAll }
}
