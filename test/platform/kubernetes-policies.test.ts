// The policies: a real API server judges pods by them, and takes the objects of other projects by those projects' own definitions.
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { eventually } from '../support/eventually.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { customResources } from './crds.ts'
import { checkout, folder, launch, need } from './machine.ts'
import {
  applicationOf,
  type Container,
  kubeBinaries,
  type Manifest,
  manifests,
  objectsOf,
  overlays,
  type PodSpec,
  podOf,
  render,
  svidecarOf,
  workloadOf,
} from './manifests.ts'

interface Policy {
  readonly metadata: { readonly name: string }
  readonly spec: { readonly variables?: object[]; readonly validations?: object[]; readonly matchConditions: object[]; readonly [more: string]: unknown }
}

const pinned = `registry.example.org/svidecar@sha256:${'0'.repeat(64)}`
const space = await folder('kubernetes-policies')
const policies = join(manifests, 'policies')
let cluster: Cluster
let overlay: Manifest[]

const apply = async (input: object | readonly object[]) => {
  const items = Array.isArray(input) ? { apiVersion: 'v1', kind: 'List', items: input } : input
  return cluster.kubectl(['apply', '--validate=strict', '--filename=-'], JSON.stringify(items))
}

/** Has the server judge a pod as if it were to run it; what it would be, or why not. */
async function admit(spec: object, labels: Record<string, string> = { svidecar: 'enabled' }): Promise<{ refusal?: string; spec?: PodSpec }> {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'app', namespace: 'app', labels }, spec }
  const { status, stdout, stderr } = await cluster.kubectl(['create', '--dry-run=server', '--output=json', '--filename=-'], JSON.stringify(pod))
  return status === 0 ? { spec: (JSON.parse(stdout) as { spec: PodSpec }).spec } : { refusal: stderr }
}

/** The pod of the overlay as a platform would run it: with an image by digest. */
function good(): PodSpec {
  const spec = podOf(overlay)
  svidecarOf(spec).image = pinned
  return spec
}

before(async () => {
  need({ etcd: 'etcd-server' })
  // Not on by default in this version: the test of what injects runs it in the server itself.
  cluster = await startCluster(space.path, { 'feature-gates': 'MutatingAdmissionPolicy=true', 'runtime-config': 'admissionregistration.k8s.io/v1alpha1=true' })
  overlay = await render(join(manifests, 'overlays/roles-anywhere'))
  for (const file of [join(manifests, 'namespace.yaml'), join(policies, 'validate.yaml')]) {
    const { status, stderr } = await cluster.kubectl(['apply', '--validate=strict', `--filename=${file}`])
    assert.deepEqual([status, stderr], [0, ''], file)
  }
  // A policy is in force a moment after it is there.
  await eventually('the policy is in force', async () => (await admit(podOf(overlay))).refusal?.includes('by digest'))
})

after(async () => {
  await cluster?.stop()
  await space.remove()
})

test('pods of every overlay are taken when their image is pinned, and so are pods that have nothing to do with svidecar', async () => {
  for (const name of overlays) {
    const objects = await render(join(manifests, 'overlays', name))
    const spec = { restartPolicy: 'Always', ...podOf(objects) }
    svidecarOf(spec).image = pinned.replace('svidecar@', name === 'drop-in' ? 'svidecar-spiffe-helper@' : 'svidecar@')
    const { labels } = workloadOf(objects).spec.template.metadata
    assert.equal((await admit(spec, labels)).refusal, undefined, name)
    // By it SPIRE's ClusterSPIFFEID finds them.
    assert.equal(labels['svidecar'], 'enabled', name)
  }
  const spec = good()
  delete spec.initContainers
  applicationOf(spec).env = [{ name: 'AWS_PROFILE', value: 'mine' }]
  assert.equal((await admit(spec, {})).refusal, undefined)
})

const refused: Record<string, [RegExp, (spec: PodSpec) => unknown]> = {
  'an image by a tag': [/by digest, and nothing else/, (spec) => Object.assign(svidecarOf(spec), { image: 'registry.example.org/svidecar:0.1.0' })],
  'another image in a container of its name': [
    /by digest, and nothing else/,
    (spec) => Object.assign(svidecarOf(spec), { image: pinned.replace('/svidecar@', '/app@') }),
  ],
  'another command': [/leave out command/, (spec) => Object.assign(svidecarOf(spec), { command: ['/bin/sh'] })],
  'a file system to write': [/runs as user 65532 with a read-only/, (spec) => delete svidecarOf(spec).securityContext['readOnlyRootFilesystem']],
  'another user for svidecar': [/runs as user 65532 with a read-only/, (spec) => Object.assign(svidecarOf(spec).securityContext, { runAsUser: 1000 })],
  'an application as svidecar’s user': [/Set runAsUser/, (spec) => Object.assign(applicationOf(spec).securityContext, { runAsUser: 65532 })],
  'a pod as svidecar’s user': [
    /Set runAsUser/,
    (spec) => {
      delete applicationOf(spec).securityContext['runAsUser']
      Object.assign(spec.securityContext, { runAsUser: 65532 })
    },
  ],
  'tokens on a disk': [/is an emptyDir in memory/, (spec) => Object.assign(spec.volumes.find(({ name }) => name === 'runtime') ?? {}, { emptyDir: {} })],
  'an application that may write the tokens': [/Only svidecar writes/, (spec) => delete applicationOf(spec).volumeMounts[0]?.readOnly],
  'a key in the environment': [/takes AWS_ACCESS_KEY_ID/, (spec) => applicationOf(spec).env.push({ name: 'AWS_ACCESS_KEY_ID', value: 'AKIA' })],
  'what IRSA adds': [/eks\.amazonaws\.com\/role-arn/, (spec) => applicationOf(spec).env.push({ name: 'AWS_WEB_IDENTITY_TOKEN_FILE', value: '/var/run/t' })],
  'another program of its image': [/run, once or spiffe-helper/, (spec) => Object.assign(svidecarOf(spec), { args: ['exec', '--', '/etc/svidecar/program'] })],
  'a volume over its program': [/mounts nothing but/, (spec) => svidecarOf(spec).volumeMounts.push({ name: 'svidecar-config', mountPath: '/usr/bin' })],
  'a volume beside its own by a detour': [
    /mounts nothing but/,
    (spec) => svidecarOf(spec).volumeMounts.push({ name: 'svidecar-config', mountPath: '/run/svidecar/../../usr/bin' }),
  ],
  'a probe that is a program': [
    /No program is run in svidecar's container/,
    (spec) => Object.assign(svidecarOf(spec), { livenessProbe: { exec: { command: ['/etc/svidecar/program'] } } }),
  ],
  'a hook that is a program': [
    /No program is run in svidecar's container/,
    (spec) => Object.assign(svidecarOf(spec), { lifecycle: { postStart: { exec: { command: ['/etc/svidecar/program'] } } } }),
  ],
  'a program before its end': [
    /No program is run in svidecar's container/,
    (spec) => Object.assign(svidecarOf(spec), { lifecycle: { preStop: { exec: { command: ['/usr/bin/svidecar', 'wait'] } } } }),
  ],
  'a library in its environment': [
    /environment is its own settings/,
    (spec) => svidecarOf(spec).env.push({ name: 'LD_PRELOAD', value: '/etc/svidecar/lib.so' }),
  ],
  'options of Node.js': [
    /environment is its own settings/,
    (spec) => svidecarOf(spec).env.push({ name: 'NODE_OPTIONS', value: '--require=/etc/svidecar/a.js' }),
  ],
  'other authorities': [/environment is its own settings/, (spec) => svidecarOf(spec).env.push({ name: 'NODE_EXTRA_CA_CERTS', value: '/etc/svidecar/ca.pem' })],
  'an environment by reference': [
    /environment is its own settings/,
    (spec) => Object.assign(svidecarOf(spec), { envFrom: [{ configMapRef: { name: 'svidecar' } }] }),
  ],
  'an application whose user only its image knows': [/Set runAsUser/, (spec) => delete applicationOf(spec).securityContext['runAsUser']],
  'processes that see each other': [/sees another's processes/, (spec) => Object.assign(spec, { shareProcessNamespace: true })],
  'a credentials file from elsewhere': [
    /takes AWS_ACCESS_KEY_ID/,
    (spec) => applicationOf(spec).env.push({ name: 'AWS_SHARED_CREDENTIALS_FILE', value: '/var/secrets/aws' }),
  ],
  'a configuration file from elsewhere': [
    /takes AWS_ACCESS_KEY_ID/,
    (spec) => applicationOf(spec).env.push({ name: 'AWS_CONFIG_FILE', value: '/home/app/config' }),
  ],
  'the other name of a profile': [/takes AWS_ACCESS_KEY_ID/, (spec) => applicationOf(spec).env.push({ name: 'AWS_DEFAULT_PROFILE', value: 'mine' })],
  'the endpoint of ECS': [
    /takes AWS_ACCESS_KEY_ID/,
    (spec) => applicationOf(spec).env.push({ name: 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', value: '/v2/credentials' }),
  ],
  'the endpoint of EKS Pod Identity': [
    /and not to EKS Pod Identity/,
    (spec) =>
      Object.assign(applicationOf(spec).env.find(({ name }) => name === 'AWS_CONTAINER_CREDENTIALS_FULL_URI') ?? {}, {
        value: 'http://169.254.170.23/v1/credentials',
      }),
  ],
}

for (const [what, [reason, change]] of Object.entries(refused))
  test(`a pod with svidecar is refused for ${what}`, async () => {
    const spec = good()
    change(spec)
    assert.match((await admit(spec)).refusal ?? 'it was admitted', reason)
  })

test('the network of the node, and root, are refused where Pod Security does not do it', async () => {
  const judged = async (change: (spec: PodSpec) => unknown) => {
    const spec = good()
    for (const container of [svidecarOf(spec), applicationOf(spec)]) delete container.ports
    change(spec)
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'app', namespace: 'default', labels: { svidecar: 'enabled' } }, spec }
    return (await cluster.kubectl(['create', '--dry-run=server', '--filename=-'], JSON.stringify(pod))).stderr
  }
  assert.match(await judged((spec) => Object.assign(spec, { hostNetwork: true })), /those of the whole node/)
  assert.match(await judged((spec) => Object.assign(spec, { hostPID: true })), /sees another's processes/)
  assert.match(
    await judged(({ containers: [application] }) => Object.assign(application?.securityContext ?? {}, { runAsUser: 0, runAsNonRoot: false })),
    /Set runAsUser/,
  )
})

/** Makes a pod that runs, for what is tried with it afterwards. */
async function existing(name: string, spec: PodSpec, finalizers: string[] = []): Promise<(patch: object, subresource?: string) => Promise<string>> {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'app', labels: { svidecar: 'enabled' }, finalizers }, spec }
  const { status, stderr } = await cluster.kubectl(['create', '--filename=-'], JSON.stringify(pod))
  assert.deepEqual([status, stderr], [0, ''])
  return async (patch, subresource) => {
    const where = subresource === undefined ? [] : [`--subresource=${subresource}`]
    return (await cluster.kubectl(['--namespace=app', 'patch', 'pod', name, ...where, '--dry-run=server', `--patch=${JSON.stringify(patch)}`])).stderr
  }
}

test('the image of an admitted pod stays pinned while it runs', async () => {
  const patch = await existing('running', good())
  const image = (to: string) => patch({ spec: { initContainers: [{ name: 'svidecar', image: to }] } })
  assert.match(await image('registry.example.org/evil:1'), /by digest, and nothing else/)
  assert.equal(await image(pinned.replaceAll('0000', '1234')), '')
  assert.equal(await patch({ spec: { containers: [{ name: 'app', image: 'app:1.0.1' }] } }), '')
})

test('a pod from before the policy can lose its finalizers and change its notes, but not svidecar’s image', async () => {
  const binding = parseAllDocuments(await readFile(join(policies, 'validate.yaml'), 'utf8')).map((document) => document.toJS() as Policy)[1] ?? assert.fail()
  assert.equal((await cluster.kubectl(['delete', 'validatingadmissionpolicybinding', 'svidecar'])).status, 0)
  const old = good()
  svidecarOf(old).image = 'svidecar:0.0.9'
  await eventually('the policy is not in force', async () => (await admit(old)).refusal === undefined)
  const patch = await existing('old', old, ['example.org/mine'])
  assert.equal((await apply(binding)).stderr, '')
  await eventually('the policy is in force', async () => (await admit(old)).refusal)
  assert.equal(await patch({ metadata: { annotations: { note: 'seen' } } }), '')
  assert.equal(await patch({ metadata: { finalizers: null } }), '')
  assert.match(await patch({ spec: { initContainers: [{ name: 'svidecar', image: 'svidecar:0.1.0' }] } }), /by digest, and nothing else/)
})

test('what the page gives to doctor is the environment of the application, as the server has it', async () => {
  const page = await readFile(join(checkout, 'docs/kubernetes.md'), 'utf8')
  const path = /jsonpath='([^']+)'/.exec(page)?.[1] ?? assert.fail('the page has no such command')
  await existing('explained', good())
  const { stdout } = await cluster.kubectl(['--namespace=app', 'get', 'pod', 'explained', '--output', `jsonpath=${path}`])
  assert.deepEqual(
    stdout.trim().split('\n'),
    applicationOf(good()).env.map(({ name, value }) => `${name}=${value}`),
  )
})

test('what Kubernetes and EKS add to every container is no reason to refuse svidecar', async () => {
  const spec = good()
  const added = { name: 'added', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true }
  spec.volumes.push({ name: 'added', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } })
  svidecarOf(spec).volumeMounts.push(added, { ...added, mountPath: '/var/run/secrets/eks.amazonaws.com/serviceaccount' })
  svidecarOf(spec).env.push({ name: 'AWS_STS_REGIONAL_ENDPOINTS', value: 'regional' }, { name: 'HTTPS_PROXY', value: 'http://proxy.example.org:3128' })
  assert.equal((await admit(spec)).refusal, undefined)
})

test('a debugging container in a pod that runs can neither call itself svidecar nor run as its user', async () => {
  // Without svidecar in it, the name is free.
  const spec = good()
  delete spec.initContainers
  const patch = await existing('debugged', spec)
  const debug = (name: string, securityContext: object) =>
    patch({ spec: { ephemeralContainers: [{ name, image: 'busybox', securityContext }] } }, 'ephemeralcontainers')
  const { securityContext } = applicationOf(spec)
  assert.match(await debug('svidecar', securityContext), /by digest, and nothing else/)
  assert.match(await debug('debugger', { ...securityContext, runAsUser: 65532 }), /Set runAsUser/)
  assert.equal(await debug('debugger', securityContext), '')
})

test('Kyverno is given the same rules as Kubernetes', async () => {
  const [policy] = parseAllDocuments(await readFile(join(policies, 'validate.yaml'), 'utf8')).map((document) => document.toJS() as Policy)
  const kyverno = parse(await readFile(join(policies, 'kyverno/validate.yaml'), 'utf8')) as Policy
  for (const part of ['matchConstraints', 'matchConditions', 'variables', 'validations', 'failurePolicy'])
    assert.deepEqual(kyverno.spec[part], policy?.spec[part], part)
})

test('Kubernetes finds no mistake in the types of the rules', async (t) => {
  const kubeconfig = join(space.path, 'kubeconfig')
  await writeFile(kubeconfig, cluster.kubeconfig('administrator'), { mode: 0o600 })
  const options = ['--controllers=validatingadmissionpolicy-status-controller', '--leader-elect=false', '--secure-port=0', `--kubeconfig=${kubeconfig}`]
  const controller = launch([join(await kubeBinaries(), 'kube-controller-manager'), ...options])
  t.after(async () => {
    controller.kill('SIGKILL')
    await controller.ended
  })
  const [policy] = parseAllDocuments(await readFile(join(policies, 'validate.yaml'), 'utf8')).map((document) => document.toJS() as Policy)
  const [rule] = (policy?.spec['validations'] ?? []) as { expression: string }[]
  const mistaken = { ...policy, metadata: { name: 'mistaken' }, spec: { ...policy?.spec, validations: [rule, { expression: 'object.spec.nonsense == 1' }] } }
  assert.equal((await apply(mistaken)).stderr, '')
  const warnings = async (name: string) => {
    const { stdout } = await cluster.kubectl(['get', 'validatingadmissionpolicy', name, '--output=json'])
    const { status } = JSON.parse(stdout) as { status: { observedGeneration?: number; typeChecking?: { expressionWarnings?: { fieldRef: string }[] } } }
    return status.observedGeneration === undefined ? undefined : (status.typeChecking?.expressionWarnings ?? []).map(({ fieldRef }) => fieldRef)
  }
  const told = (name: string) =>
    eventually(`the types of ${name} were looked at`, () => {
      controller.check()
      return warnings(name)
    })
  assert.deepEqual(await told('mistaken'), ['spec.validations[1].expression'])
  assert.deepEqual(await told('svidecar'), [])
})

test('the server takes the objects of Kyverno and of the Prometheus Operator, strictly, by the definitions of those projects', async () => {
  for (const file of await customResources()) {
    // Too large for what apply notes of the last time.
    const { status, stderr } = await cluster.kubectl(['create', `--filename=${file}`])
    assert.equal(status, 0, stderr)
  }
  const monitoring = await render(join(checkout, 'deploy/monitoring'))
  const others = monitoring.filter(({ apiVersion }) => apiVersion.startsWith('monitoring.coreos.com/'))
  assert.deepEqual(others.map(({ kind }) => kind).sort(), ['PodMonitor', 'PrometheusRule'])
  for (const name of ['inject', 'validate']) others.push(...objectsOf(await readFile(join(policies, `kyverno/${name}.yaml`), 'utf8')))
  for (const object of others) {
    const where = object.metadata.namespace === undefined ? object : { ...object, metadata: { ...object.metadata, namespace: 'app' } }
    await eventually(`a ${object.kind} is known`, async () => (await cluster.kubectl(['get', object.kind])).status === 0)
    const { status, stderr } = await apply(where)
    assert.deepEqual([status, stderr], [0, ''], object.kind)
  }
  const careless = objectsOf(await readFile(join(policies, 'kyverno/inject.yaml'), 'utf8'))[0] as unknown as { spec: Record<string, unknown> }
  careless.spec['autoGen'] = careless.spec['autogen']
  assert.match((await apply(careless)).stderr, /strict decoding error: unknown field "spec\.autoGen"/)
})

test('the PodMonitor finds the pods of Kubernetes and of the runners, and no other pod that calls a port as svidecar does', async () => {
  const [monitor] = objectsOf(await readFile(join(checkout, 'deploy/monitoring/kubernetes/podmonitor.yaml'), 'utf8'))
  const { selector } = (monitor ?? assert.fail('there is no PodMonitor')).spec as unknown as {
    selector: { matchExpressions: { key: string; operator: string; values: string[] }[] }
  }
  const asked = selector.matchExpressions.map(({ key, operator, values }) => `${key} ${operator.toLowerCase()} (${values.join()})`).join()
  const runners = join(checkout, 'deploy/runners')
  const arc = parse(await readFile(join(runners, 'arc/values.yaml'), 'utf8')) as { template: { metadata: { labels: Record<string, string> } } }
  const jenkins = parse(await readFile(join(runners, 'jenkins/pod.yaml'), 'utf8')) as { metadata: { labels: Record<string, string> } }
  const labels = {
    'monitored-app': workloadOf(overlay).spec.template.metadata.labels,
    'monitored-arc': arc.template.metadata.labels,
    'monitored-jenkins': jenkins.metadata.labels,
    impostor: { app: 'svidecar' },
  }
  for (const [name, own] of Object.entries(labels)) {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'app', labels: { ...own, test: 'monitor' } }, spec: good() }
    assert.equal((await cluster.kubectl(['create', '--filename=-'], JSON.stringify(pod))).status, 0, name)
  }
  const { stdout } = await cluster.kubectl(['--namespace=app', 'get', 'pods', '--output=name', `--selector=test=monitor,${asked}`])
  assert.deepEqual(stdout.trim().split('\n'), ['pod/monitored-app', 'pod/monitored-arc', 'pod/monitored-jenkins'])
})

test('what Kyverno injects into the pod of a plain application is what the component gives it', async () => {
  const { metadata, spec } = parse(await readFile(join(policies, 'kyverno/inject.yaml'), 'utf8')) as Policy
  // Kyverno's policy is Kubernetes' own with more beside it; so the server can run it.
  const { autogen: _, ...own } = spec
  const api = 'admissionregistration.k8s.io/v1alpha1'
  const native = [
    { apiVersion: api, kind: 'MutatingAdmissionPolicy', metadata, spec: { ...own, reinvocationPolicy: 'Never' } },
    { apiVersion: api, kind: 'MutatingAdmissionPolicyBinding', metadata, spec: { policyName: metadata.name } },
  ]
  const { status, stderr } = await apply(native)
  assert.equal(status, 0, stderr)
  // As Kyverno is: it is asked before those that judge.
  const removed = await cluster.kubectl(['delete', 'validatingadmissionpolicybinding', 'svidecar'])
  assert.equal(removed.status, 0)
  const plain = podOf(await render(join(manifests, 'example')))
  const judged = async (change: (spec: PodSpec) => unknown, labels?: Record<string, string>) => {
    const changed = structuredClone(plain)
    change(changed)
    return (await admit(changed, labels)).spec ?? assert.fail('it was refused')
  }
  const injected = await eventually('the policy is in force', async () => {
    const found = await judged(() => {})
    return found.initContainers === undefined ? undefined : found
  })
  // Both as the server completes them.
  const component = (await admit(podOf(overlay))).spec
  assert.deepEqual(injected, component)

  const migrate = { ...applicationOf(plain), name: 'migrate' } as Container
  const others = await judged((spec) => {
    Object.assign(spec, { initContainers: [migrate] })
    Object.assign(spec.securityContext, { supplementalGroups: [7] })
    applicationOf(spec).env = [{ name: 'AWS_REGION', value: 'eu-west-1' }]
  })
  assert.deepEqual(
    others.initContainers?.map(({ name }) => name),
    ['svidecar', 'migrate'],
  )
  assert.deepEqual(others.securityContext.supplementalGroups, [7, 65532])
  assert.deepEqual(
    applicationOf(others).env.filter(({ name }) => name === 'AWS_REGION'),
    [{ name: 'AWS_REGION', value: 'eu-west-1' }],
  )
  // Who has one keeps it, and who does not ask gets none.
  assert.equal(svidecarOf((await admit(good())).spec ?? assert.fail()).image, pinned)
  assert.equal((await judged(() => {}, {})).initContainers, undefined)
})
