// The ClusterSPIFFEID of deploy/spire: taken by a real API server with SPIRE's CRD, and made into registration entries by the real controller.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse } from 'yaml'
import { type Spire, startSpire } from '../spire/spire.ts'
import { eventually } from '../support/eventually.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { checkout, folder, freePorts, launch, need, type Running } from './machine.ts'

const built = (script: string): string => execFileSync(join(checkout, script), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
const shipped = join(checkout, 'deploy/spire/kubernetes')

interface Entry {
  readonly spiffe_id: { readonly path: string }
  readonly parent_id: { readonly path: string }
  readonly selectors: readonly { readonly type: string; readonly value: string }[]
  readonly x509_svid_ttl: number
  readonly jwt_svid_ttl: number
  readonly dns_names: readonly string[]
}

const pod = (name: string, labels: Readonly<Record<string, string>>, namespace = 'app') =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: { nodeName: 'node1', serviceAccountName: namespace, containers: [{ name: 'app', image: 'app' }] },
  })

describe('SPIRE in Kubernetes', () => {
  let space: Awaited<ReturnType<typeof folder>>
  let cluster: Cluster
  let spire: Spire
  let controllers: Running

  const kubectl = async (args: readonly string[], input?: string): Promise<string> => {
    const { status, stdout, stderr } = await cluster.kubectl(args, input)
    assert.equal(status, 0, `${args.join(' ')}: ${stderr}`)
    return stdout
  }
  const entries = async () => {
    controllers.check()
    return ((await spire.server('entry', 'show')) as { entries: Entry[] }).entries.filter(({ parent_id }) => parent_id.path.startsWith('/spire/agent/'))
  }

  before(async () => {
    need({ etcd: 'etcd-server' })
    space = await folder('spire-controllers')
    const bin = built('test/platform/spire-controllers/build')
    cluster = await startCluster(space.path)
    spire = await startSpire(built('test/spire/testbed/build'), { authority: 'self-signed' })
    await kubectl(['apply', '--server-side', '--filename', bin])
    await kubectl(['wait', '--for=condition=Established', 'crd/clusterspiffeids.spire.spiffe.io'])
    await kubectl(['create', 'namespace', 'app'])
    await kubectl(['create', 'serviceaccount', 'app', '--namespace=app'])
    await kubectl(['apply', '--filename=-'], JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node1' } }))
    await kubectl(['apply', '--validate=strict', '--filename', join(shipped, 'rbac.yaml')])

    const [metrics = 0, health = 0] = await freePorts(2)
    // Outside of the cluster: its socket and its ports are others.
    const config = {
      ...(parse(await readFile(join(shipped, 'controller-manager.yaml'), 'utf8')) as object),
      spireServerSocketPath: spire.socket,
      metrics: { bindAddress: `127.0.0.1:${metrics}` },
      health: { healthProbeBindAddress: `127.0.0.1:${health}` },
    }
    await writeFile(join(space.path, 'controller-manager.yaml'), JSON.stringify(config))
    // With the rights of the server's pod, in which it runs, and no others.
    const token = (await kubectl(['create', 'token', 'spire-server', '--namespace=spire'])).trim()
    await writeFile(join(space.path, 'kubeconfig.json'), cluster.kubeconfig(token))
    controllers = launch([join(bin, 'spire-controller-manager'), `-config=${join(space.path, 'controller-manager.yaml')}`], {
      KUBECONFIG: join(space.path, 'kubeconfig.json'),
      // Their webhook is asked by the API server at a service's address, which is not here.
      ENABLE_WEBHOOKS: 'false',
    })
  })
  after(async () => {
    controllers?.kill('SIGKILL')
    await controllers?.ended
    await spire?.close()
    await cluster?.stop()
    await space?.remove()
  })

  test('the CRD takes the ClusterSPIFFEID, and no field that it does not have', async () => {
    const file = join(shipped, 'clusterspiffeid.yaml')
    await kubectl(['apply', '--validate=strict', '--filename', file])
    const wrong = (await readFile(file, 'utf8')).replace('workloadSelectorTemplates:', 'workloadSelectors:')
    const refused = await cluster.kubectl(['apply', '--validate=strict', '--dry-run=server', '--filename=-'], wrong)
    assert.match(refused.stderr, /unknown field "spec.workloadSelectors"/)
  })

  test('a pod with svidecar has an entry that only its container svidecar fits, below its node', async () => {
    await kubectl(['apply', '--filename=-'], pod('with', { svidecar: 'enabled' }))
    await kubectl(['apply', '--filename=-'], pod('without', {}))
    const uid = async (what: string) => (await kubectl(['get', what, '--namespace=app', '--output=jsonpath={.metadata.uid}'])).trim()
    const [entry] = await eventually(
      'the entry is there',
      async () => {
        const made = await entries()
        return made.length > 0 ? made : undefined
      },
      30_000,
    )
    assert.equal(entry?.spiffe_id.path, '/ns/app/sa/app')
    assert.equal(entry.parent_id.path, `/spire/agent/k8s_psat/production/${await uid('node/node1')}`)
    assert.deepEqual(entry.selectors.map(({ type, value }) => `${type}:${value}`).toSorted(), [
      'k8s:container-name:svidecar',
      'k8s:ns:app',
      `k8s:pod-uid:${await uid('pod/with')}`,
      'k8s:sa:app',
    ])
    assert.deepEqual([entry.x509_svid_ttl, entry.jwt_svid_ttl, entry.dns_names], [3600, 300, ['app.app']])
    const { stats } = JSON.parse(await kubectl(['get', 'clusterspiffeid/svidecar', '--output=jsonpath={.status}'])) as { stats: Record<string, number> }
    assert.deepEqual([stats['podsSelected'], stats['entriesToSet'], stats['podEntryRenderFailures'] ?? 0], [1, 1, 0])
  })

  test('it is elected and works as the service account of the server, which may do nothing else', async () => {
    const holder = await kubectl(['get', 'lease/svidecar.spire.spiffe.io', '--namespace=spire', '--output=jsonpath={.spec.holderIdentity}'])
    assert.notEqual(holder, '')
    assert.doesNotMatch(controllers.said(), /forbidden/)
    const may = async (account: string, verb: string, resource: string, subresource = ''): Promise<string> => {
      const who = `--as=system:serviceaccount:spire:${account}`
      return (await cluster.kubectl(['auth', 'can-i', verb, resource, `--subresource=${subresource}`, '--all-namespaces', who])).stdout.trim()
    }
    assert.equal(await may('spire-server', 'watch', 'pods'), 'yes')
    assert.equal(await may('spire-server', 'create', 'clusterspiffeids.spire.spiffe.io'), 'no')
    assert.equal(await may('spire-server', 'get', 'secrets'), 'no')
    assert.equal(await may('spire-agent', 'get', 'nodes', 'pods'), 'yes')
    assert.equal(await may('spire-agent', 'get', 'nodes', 'proxy'), 'no')
  })

  test('a pod of a CI job has an identity of its own below the project or the name that its label gives', async () => {
    await kubectl(['create', 'namespace', 'ci'])
    await kubectl(['label', 'namespace/ci', 'ci-identities=enabled'])
    await kubectl(['create', 'serviceaccount', 'ci', '--namespace=ci'])
    await kubectl(['apply', '--validate=strict', '--filename', join(checkout, 'deploy/runners/pods/clusterspiffeid.yaml')])
    await kubectl(['apply', '--filename=-'], pod('job-1', { svidecar: 'ci', 'project.runner.gitlab.com/id': '42' }, 'ci'))
    await kubectl(['apply', '--filename=-'], pod('job-2', { svidecar: 'ci', 'ci-identity': 'payments-deploy' }, 'ci'))
    const made = await eventually(
      'both have theirs',
      async () => {
        const own = (await entries()).filter(({ spiffe_id }) => spiffe_id.path.startsWith('/ci/'))
        return own.length === 2 ? own : undefined
      },
      30_000,
    )
    assert.deepEqual(made.map(({ spiffe_id }) => spiffe_id.path).toSorted(), ['/ci/gitlab/project/42/job-1', '/ci/payments-deploy/job-2'])
    for (const { selectors, spiffe_id, dns_names } of made) {
      assert.ok(selectors.some(({ type, value }) => type === 'k8s' && value === 'container-name:svidecar'))
      assert.deepEqual(dns_names, [spiffe_id.path.split('/').at(-1)])
    }
    await kubectl(['delete', 'namespace/ci', '--wait=false'])
    await kubectl(['delete', 'pod/job-1', 'pod/job-2', '--namespace=ci', '--force', '--grace-period=0'])
  })

  test('a pod that is gone leaves no entry', async () => {
    await kubectl(['delete', 'pod/with', '--namespace=app', '--force', '--grace-period=0'])
    await eventually('the entry is gone', async () => (await entries()).length === 0, 30_000)
  })
})
