// The Kubernetes manifests: a real API server takes each of them by its strictest rules, and refuses their neighbours.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import type { Config } from '../../src/config/config.ts'
import { eventually } from '../support/eventually.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { checkout, folder, must, need } from './machine.ts'

const manifests = join(checkout, 'deploy/kubernetes')
const node = join(checkout, 'node_modules/.bin/node')
const main = join(checkout, 'src/main.ts')

interface Container {
  name: string
  env: { name: string; value: string }[]
  ports?: { name: string; containerPort: number }[]
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[]
  [more: string]: unknown
}

interface PodSpec {
  securityContext: { runAsNonRoot?: boolean; fsGroup: number }
  initContainers: Container[]
  containers: Container[]
  volumes: { name: string; [kind: string]: unknown }[]
}

interface Manifest {
  kind: string
  metadata: { name: string; labels?: Record<string, string> }
  data: Record<string, string>
  spec: { template: { metadata: object; spec: PodSpec } }
}

let space: Awaited<ReturnType<typeof folder>>
let cluster: Cluster
/** What kustomize makes of the folder, by kind. */
const objects = new Map<string, Manifest>()

before(async () => {
  need({ etcd: 'etcd-server', unshare: 'util-linux', setpriv: 'util-linux', ip: 'iproute2' })
  space = await folder('kubernetes')
  cluster = await startCluster(space.path)
  const { status, stdout, stderr } = await cluster.kubectl(['kustomize', manifests])
  assert.equal(status, 0, stderr)
  for (const document of parseAllDocuments(stdout)) {
    const object = document.toJS() as Manifest
    objects.set(object.kind, object)
  }
})

after(async () => {
  await cluster?.stop()
  await space?.remove()
})

const object = (kind: string): Manifest => objects.get(kind) ?? assert.fail(`there is no ${kind}`)
const podSpec = (): PodSpec => structuredClone(object('Deployment').spec.template.spec)
const sidecar = (spec: PodSpec): Container => spec.initContainers[0] ?? assert.fail('there is no sidecar')
const application = (spec: PodSpec): Container => spec.containers[0] ?? assert.fail('there is no application')
const valueOf = ({ env }: Container, name: string): string => env.find((one) => one.name === name)?.value ?? assert.fail(`${name} is not set`)

/** Has the server judge a pod as if it were to run it. */
const admit = (spec: object) =>
  cluster.kubectl(
    ['create', '--dry-run=server', '--validate=strict', '--filename=-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'app', namespace: object('Namespace').metadata.name }, spec }),
  )

test('every file of the folder is part of it', async () => {
  const { resources } = parse(await readFile(join(manifests, 'kustomization.yaml'), 'utf8')) as { resources: string[] }
  assert.deepEqual([...resources, 'kustomization.yaml'].sort(), (await readdir(manifests)).sort())
  assert.deepEqual([...objects.keys()].sort(), ['ConfigMap', 'Deployment', 'Namespace'])
})

test('the server takes every object, strictly, in a namespace that enforces the restricted profile', async () => {
  assert.match((await cluster.kubectl(['version'])).stdout, /Server Version: v1\.33\.0/)
  // The others are judged by the labels of a namespace that is really there.
  const created = await cluster.kubectl(['create', '--validate=strict', `--filename=${join(manifests, 'namespace.yaml')}`])
  assert.deepEqual(created, { status: 0, stdout: 'namespace/app created\n', stderr: '' })
  assert.equal(object('Namespace').metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted')
  // Without a warning, too: of a Deployment whose pods break the profile the server only warns.
  const all = await cluster.kubectl(['create', '--dry-run=server', '--validate=strict', `--filename=${join(manifests, 'config.yaml')}`, `--filename=${join(manifests, 'deployment.yaml')}`, '--namespace=app'])
  assert.deepEqual(all, { status: 0, stdout: 'configmap/svidecar created (server dry run)\ndeployment.apps/app created (server dry run)\n', stderr: '' })
  const applied = await cluster.kubectl(['apply', '--server-side', '--dry-run=server', '--validate=strict', `--kustomize=${manifests}`])
  assert.equal(applied.status, 0, applied.stderr)
  assert.doesNotMatch(applied.stderr, /warning/i)
})

test('its pod is admitted, and its neighbours are not', async () => {
  assert.deepEqual(await admit(podSpec()), { status: 0, stdout: 'pod/app created (server dry run)\n', stderr: '' })
  const refused: Record<string, [RegExp, (spec: PodSpec) => void]> = {
    'any user': [/violates PodSecurity "restricted:latest": runAsNonRoot != true/, (spec) => delete spec.securityContext.runAsNonRoot],
    'capabilities kept': [/violates PodSecurity .*unrestricted capabilities/, (spec) => delete (sidecar(spec)['securityContext'] as { capabilities?: object }).capabilities],
    'a folder of the node': [
      /violates PodSecurity .*hostPath/,
      (spec) => spec.volumes.splice(0, 1, { name: 'spiffe-workload-api', hostPath: { path: '/run/spire/sockets' } }),
    ],
    'a field that there is not': [/strict decoding error: unknown field "spec\.initContainers\[0\]\.restartPolice"/, (spec) => Object.assign(sidecar(spec), { restartPolice: 'Always' })],
    'a probe that only a sidecar may have': [/may not be set for init containers without restartPolicy=Always/, (spec) => delete sidecar(spec)['restartPolicy']],
  }
  for (const [what, [reason, change]] of Object.entries(refused)) {
    const spec = podSpec()
    change(spec)
    const { status, stderr } = await admit(spec)
    assert.notEqual(status, 0, `${what} was admitted`)
    assert.match(stderr, reason, what)
  }
})
