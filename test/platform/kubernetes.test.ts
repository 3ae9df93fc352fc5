// The Kubernetes manifests: a real API server takes each of them by its strictest rules, and refuses their neighbours.
import assert from 'node:assert/strict'
import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import type { Config } from '../../src/config/config.ts'
import { eventually } from '../support/eventually.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { checkout, folder, install, launch, must, need, node, run } from './machine.ts'

const manifests = join(checkout, 'deploy/kubernetes')
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

const space = await folder('kubernetes')
let cluster: Cluster
/** What kustomize makes of the folder, by kind. */
const objects = new Map<string, Manifest>()

before(async () => {
  need({ etcd: 'etcd-server', unshare: 'util-linux', setpriv: 'util-linux', ip: 'iproute2' })
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
  await space.remove()
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
  assert.equal(object('Namespace').metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted')
  // The others are judged by the labels of a namespace that is really there.
  const namespace = await cluster.kubectl(['apply', '--validate=strict', `--filename=${join(manifests, 'namespace.yaml')}`])
  assert.deepEqual(namespace, { status: 0, stdout: 'namespace/app created\n', stderr: '' })
  const created = ['configmap/svidecar created', 'deployment.apps/app created'].map((line) => `${line} (server dry run)\n`).join('')
  assert.deepEqual(await cluster.kubectl(['apply', '--dry-run=server', '--validate=strict', `--kustomize=${manifests}`]), {
    status: 0,
    stdout: `namespace/app unchanged (server dry run)\n${created}`,
    stderr: '',
  })
  // Of a Deployment whose pods break the profile the server only warns; so the silence above says something.
  const careless = structuredClone(object('Deployment'))
  delete careless.spec.template.spec.securityContext.runAsNonRoot
  const warned = await cluster.kubectl(['apply', '--dry-run=server', '--validate=strict', '--filename=-'], JSON.stringify(careless))
  assert.match(warned.stderr, /^Warning: would violate PodSecurity "restricted:latest": runAsNonRoot != true/)
})

test('its pod is admitted, and its neighbours are not', async () => {
  assert.deepEqual(await admit(podSpec()), { status: 0, stdout: 'pod/app created (server dry run)\n', stderr: '' })
  const refused: Record<string, [RegExp, (spec: PodSpec) => void]> = {
    'any user': [/violates PodSecurity "restricted:latest": runAsNonRoot != true/, (spec) => delete spec.securityContext.runAsNonRoot],
    'capabilities kept': [
      /violates PodSecurity .*unrestricted capabilities/,
      (spec) => delete (sidecar(spec)['securityContext'] as { capabilities?: object }).capabilities,
    ],
    'a folder of the node': [
      /violates PodSecurity .*hostPath/,
      (spec) => spec.volumes.splice(0, 1, { name: 'spiffe-workload-api', hostPath: { path: '/run/spire/sockets' } }),
    ],
    'a field that there is not': [
      /strict decoding error: unknown field "spec\.initContainers\[0\]\.restartPolice"/,
      (spec) => Object.assign(sidecar(spec), { restartPolice: 'Always' }),
    ],
    'a probe that only a sidecar may have': [
      /may not be set for init containers without restartPolicy=Always/,
      (spec) => delete sidecar(spec)['restartPolicy'],
    ],
  }
  for (const [what, [reason, change]] of Object.entries(refused)) {
    const spec = podSpec()
    change(spec)
    const { status, stderr } = await admit(spec)
    assert.notEqual(status, 0, `${what} was admitted`)
    assert.match(stderr, reason, what)
  }
})

test('the configuration is right, and fits the probes, the volumes and what points the application at it', async () => {
  const spec = podSpec()
  const [beside, app] = [sidecar(spec), application(spec)]
  const file = join(space.path, 'config.yaml')
  await writeFile(file, object('ConfigMap').data['config.yaml'] ?? '')
  const env = Object.fromEntries(beside.env.map(({ name, value }) => [name, value]))
  const config = JSON.parse(await must([node, main, 'check', '--config', file], { env })) as Config
  const mountOf = (container: Container, volume: string) =>
    container.volumeMounts.find(({ name }) => name === volume) ?? assert.fail(`${container.name} does not mount ${volume}`)

  const { host, port } = config.containerEndpoint?.listen ?? assert.fail('there is no container endpoint')
  assert.equal(valueOf(app, 'AWS_CONTAINER_CREDENTIALS_FULL_URI'), `http://${host}:${port}/v1/credentials`)
  const [consumer] = config.consumers
  assert.equal(valueOf(app, 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'), `${config.runtimeDir}/${consumer?.name}.token`)
  for (const container of [beside, app]) assert.ok(config.runtimeDir.startsWith(`${mountOf(container, 'runtime').mountPath}/`))
  assert.equal(mountOf(app, 'runtime').readOnly, true)
  assert.ok(valueOf(beside, 'SPIFFE_ENDPOINT_SOCKET').startsWith(`unix://${mountOf(beside, 'spiffe-workload-api').mountPath}/`))
  assert.equal(mountOf(beside, 'config').mountPath, '/etc/svidecar')

  assert.deepEqual(config.metricsEndpoint?.listen, { host: '0.0.0.0', port: 9913 })
  assert.deepEqual(beside.ports, [{ name: 'sp-metrics', containerPort: 9913 }])
  const probes = ['startupProbe', 'readinessProbe', 'livenessProbe'].map((name) => (beside[name] as { httpGet: unknown }).httpGet)
  assert.deepEqual(
    probes,
    ['/startupz', '/readyz', '/livez'].map((path) => ({ path, port: 'sp-metrics' })),
  )
})

test('on a volume as a kubelet makes it, the application may read the token, nobody else may, and a restart keeps it', async () => {
  const spec = podSpec()
  const { fsGroup } = spec.securityContext
  const { runAsUser: uid, runAsGroup: gid } = sidecar(spec)['securityContext'] as { runAsUser: number; runAsGroup: number }
  assert.equal(gid, fsGroup)
  const volume = join(space.path, 'volume')
  await mkdir(volume)
  await chown(volume, 0, fsGroup)
  await chmod(volume, 0o2777)
  const program = await install(space.path)
  const config = join(space.path, 'config.yaml')
  await writeFile(config, object('ConfigMap').data['config.yaml'] ?? '')

  /** Runs the daemon of the sidecar in a network of its own until its listeners are open; resolves with the token. */
  async function token(runtimeDir: string): Promise<string> {
    const command = `ip link set lo up && exec setpriv --reuid=${uid} --regid=${gid} --groups=${fsGroup} "$@"`
    const env = { PATH: process.env['PATH'], SPIFFE_ENDPOINT_SOCKET: 'unix:///nowhere/agent.sock', SVIDECAR_RUNTIME_DIR: runtimeDir }
    const daemon = launch(['unshare', '--net', 'sh', '-c', command, 'sh', ...program, 'run', '--config', config], env)
    try {
      await eventually('the listeners are open', () => {
        daemon.check()
        return daemon.said().includes('"daemon.listening"')
      })
      return await readFile(join(runtimeDir, 'app.token'), 'utf8')
    } finally {
      daemon.kill('SIGTERM')
      await daemon.ended
    }
  }

  const own = join(volume, 'daemon')
  const first = await token(own)
  assert.equal(await token(own), first)
  const facts = await stat(join(own, 'app.token'))
  assert.deepEqual([facts.uid, facts.gid, facts.mode & 0o777], [uid, fsGroup, 0o440])
  const read = (...groups: string[]) => run(['setpriv', '--reuid=1000', '--regid=1000', ...groups, 'cat', join(own, 'app.token')])
  assert.deepEqual(await read(`--groups=${fsGroup}`), { status: 0, stdout: first, stderr: '' })
  assert.match((await read('--clear-groups')).stderr, /Permission denied/)
  // Why it is not the volume itself: there the application could have put the token.
  assert.notEqual(await token(volume), await token(volume))
})
