// The Kubernetes manifests: a real API server takes each of them by its strictest rules, and refuses their neighbours.
import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Cluster, startCluster } from './cluster.ts'
import { checkout, folder, need } from './machine.ts'
import { type Manifest, manifests, type Overlay, overlays, type PodSpec, podOf, render, svidecarOf, workloadOf } from './manifests.ts'

const space = await folder('kubernetes')
const rendered = new Map<Overlay, Manifest[]>()
let cluster: Cluster

before(async () => {
  need({ etcd: 'etcd-server' })
  cluster = await startCluster(space.path)
  for (const overlay of overlays) rendered.set(overlay, await render(join(manifests, 'overlays', overlay)))
  // The others are judged by the labels of a namespace that is really there.
  const namespace = await cluster.kubectl(['apply', '--validate=strict', `--filename=${join(manifests, 'namespace.yaml')}`])
  assert.deepEqual(namespace, { status: 0, stdout: 'namespace/app created\n', stderr: '' })
})

after(async () => {
  await cluster?.stop()
  await space.remove()
})

const objects = (overlay: Overlay): Manifest[] => rendered.get(overlay) ?? assert.fail(`${overlay} was not rendered`)
const apply = (object: object) => cluster.kubectl(['apply', '--dry-run=server', '--validate=strict', '--filename=-'], JSON.stringify(object))

/** Has the server judge a pod as if it were to run it. */
const admit = (spec: object, labels: Record<string, string> = {}) =>
  cluster.kubectl(
    ['create', '--dry-run=server', '--validate=strict', '--filename=-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'app', namespace: 'app', labels }, spec }),
  )

test('every overlay is known here, and every file beside a kustomization is part of it', async () => {
  assert.deepEqual((await readdir(join(manifests, 'overlays'))).sort(), [...overlays].sort())
  const folders = globSync('**/kustomization.yaml', { cwd: manifests }).map(dirname)
  assert.equal(folders.length, overlays.length + 6)
  for (const directory of folders) {
    const text = await readFile(join(manifests, directory, 'kustomization.yaml'), 'utf8')
    const files = (await readdir(join(manifests, directory), { withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name }) => name)
    for (const file of files) assert.ok(file === 'kustomization.yaml' || text.includes(file), `${directory}/${file} is not in its kustomization`)
  }
})

test('the server is the one that is meant', async () => {
  assert.match((await cluster.kubectl(['version'])).stdout, /Server Version: v1\.33\.0/)
})

for (const overlay of overlays)
  test(`the server takes every object of ${overlay}, strictly and without a warning, and admits its pods to a restricted namespace`, async () => {
    const { status, stdout, stderr } = await cluster.kubectl([
      'apply',
      '--dry-run=server',
      '--validate=strict',
      `--kustomize=${join(manifests, 'overlays', overlay)}`,
    ])
    assert.deepEqual([status, stderr], [0, ''])
    assert.equal(stdout.match(/ created \(server dry run\)\n/g)?.length, objects(overlay).length)
    const { metadata, spec } = workloadOf(objects(overlay)).spec.template
    assert.deepEqual(await admit({ restartPolicy: 'Always', ...spec }, metadata.labels), {
      status: 0,
      stdout: 'pod/app created (server dry run)\n',
      stderr: '',
    })
  })

test('the commands of the documentation work as they stand there', async () => {
  const page = await readFile(join(checkout, 'docs/kubernetes.md'), 'utf8')
  const commands = [...page.matchAll(/^kubectl (apply .*)$/gm)].map(([, command = '']) => command.replace('deploy/kubernetes', manifests).split(' '))
  assert.equal(commands.length, 2)
  for (const command of commands) {
    const { status, stderr } = await cluster.kubectl(command)
    assert.deepEqual([status, stderr], [0, ''], command.join(' '))
  }
  assert.match((await cluster.kubectl(['--namespace=app', 'get', 'deployment/app', '--output=name'])).stdout, /^deployment\.apps\/app\n$/)
})

test('the server takes the network policies beside the sidecar, strictly', async () => {
  const kustomization = { components: ['../'.repeat(space.path.split('/').length - 1) + join(manifests, 'components/network-policy').slice(1)] }
  await writeFile(join(space.path, 'kustomization.yaml'), JSON.stringify({ ...kustomization, namespace: 'app' }))
  const policies = await render(space.path)
  assert.deepEqual(
    policies.map(({ kind, metadata }) => [kind, metadata.name]),
    [
      ['NetworkPolicy', 'svidecar-egress'],
      ['NetworkPolicy', 'svidecar-metrics'],
    ],
  )
  for (const policy of policies) {
    const { status, stderr } = await apply(policy)
    assert.deepEqual([status, stderr], [0, ''])
    // What they select is what the component labels.
    const { matchLabels } = policy.spec['podSelector'] as { matchLabels: object }
    const { labels } = workloadOf(objects('roles-anywhere')).spec.template.metadata
    assert.deepEqual({ ...labels, ...matchLabels }, labels)
  }
})

test('of a Deployment whose pods break the profile the server warns; so its silence says something', async () => {
  const careless = structuredClone(workloadOf(objects('roles-anywhere')))
  delete careless.spec.template.spec.securityContext.runAsNonRoot
  assert.match((await apply(careless)).stderr, /^Warning: would violate PodSecurity "restricted:latest": runAsNonRoot != true/)
})

test('neighbours of its pod are refused', async () => {
  const refused: Record<string, [RegExp, (spec: PodSpec) => void]> = {
    'any user': [/violates PodSecurity "restricted:latest": runAsNonRoot != true/, (spec) => delete spec.securityContext.runAsNonRoot],
    'capabilities kept': [/violates PodSecurity .*unrestricted capabilities/, (spec) => delete svidecarOf(spec).securityContext['capabilities']],
    'a folder of the node': [
      /violates PodSecurity .*hostPath/,
      (spec) => spec.volumes.splice(0, 1, { name: 'spiffe-workload-api', hostPath: { path: '/run/spire/sockets' } }),
    ],
    'a field that there is not': [
      /strict decoding error: unknown field "spec\.initContainers\[0\]\.restartPolice"/,
      (spec) => Object.assign(svidecarOf(spec), { restartPolice: 'Always' }),
    ],
    'a probe that only a sidecar may have': [
      /may not be set for init containers without restartPolicy=Always/,
      (spec) => delete svidecarOf(spec).restartPolicy,
    ],
  }
  for (const [what, [reason, change]] of Object.entries(refused)) {
    const spec = podOf(objects('roles-anywhere'))
    change(spec)
    const { status, stderr } = await admit(spec)
    assert.notEqual(status, 0, `${what} was admitted`)
    assert.match(stderr, reason, what)
  }
})
