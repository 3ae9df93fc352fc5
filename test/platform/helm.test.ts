// The Helm chart: the real Helm lints it and makes of it what kustomize makes of the component; mistakes in its values are refused.
import assert from 'node:assert/strict'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse } from 'yaml'
import { checkout, folder, must, type Outcome, run } from './machine.ts'
import { filesOf, type Manifest, manifests, type Overlay, objectsOf, podOf, render, svidecarOf, workloadOf } from './manifests.ts'

const space = await folder('helm')
const charts = join(space.path, 'helm')
let program = ''

before(async () => {
  program = (await must([join(checkout, 'test/platform/helm/build')], { timeoutMs: 30 * 60_000 })).trim()
  await cp(join(manifests, 'helm'), charts, { recursive: true })
  // Puts svidecar's chart into the application's, as a release of that would have it.
  await must([program, 'dependency', 'build', join(charts, 'example')], { env })
})

after(space.remove)

const env = { PATH: process.env['PATH'], HOME: space.path }

/** What the application's chart is with these values of svidecar's chart in its values.yaml. */
async function template(values: object, kubeVersion = '1.33.0'): Promise<Outcome> {
  await writeFile(join(charts, 'example/values.yaml'), JSON.stringify({ svidecar: values }))
  return run([program, 'template', 'app', join(charts, 'example'), '--namespace', 'app', '--kube-version', kubeVersion], { env })
}

async function rendered(values: object): Promise<Manifest[]> {
  const { status, stdout, stderr } = await template(values)
  assert.deepEqual([status, stderr], [0, ''])
  return objectsOf(stdout)
}

const configOf = async (overlay: Overlay): Promise<object> => parse(await readFile(join(manifests, 'overlays', overlay, 'config.yaml'), 'utf8')) as object

test('Helm has nothing to say against either chart', async () => {
  const values = join(space.path, 'config.json')
  await writeFile(values, JSON.stringify({ config: await configOf('roles-anywhere') }))
  for (const args of [[join(charts, 'svidecar'), '--values', values], [join(charts, 'example')]]) {
    const said = await must([program, 'lint', '--strict', ...args], { env })
    assert.match(said, /1 chart\(s\) linted, 0 chart\(s\) failed/)
    assert.doesNotMatch(said, /\[(WARNING|ERROR)\]/)
  }
})

for (const overlay of ['roles-anywhere', 'oidc'] as const)
  test(`of an application it makes what kustomize makes with the overlay ${overlay}`, async () => {
    const config = await configOf(overlay)
    const chart = await rendered({ config })
    const kustomize = await render(join(manifests, 'overlays', overlay))
    assert.deepEqual(parse(filesOf(chart)['config.yaml'] ?? ''), config)
    // A release may lie beside others in its namespace.
    const pod = JSON.parse(JSON.stringify(podOf(chart)).replaceAll('"app-svidecar"', '"svidecar"')) as object
    assert.deepEqual(pod, podOf(kustomize))
    assert.deepEqual(workloadOf(chart).spec.template.metadata, workloadOf(kustomize).spec.template.metadata)
    assert.deepEqual(
      chart.map(({ kind }) => kind),
      ['ServiceAccount', 'ConfigMap', 'Deployment'],
    )
    assert.equal(chart[1]?.metadata.name, 'app-svidecar')
  })

test('an image is named by its digest where there is one', async () => {
  const digest = `sha256:${'0'.repeat(64)}`
  const image = async (value: object) => svidecarOf(podOf(await rendered({ image: value, config: await configOf('roles-anywhere') }))).image
  assert.equal(await image({ repository: 'registry.example.org/svidecar', digest }), `registry.example.org/svidecar@${digest}`)
  assert.equal(await image({ tag: '0.2.0' }), 'svidecar:0.2.0')
})

const mistakes: Record<string, [RegExp, (values: { config: Record<string, unknown> }) => unknown]> = {
  'a key that the configuration does not have': [
    /config.*additional properties 'reloads' not allowed/s,
    ({ config }) => Object.assign(config, { reloads: 'watch' }),
  ],
  'a value that is not one of its': [/config\/reload/, ({ config }) => Object.assign(config, { reload: 'sometimes' })],
  'no profile': [/missing property 'profiles'/, ({ config }) => delete config['profiles']],
  'half a digest': [/image\/digest/, (values) => Object.assign(values, { image: { digest: 'sha256:0' } })],
  'a key that the chart does not have': [/additional properties 'imgae' not allowed/, (values) => Object.assign(values, { imgae: {} })],
}

for (const [what, [reason, change]] of Object.entries(mistakes))
  test(`values with ${what} are refused`, async () => {
    const values = { config: { ...(await configOf('roles-anywhere')) } }
    assert.equal((await template(values)).status, 0)
    change(values)
    const { status, stderr } = await template(values)
    assert.notEqual(status, 0)
    assert.match(stderr, reason)
  })

test('a cluster without native sidecars is refused', async () => {
  const values = { config: await configOf('roles-anywhere') }
  assert.match((await template(values, '1.28.9')).stderr, /takes Kubernetes 1\.29/)
  assert.equal((await template(values, '1.29.4-eks-036c24b')).status, 0)
})
