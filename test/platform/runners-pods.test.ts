// Jobs in pods: a real API server takes what ARC, GitLab Runner and Jenkins make of the shipped files, and nobody else may name an identity.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import type { Config } from '../../src/config/config.ts'
import { eventually } from '../support/eventually.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { checkout, folder, must, need, node, run } from './machine.ts'
import { envOf, mountOf, type PodSpec, podOf, render, svidecarOf } from './manifests.ts'
import { gitlabRunner, makers, type Pod, runners } from './runners/job-pods.ts'

interface ClusterSpiffeId {
  metadata: { name: string }
  spec: {
    spiffeIDTemplate: string
    namespaceSelector?: { matchLabels: Record<string, string> }
    podSelector: { matchLabels?: Record<string, string>; matchExpressions?: { key: string; operator: 'Exists' | 'DoesNotExist' }[] }
    workloadSelectorTemplates: string[]
  }
}

const space = await folder('pods')
let cluster: Cluster
let linters = ''
/** A pod of the component that deploy/kubernetes ships. */
let reference: PodSpec

before(async () => {
  need({ etcd: 'etcd-server', python3: 'python3' })
  linters = (await must([join(checkout, 'test/platform/runners/linters/build')], { timeoutMs: 300_000 })).trim()
  reference = podOf(await render(join(checkout, 'deploy/kubernetes/overlays/roles-anywhere')))
  cluster = await startCluster(space.path)
  await done(['apply', `--filename=${join(linters, '../crds/spire.spiffe.io_clusterspiffeids.yaml')}`])
  await done(['wait', '--for=condition=Established', 'crd/clusterspiffeids.spire.spiffe.io'])
  // As their own installations allow them, and as a cluster allows a team.
  const users = [...Object.values(makers).map(({ user }) => user), 'somebody']
  await done(['create', 'clusterrole', 'pods', '--verb=*', '--resource=pods'])
  await done(['create', 'clusterrolebinding', 'pods', '--clusterrole=pods', ...users.map((user) => `--user=${user}`)])
})

after(async () => {
  await cluster?.stop()
  await space.remove()
})

/** Runs kubectl, which has to succeed without a word of warning. */
async function done(args: readonly string[], input?: string): Promise<string> {
  const { status, stdout, stderr } = await cluster.kubectl(args, input)
  assert.deepEqual([status, stderr], [0, ''], args.join(' '))
  return stdout
}

const create = (user: string, pod: Pod, ...options: string[]) =>
  cluster.kubectl(['create', '--validate=strict', `--as=${user}`, '--filename=-', ...options], JSON.stringify(pod))

const withLabels = (pod: Pod, labels: Record<string, string>): Pod => ({ ...pod, metadata: { ...pod.metadata, labels } })

test('the server takes the namespace, the configuration, the policy and the identities, strictly', async () => {
  await done(['apply', '--validate=strict', `--kustomize=${join(runners, 'pods')}`])
  assert.equal(await done(['get', 'namespace', 'ci', '--output=jsonpath={.metadata.labels.pod-security\\.kubernetes\\.io/enforce}']), 'restricted')
  // It has compiled the expressions against its own types, and found nothing wrong with them.
  const described = JSON.parse(await done(['get', 'validatingadmissionpolicy', 'ci-identity-label', '--output=json'])) as { status?: { typeChecking?: object } }
  assert.deepEqual(described.status?.typeChecking ?? {}, {})
})

for (const [name, maker] of Object.entries(makers)) {
  test(`${name}: the sidecar is the one of the Kubernetes component, and only the job's container may read what it writes`, async () => {
    const { spec } = await maker.pod('compared', cluster)
    assert.deepEqual(svidecarOf(spec), svidecarOf(reference))
    for (const volume of reference.volumes)
      assert.deepEqual(
        spec.volumes.find((one) => one.name === volume.name),
        volume,
      )
    assert.deepEqual(spec.securityContext.supplementalGroups, reference.securityContext.supplementalGroups)
    const jobs = spec.containers.filter(({ volumeMounts }) => volumeMounts.some((mount) => mount.name === 'runtime'))
    assert.deepEqual(
      jobs.map((one) => one.name),
      [maker.job],
    )
    for (const job of jobs) {
      assert.deepEqual(mountOf(job, 'runtime'), { name: 'runtime', mountPath: '/run/svidecar', readOnly: true })
      assert.ok(!job.volumeMounts.some((mount) => mount.name === 'spiffe-workload-api'))
      const { config, env } = { config: await configuration(), env: envOf(job) }
      assert.equal(env['AWS_CONTAINER_CREDENTIALS_FULL_URI'], `http://127.0.0.1:${config.containerEndpoint?.listen.port}/v1/credentials`)
      assert.equal(env['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'], `${config.runtimeDir}/${config.consumers[0]?.name}.token`)
      assert.equal(env['AWS_REGION'], config.profiles[0]?.region)
    }
  })

  test(`${name}: its pod is admitted as the one that makes it, and a careless neighbour is not`, async () => {
    const pod = await maker.pod('admitted', cluster)
    assert.deepEqual(await create(maker.user, pod, '--dry-run=server'), { status: 0, stdout: 'pod/admitted created (server dry run)\n', stderr: '' })
    const careless = structuredClone(pod)
    delete careless.spec.containers[0]?.securityContext['capabilities']
    assert.match((await create(maker.user, careless, '--dry-run=server')).stderr, /violates PodSecurity .*unrestricted capabilities/)
    const unknown = structuredClone(pod)
    Object.assign(svidecarOf(unknown.spec), { restartPolice: 'Always' })
    assert.match((await create(maker.user, unknown, '--dry-run=server')).stderr, /unknown field "spec\.initContainers\[\d\]\.restartPolice"/)
  })

  test(`${name}: each pod has one identity, which says whose job it is and which, for svidecar's container alone`, async () => {
    const pods = ['job-a', 'job-b'].map((job) => `${name}-${job}`)
    for (const one of pods) await created(maker.user, await maker.pod(one, cluster))
    const registered = await Promise.all(pods.map(identitiesOf))
    assert.deepEqual(
      registered.map((all) => all.map(({ id }) => id)),
      pods.map((one) => [`${maker.identity}/${one}`]),
    )
    for (const { selectors } of registered.flat()) assert.ok(selectors.includes('k8s:container-name:svidecar') && selectors.includes('k8s:ns:ci'))
  })

  test(`${name}: nobody else may make a pod of that identity, or give it to one, or take it away`, async () => {
    const pod = await maker.pod(`${name}-forged`, cluster)
    const others = Object.values(makers).flatMap(({ user }) => (user === maker.user ? [] : [user]))
    for (const user of ['somebody', ...others]) {
      const { status, stderr } = await create(user, pod, '--dry-run=server')
      assert.notEqual(status, 0, user)
      assert.match(stderr, new RegExp(`${user} may not set the identity of a job's pod, or not this one`))
    }
    const { 'ci-identity': _, 'project.runner.gitlab.com/id': __, ...rest } = pod.metadata.labels
    const plain = withLabels({ ...pod, metadata: { ...pod.metadata, name: `${name}-plain` } }, rest)
    await created('somebody', plain)
    assert.deepEqual(await identitiesOf(`${name}-plain`), [])
    const label = Object.keys(pod.metadata.labels).find((key) => !(key in rest)) ?? assert.fail('there is no label')
    const change = (target: string, to: string) => cluster.kubectl(['label', '--overwrite', '--namespace=ci', '--as=somebody', `pod/${target}`, to])
    assert.match((await change(`${name}-plain`, `${label}=${pod.metadata.labels[label]}`)).stderr, /may not set the identity/)
    assert.match((await change(`${name}-job-a`, `${label}=other`)).stderr, /may not set the identity/)
    assert.match((await change(`${name}-job-a`, `${label}-`)).stderr, /may not set the identity/)
    // What says nothing of identities is no business of the policy's.
    assert.equal((await change(`${name}-job-a`, 'team=payments')).status, 0)
  })
}

test('a maker of pods may set its own identities only', async () => {
  const { pod, user } = makers['arc'] ?? assert.fail('there is no ARC')
  const one = await pod('arc-other', cluster)
  const { stderr } = await create(user, withLabels(one, { ...one.metadata.labels, 'ci-identity': 'jenkins-deploy' }), '--dry-run=server')
  assert.match(stderr, /may not set the identity/)
})

test("GitLab's settings leave no choice to a job, and have what makes pod_spec work", async () => {
  const { executor, feature_flags: flags, kubernetes } = await gitlabRunner()
  assert.deepEqual([executor, flags], ['kubernetes', { FF_USE_ADVANCED_POD_SPEC_CONFIGURATION: true }])
  assert.deepEqual(
    Object.keys(kubernetes).filter((key) => key.endsWith('_overwrite_allowed')),
    [],
  )
  for (const value of Object.values(kubernetes.pod_labels)) assert.doesNotMatch(value, /\$/)
  const checker = join(linters, 'check-jsonschema')
  await must([checker, '--builtin-schema=vendor.gitlab-ci', '--data-transform=gitlab-ci', join(runners, 'gitlab/gitlab-ci.yml')])
})

async function configuration(): Promise<Config> {
  const { env } = svidecarOf(reference)
  const file = join(runners, 'pods/config.yaml')
  return JSON.parse(await must([node, join(checkout, 'src/main.ts'), 'check', '--config', file], { env: envOf({ env } as never) })) as Config
}

/** Makes a pod; the policy is in force some time after it was made. */
async function created(user: string, pod: Pod): Promise<void> {
  const forged = withLabels(pod, { 'ci-identity': 'x' })
  await eventually('the policy is in force', async () => (await create('somebody', forged, '--dry-run=server')).stderr.includes('may not set'))
  assert.deepEqual(await create(user, pod), { status: 0, stdout: `pod/${pod.metadata.name} created\n`, stderr: '' })
}

/** What spire-controller-manager would register for a pod, of all ClusterSPIFFEIDs that are shipped. */
async function identitiesOf(name: string): Promise<{ id: string; selectors: string[] }[]> {
  const files = [join(runners, 'pods/clusterspiffeid.yaml'), join(checkout, 'deploy/spire/kubernetes/clusterspiffeid.yaml')]
  const ids = (await Promise.all(files.map((file) => readFile(file, 'utf8')))).flatMap((text) =>
    parseAllDocuments(text).map((one) => one.toJS() as ClusterSpiffeId),
  )
  const found = []
  for (const { spec } of ids) {
    const labels = (all: Record<string, string> = {}) => Object.entries(all).map(([key, value]) => `${key}=${value}`)
    const expressions = (spec.podSelector.matchExpressions ?? []).map(({ key, operator }) => (operator === 'Exists' ? key : `!${key}`))
    const selector = [...labels(spec.podSelector.matchLabels), ...expressions].join(',')
    const namespaces = await done(['get', 'namespaces', '--output=name', `--selector=${labels(spec.namespaceSelector?.matchLabels).join(',')}`])
    const pods = await done(['get', 'pods', '--namespace=ci', '--output=name', `--selector=${selector}`])
    if (!namespaces.split('\n').includes('namespace/ci') || !pods.split('\n').includes(`pod/${name}`)) continue
    const pod = JSON.parse(await done(['get', `pod/${name}`, '--namespace=ci', '--output=json'])) as Pod
    const data = {
      TrustDomain: 'example.org',
      PodMeta: { Name: name, Namespace: pod.metadata.namespace, Labels: pod.metadata.labels },
      PodSpec: { ServiceAccountName: pod.spec['serviceAccountName'] ?? 'default' },
    }
    const { stdout, stderr } = await run([join(linters, 'go-template')], {
      input: JSON.stringify({ templates: [spec.spiffeIDTemplate, ...spec.workloadSelectorTemplates], data }),
    })
    assert.equal(stderr, '')
    const [id = '', ...selectors] = JSON.parse(stdout) as string[]
    found.push({ id, selectors })
  }
  return found
}
