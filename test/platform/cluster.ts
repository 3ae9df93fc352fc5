// A Kubernetes API server of one's own, with the etcd behind it and a kubectl that talks to it: real, but without a node.
import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '../support/eventually.ts'
import { checkout, freePorts, launch, must, type Outcome, run } from './machine.ts'

export interface Cluster {
  readonly kubectl: (args: readonly string[], input?: string) => Promise<Outcome>
  /** The file that a client needs, as JSON. `token`: a service account's, or `administrator`. */
  kubeconfig(token: string): string
  stop(): Promise<void>
}

/** Starts both in an existing private folder; `more`: further options of the API server. Builds what is not built yet, which takes minutes. */
export async function startCluster(directory: string, more: Readonly<Record<string, string>> = {}): Promise<Cluster> {
  const binaries = (await must([join(checkout, 'test/platform/kube/build')], { timeoutMs: 30 * 60_000 })).trim()
  const [client = 0, peer = 0, secure = 0] = await freePorts(3)
  const own = (name: string) => join(directory, name)
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  await writeFile(own('service-accounts.pem'), privateKey)
  await writeFile(own('tokens.csv'), 'administrator,administrator,1,system:masters\n')
  const etcd = `http://127.0.0.1:${client}`
  const stop: (() => Promise<void>)[] = []
  const start = (command: string, options: Readonly<Record<string, string>>) => {
    const args = Object.entries(options).map(([option, value]) => `--${option}=${value}`)
    const server = launch([command, ...args])
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
        `--server=https://127.0.0.1:${secure}`,
        // Its certificate is a moment old and known to nobody.
        '--insecure-skip-tls-verify',
        '--token=administrator',
        `--cache-dir=${own('cache')}`,
        ...args,
      ],
      { input, env: { PATH: process.env['PATH'], HOME: directory } },
    )
  const kubeconfig: Cluster['kubeconfig'] = (token) =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster: { server: `https://127.0.0.1:${secure}`, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'test', user: { token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      'current-context': 'test',
    })
  try {
    const store = start('etcd', {
      'data-dir': own('etcd'),
      'listen-client-urls': etcd,
      'advertise-client-urls': etcd,
      'listen-peer-urls': `http://127.0.0.1:${peer}`,
      'initial-advertise-peer-urls': `http://127.0.0.1:${peer}`,
      'initial-cluster': `default=http://127.0.0.1:${peer}`,
    })
    const server = start(join(binaries, 'kube-apiserver'), {
      'etcd-servers': etcd,
      'bind-address': '127.0.0.1',
      'secure-port': String(secure),
      'cert-dir': own('certificates'),
      'token-auth-file': own('tokens.csv'),
      'authorization-mode': 'RBAC',
      'service-cluster-ip-range': '10.96.0.0/16',
      'service-account-issuer': 'https://kubernetes.test',
      'service-account-key-file': own('service-accounts.pem'),
      'service-account-signing-key-file': own('service-accounts.pem'),
      // Service accounts are made by a controller that is not here.
      'disable-admission-plugins': 'ServiceAccount',
      ...more,
    })
    await eventually(
      'the API server is ready',
      async () => {
        store.check()
        server.check()
        return (await kubectl(['get', '--raw=/readyz'])).stdout === 'ok'
      },
      120_000,
    )
  } catch (error) {
    await stopAll()
    throw error
  }
  return { kubectl, kubeconfig, stop: stopAll }
}
