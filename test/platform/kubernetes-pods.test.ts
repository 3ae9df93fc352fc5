// What the containers of a pod find: the configuration fits the probes, the volumes, the groups and what points the application at svidecar.
import assert from 'node:assert/strict'
import { chmod, chown, cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Config } from '../../src/config/config.ts'
import { eventually } from '../support/eventually.ts'
import { checkout, folder, install, launch, must, need, node, run } from './machine.ts'
import { applicationOf, envOf, filesOf, type Manifest, manifests, mountOf, type Overlay, overlays, podOf, render, svidecarOf, workloadOf } from './manifests.ts'

const main = join(checkout, 'src/main.ts')
const space = await folder('kubernetes-pods')
const rendered = new Map<Overlay, Manifest[]>()
let program: readonly string[]

before(async () => {
  need({ unshare: 'util-linux', setpriv: 'util-linux', ip: 'iproute2', git: 'git' })
  program = await install(space.path)
  for (const overlay of overlays) rendered.set(overlay, await render(join(manifests, 'overlays', overlay)))
})

after(space.remove)

const objects = (overlay: Overlay): Manifest[] => rendered.get(overlay) ?? assert.fail(`${overlay} was not rendered`)

/** Writes the files of the overlay's ConfigMap; their folder, and what config.yaml means to its svidecar. */
async function configuration(overlay: Overlay): Promise<{ directory: string; config: Config }> {
  const directory = join(space.path, overlay)
  await mkdir(directory, { recursive: true })
  for (const [name, text] of Object.entries(filesOf(objects(overlay)))) await writeFile(join(directory, name), text)
  const env = envOf(svidecarOf(podOf(objects(overlay))))
  return { directory, config: JSON.parse(await must([node, main, 'check', '--config', join(directory, 'config.yaml')], { env })) as Config }
}

for (const overlay of overlays)
  test(`${overlay}: mounts and groups let the application read what svidecar writes, and nothing else of it`, async () => {
    const spec = podOf(objects(overlay))
    const [beside, app] = [svidecarOf(spec), applicationOf(spec)]
    assert.equal(mountOf(beside, 'runtime').mountPath, mountOf(app, 'runtime').mountPath)
    assert.equal(mountOf(app, 'runtime').readOnly, true)
    assert.deepEqual(app.volumeMounts.length, 1)
    assert.equal(mountOf(beside, 'svidecar-config').mountPath, '/etc/svidecar')
    assert.ok(envOf(beside)['SPIFFE_ENDPOINT_SOCKET']?.startsWith(`unix://${mountOf(beside, 'spiffe-workload-api').mountPath}/`))
    const { runAsUser, runAsGroup } = beside.securityContext
    assert.deepEqual(spec.securityContext.supplementalGroups, [runAsGroup])
    assert.notEqual(app.securityContext['runAsUser'], runAsUser)
    for (const { limits } of [beside['resources'] as { limits: object }]) assert.deepEqual(Object.keys(limits), ['memory'])
  })

for (const overlay of overlays.filter((one) => one !== 'init'))
  test(`${overlay}: the configuration is right, and fits the probes, the volumes and what points the application at it`, async () => {
    const spec = podOf(objects(overlay))
    const [beside, app] = [svidecarOf(spec), applicationOf(spec)]
    const { config } = await configuration(overlay)
    const { host, port } = config.containerEndpoint?.listen ?? assert.fail('there is no container endpoint')
    const env = envOf(app)
    assert.equal(env['AWS_CONTAINER_CREDENTIALS_FULL_URI'], `http://${host}:${port}/v1/credentials`)
    assert.equal(env['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'], `${config.runtimeDir}/${config.consumers[0]?.name}.token`)
    assert.equal(env['AWS_REGION'], config.profiles[0]?.region)
    assert.ok(config.runtimeDir.startsWith(`${mountOf(app, 'runtime').mountPath}/`))

    // What arrives without a signal is noticed; under a name with a hash nothing arrives.
    const { name } = objects(overlay).find(({ kind }) => kind === 'ConfigMap')?.metadata ?? assert.fail()
    assert.equal(config.reload, overlay === 'drop-in' ? 'signal' : 'watch')
    assert.match(name, overlay === 'drop-in' ? /^svidecar-[a-z0-9]{10}$/ : /^svidecar$/)
    assert.deepEqual(spec.volumes.find((volume) => volume.name === 'svidecar-config')?.['configMap'], { name })

    assert.deepEqual(config.metricsEndpoint?.listen, { host: '0.0.0.0', port: 9913 })
    assert.deepEqual(beside.ports, [{ name: 'sp-metrics', containerPort: 9913 }])
    const probes = { startupProbe: '/startupz', readinessProbe: '/readyz', livenessProbe: '/livez' }
    for (const [name, path] of Object.entries(probes))
      if (overlay !== 'classic' || name !== 'startupProbe') assert.deepEqual((beside[name] as { httpGet: unknown }).httpGet, { path, port: 'sp-metrics' }, name)
  })

test('the documentation says how to check a configuration', async () => {
  const page = await readFile(join(checkout, 'docs/kubernetes.md'), 'utf8')
  const command = /^(\S+=\S+ )svidecar (check .*)$/m.exec(page) ?? assert.fail('it does not')
  const said = await must(['sh', '-c', `${command[1]}exec ${node} ${main} ${command[2]}`], { cwd: checkout })
  assert.equal((JSON.parse(said) as Config).consumers[0]?.name, 'app')
})

test('a native sidecar goes before the init containers of the application', async () => {
  const folder = join(space.path, 'with-init')
  await mkdir(folder)
  // Kustomize takes no absolute paths.
  const component = '../'.repeat(folder.split('/').length - 1) + join(manifests, 'components/sidecar').slice(1)
  await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify({ resources: ['app.yaml'], components: [component] }))
  for (const kind of ['Deployment', 'StatefulSet', 'DaemonSet', 'Job']) {
    const spec = { template: { spec: { initContainers: [{ name: 'migrate', image: 'app' }], containers: [{ name: 'app', image: 'app' }] } } }
    await writeFile(join(folder, 'app.yaml'), JSON.stringify({ apiVersion: kind === 'Job' ? 'batch/v1' : 'apps/v1', kind, metadata: { name: 'app' }, spec }))
    const { initContainers } = podOf(await render(folder))
    assert.deepEqual(
      initContainers?.map(({ name, restartPolicy }) => [name, restartPolicy]),
      [
        ['svidecar', 'Always'],
        ['migrate', undefined],
      ],
      kind,
    )
  }
})

test('the component is a base for repositories of others, by a tag', async () => {
  const [upstream, own] = [join(space.path, 'upstream'), join(space.path, 'own')]
  await mkdir(own)
  await cp(join(checkout, 'deploy'), join(upstream, 'deploy'), { recursive: true })
  const git = (...args: string[]) => must(['git', '-C', upstream, '-c', 'user.name=test', '-c', 'user.email=test@example.org', ...args])
  await git('init', '--quiet')
  await git('add', '.')
  await git('commit', '--quiet', '--message=release')
  await git('tag', 'v0.1.0')
  await cp(join(manifests, 'example'), join(own, 'example'), { recursive: true })
  const [line = ''] = /^components: .*$/m.exec(await readFile(join(checkout, 'docs/kubernetes.md'), 'utf8')) ?? []
  await writeFile(join(own, 'kustomization.yaml'), `resources: [example]\n${line.replace('https://git.example.org/svidecar', `file://${upstream}`)}\n`)
  const { initContainers } = podOf(await render(own))
  assert.deepEqual(initContainers, podOf(objects('roles-anywhere')).initContainers)
})

test('classic: svidecar is started first, and serves while the application drains', async () => {
  const spec = podOf(objects('classic'))
  assert.deepEqual(
    spec.containers.map(({ name }) => name),
    ['svidecar', 'app'],
  )
  assert.equal(spec.initContainers, undefined)
  // With a hook that waits for an identity there would be none: test/platform/node.test.ts shows what comes without.
  const { lifecycle, restartPolicy } = svidecarOf(spec) as { lifecycle?: object; restartPolicy?: string }
  assert.deepEqual([lifecycle, restartPolicy], [undefined, undefined])
  const { config } = await configuration('classic')
  const graceMs = ((spec['terminationGracePeriodSeconds'] as number | undefined) ?? 30) * 1000
  assert.ok(config.shutdownGraceMs > 0 && config.shutdownGraceMs < graceMs, `${config.shutdownGraceMs} ms of ${graceMs}`)
})

test('init: the file that it writes once is the one that the application reads, in the pod’s memory', async () => {
  const spec = podOf(objects('init'))
  const { config } = await configuration('init')
  assert.equal(svidecarOf(spec).args?.[0], 'once')
  assert.equal(svidecarOf(spec).restartPolicy, undefined)
  const [file] = config.files
  assert.ok(file?.kind === 'credentials')
  // check prints modes as people write them.
  assert.deepEqual([file.path, file.mode as unknown, file.section], [envOf(applicationOf(spec))['AWS_SHARED_CREDENTIALS_FILE'], '0640', 'default'])
  assert.ok(file.path.startsWith(`${mountOf(svidecarOf(spec), 'runtime').mountPath}/`))
  assert.deepEqual(spec.volumes.find(({ name }) => name === 'runtime')?.['emptyDir'], { medium: 'Memory', sizeLimit: '1Mi' })
  assert.equal(workloadOf(objects('init')).kind, 'Job')
})

test('drop-in: helper.conf is understood, and names the configuration beside it', async () => {
  const spec = podOf(objects('drop-in'))
  assert.match(svidecarOf(spec).image, /^svidecar-spiffe-helper:/)
  assert.deepEqual(svidecarOf(spec).args, ['-config', `${mountOf(svidecarOf(spec), 'svidecar-config').mountPath}/helper.conf`])
  const { directory } = await configuration('drop-in')
  const moved = await must([node, main, 'migrate', join(directory, 'helper.conf')])
  assert.match(moved, /^# "svidecar_config" = "\/etc\/svidecar\/config\.yaml": merge/m)
  await writeFile(join(directory, 'moved.yaml'), moved)
  const config = JSON.parse(await must([node, main, 'check', '--config', join(directory, 'moved.yaml')])) as Config
  const [file] = config.files
  assert.ok(file?.kind === 'x509')
  assert.equal(file.keyMode as unknown, '0640')
  assert.equal(file.directory, mountOf(svidecarOf(spec), 'runtime').mountPath)
})

// What a kubelet makes of an emptyDir; and of one in a pod whose application has asked for an fsGroup of its own.
for (const [kind, fsGroup] of [
  ['a volume', undefined],
  ['a volume of another group', 2000],
] as const)
  test(`on ${kind} as a kubelet makes it, the application may read the token, nobody else may, and a restart keeps it`, async () => {
    const spec = podOf(objects('roles-anywhere'))
    const { runAsUser: uid, runAsGroup: gid } = svidecarOf(spec).securityContext as { runAsUser: number; runAsGroup: number }
    const groups = [...(spec.securityContext.supplementalGroups ?? []), ...(fsGroup === undefined ? [] : [fsGroup])].join(',')
    const volume = join(space.path, `volume-${fsGroup}`)
    await mkdir(volume)
    await chown(volume, 0, fsGroup ?? 0)
    await chmod(volume, fsGroup === undefined ? 0o777 : 0o2777)
    const config = join((await configuration('roles-anywhere')).directory, 'config.yaml')

    /** Runs the daemon of the sidecar in a network of its own until its listeners are open; resolves with the token. */
    async function token(runtimeDir: string): Promise<string> {
      const command = `ip link set lo up && exec setpriv --reuid=${uid} --regid=${gid} --groups=${groups} "$@"`
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
    assert.deepEqual([facts.uid, facts.gid, facts.mode & 0o777], [uid, gid, 0o440])
    const read = (...as: string[]) => run(['setpriv', '--reuid=1000', '--regid=1000', ...as, 'cat', join(own, 'app.token')])
    assert.deepEqual(await read(`--groups=${groups}`), { status: 0, stdout: first, stderr: '' })
    assert.match((await read('--clear-groups')).stderr, /Permission denied/)
    // Why it is not the volume itself: there the application could have put the token.
    assert.notEqual(await token(volume), await token(volume))
  })
