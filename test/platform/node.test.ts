// A real Kubernetes node: what deploy/ ships runs as pods beside real SPIRE, in namespaces that enforce the restricted profile.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { need } from './machine.ts'
import { type Bed, type Change, startBed } from './node/bed.ts'
import { type Line, patiently, podsOf } from './node/pods.ts'

/** Longer than any probe of ten failures is patient, and than the first steps of a back-off. */
const lateSeconds = 90

let bed: Bed

before(async () => {
  need({
    buildah: 'buildah',
    cc: 'gcc libc6-dev',
    containerd: 'containerd',
    etcd: 'etcd-server',
    ip: 'iproute2',
    nsenter: 'util-linux',
    openssl: 'openssl',
    runc: 'runc',
    unshare: 'util-linux',
  })
  bed = await startBed()
})

after(() => bed?.stop())

/** Puts an overlay into a namespace of its own, with an entry unless `entry` is false. */
async function place(namespace: string, overlay: string, change: Change & { entry?: false; x509Seconds?: number } = {}) {
  if (change.entry !== false) await bed.spire.register(namespace, change.x509Seconds)
  await bed.deploy(namespace, overlay, change)
  return podsOf(bed, namespace)
}

type Placed = Awaited<ReturnType<typeof place>>

const sinceCreation = async ({ pod }: Placed, startedAt = ''): Promise<number> =>
  (Date.parse(startedAt) - Date.parse((await pod()).metadata.creationTimestamp)) / 1000

const restarts = async ({ container }: Placed): Promise<Record<string, number>> => ({
  svidecar: (await container('svidecar')).restartCount,
  app: (await container('app')).restartCount,
})

/** That the sidecar has long been running, and the application was not started. */
async function assertHeldBack({ container, running }: Placed): Promise<void> {
  const { state, started, restartCount } = await running('svidecar')
  assert.deepEqual([started, restartCount], [false, 0], JSON.stringify(state))
  const app = await container('app')
  assert.deepEqual([app.state, app.restartCount], [{ waiting: { reason: 'PodInitializing' } }, 0])
}

const onDeployment = (spec: object): object => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'app' }, spec: { template: { spec } } })

const failures = (lines: readonly Line[], since = 0): string[] =>
  lines.flatMap(({ at, error }) => (error === undefined || at <= since ? [] : [`${at} ${error}`]))

/** What is still looked at by the last test. */
const kept = ['sdk', 'drop-in']

/** A test in a namespace, which it has to itself: prints how it went, when it failed, and leaves no load behind. */
const told = (namespace: string, work: (t: TestContext) => Promise<void>) => async (t: TestContext) => {
  try {
    await work(t)
  } catch (error) {
    const said = async (...args: string[]) => (await bed.cluster.kubectl([`--namespace=${namespace}`, ...args])).stdout.slice(-3000)
    t.diagnostic(await said('describe', 'pods'))
    t.diagnostic(await said('logs', '--selector=app=app', '--container=svidecar', '--tail=20'))
    throw error
  } finally {
    if (!kept.includes(namespace)) await bed.kubectl('delete', 'namespace', namespace, '--wait=false')
  }
}

test(
  'without an agent the application is not started, nothing restarts, and it starts when the agent comes',
  told('early', async (t) => {
    const early = await place('early', 'roles-anywhere')
    await early.running('svidecar')
    await setTimeout(10_000)
    await assertHeldBack(early)
    const came = Date.now()
    await bed.spire.startAgent()
    const { state } = await early.running('app')
    t.diagnostic(`the application started ${(Date.parse(state.running?.startedAt ?? '') - came) / 1000} s after the agent was created`)
    await early.called()
    assert.deepEqual(await restarts(early), { svidecar: 0, app: 0 })
    assert.deepEqual(failures(await early.lines()), [])
  }),
)

describe('with an agent', { concurrency: 4 }, () => {
  test(
    `an entry that comes ${lateSeconds} s late holds the application back, and restarts nothing`,
    told('late', async (t) => {
      const late = await place('late', 'roles-anywhere', { entry: false })
      await late.running('svidecar')
      await setTimeout(lateSeconds * 1000)
      await assertHeldBack(late)
      const came = Date.now()
      await bed.spire.register('late')
      const { state } = await late.running('app')
      t.diagnostic(`the application started ${(Date.parse(state.running?.startedAt ?? '') - came) / 1000} s after the entry was made`)
      await late.called()
      assert.deepEqual(await restarts(late), { svidecar: 0, app: 0 })
      assert.deepEqual(failures(await late.lines()), [])
    }),
  )

  test(
    'a real SDK reads credentials from its first call on, and new ones when they are renewed',
    told('sdk', async (t) => {
      const sdk = await place('sdk', 'roles-anywhere')
      const { state } = await sdk.running('app')
      t.diagnostic(`the application started ${await sinceCreation(sdk, state.running?.startedAt)} s after its pod was created`)
      const first = await sdk.called()
      assert.match(first.arn ?? '', /^arn:aws:sts::111122223333:assumed-role\/app\//)
      const keys = async () => new Set((await sdk.lines()).map(({ key }) => key))
      await patiently('the application has seen two access keys', async () => (await keys()).size >= 2)
      assert.deepEqual(failures(await sdk.lines()), [])
      assert.deepEqual(await restarts(sdk), { svidecar: 0, app: 0 })
      // By its name in version 1 of cgroups, and in version 2.
      const { total_rss: v1, anon: v2 } = await sdk.memory('svidecar')
      t.diagnostic(`the sidecar's memory: ${Math.round((v1 ?? v2 ?? 0) / 2 ** 20)} MiB`)
    }),
  )

  test(
    'a sidecar that is killed comes back with the same token, and the application goes on',
    told('killed', async (t) => {
      const killed = await place('killed', 'roles-anywhere')
      await killed.called()
      const token = await killed.read('app', '/run/svidecar/daemon/app.token')
      await killed.kill('svidecar')
      const at = Date.now()
      await patiently('the sidecar was started again', async () => (await restarts(killed))['svidecar'] === 1)
      const { at: back } = await killed.called(at + 1000)
      t.diagnostic(`the application's calls failed for ${failures(await killed.lines(), at).length} times, until ${(back - at) / 1000} s after`)
      assert.equal(await killed.read('app', '/run/svidecar/daemon/app.token'), token)
      assert.deepEqual(await restarts(killed), { svidecar: 1, app: 0 })
      assert.deepEqual(failures(await killed.lines(), back), [])
    }),
  )

  test(
    'when its pod is deleted the application goes first, and has credentials to the last',
    told('deleted', async () => {
      const { called, kubectl, pod, container } = await place('deleted', 'roles-anywhere')
      await called()
      const { name } = (await pod()).metadata
      // So that what became of it can still be seen.
      const keep = (finalizers: readonly string[]) => kubectl('patch', 'pod', name, '--type=merge', `--patch=${JSON.stringify({ metadata: { finalizers } })}`)
      await keep(['svidecar.test/look'])
      await kubectl('delete', 'deployment', 'app', '--wait=false')
      const ended = (name: string) => patiently(`${name} has ended`, async () => (await container(name)).state.terminated)
      const [app, svidecar] = [await ended('app'), await ended('svidecar')]
      const last = bed.aws.requests.filter(({ headers }) => headers['user-agent']?.includes('app/last-deleted'))
      await keep([])
      assert.deepEqual(
        last.map(({ status }) => status),
        [200],
      )
      assert.deepEqual([app.exitCode, svidecar.exitCode], [0, 0])
      assert.ok(Date.parse(svidecar.finishedAt) >= Date.parse(app.finishedAt), `${svidecar.finishedAt} is before ${app.finishedAt}`)
    }),
  )

  test(
    'a Job completes, although its sidecar would run for ever',
    told('job', async () => {
      const { kubectl, container, pod } = await place('job', 'job', { args: ['3'] })
      await kubectl('wait', '--for=condition=complete', '--timeout=180s', 'job/app')
      assert.equal((await pod()).status.phase, 'Succeeded')
      for (const name of ['app', 'svidecar']) {
        const { state, restartCount } = await container(name)
        assert.deepEqual([name, state.terminated?.exitCode, restartCount], [name, 0, 0])
      }
    }),
  )

  test(
    'the init variant has written the credentials when the application starts, and is gone',
    told('init', async () => {
      const { kubectl, container } = await place('init', 'init', { args: ['3'] })
      await kubectl('wait', '--for=condition=complete', '--timeout=180s', 'job/app')
      const { state } = await container('svidecar')
      const { terminated } = (await container('app')).state
      assert.deepEqual([state.terminated?.exitCode, terminated?.exitCode], [0, 0])
      assert.ok(Date.parse(state.terminated?.finishedAt ?? '') <= Date.parse(terminated?.startedAt ?? ''))
    }),
  )

  test(
    'with a JWT-SVID, too, the application has credentials when it starts',
    told('oidc', async () => {
      const oidc = await place('oidc', 'oidc')
      await oidc.called()
      assert.deepEqual(failures(await oidc.lines()), [])
      assert.deepEqual(await restarts(oidc), { svidecar: 0, app: 0 })
    }),
  )

  test(
    'beside a classic sidecar the application may start too early, but has credentials soon, and nothing restarts',
    told('classic', async () => {
      const classic = await place('classic', 'classic')
      await classic.called()
      assert.deepEqual(await restarts(classic), { svidecar: 0, app: 0 })
    }),
  )

  test(
    'a changed ConfigMap is taken over by the running sidecar, and one that is wrong is not',
    told('changed', async () => {
      const changed = await place('changed', 'roles-anywhere')
      const { kubectl, log, read, called, container } = changed
      await called()
      const before = JSON.parse(await kubectl('get', 'configmap', 'svidecar', '--output=jsonpath={.data.config\\.yaml}')) as { consumers: object }
      const write = (config: object) =>
        kubectl('patch', 'configmap', 'svidecar', '--type=merge', `--patch=${JSON.stringify({ data: { 'config.yaml': JSON.stringify(config) } })}`)
      await write({ ...before, profils: {} })
      await patiently('the mistake is told', async () => (await log('svidecar')).includes('did you mean profiles?'))
      await called(Date.now())
      await write({ ...before, consumers: { ...before.consumers, another: { profiles: ['app'] } } })
      await patiently('the new consumer has a token', () => read('svidecar', '/run/svidecar/daemon/another.token'))
      await called(Date.now())
      assert.deepEqual(failures(await changed.lines()), [])
      assert.deepEqual(await restarts(changed), { svidecar: 0, app: 0 })
      assert.equal((await container('svidecar')).ready, true)
    }),
  )

  test(
    "the application's container does not get the sidecar's identity, even with the agent's socket before it",
    told('curious', async () => {
      const mount = { name: 'spiffe-workload-api', mountPath: '/spiffe-workload-api', readOnly: true }
      const curious = await place('curious', 'roles-anywhere', { patches: [onDeployment({ containers: [{ name: 'app', volumeMounts: [mount] }] })] })
      await curious.called()
      const ask = await curious.exec('app', ['/spire-agent', 'api', 'fetch', 'x509', '-socketPath', '/spiffe-workload-api/spire-agent.sock', '-timeout', '30s'])
      assert.notEqual(ask.status, 0)
      assert.match(ask.stdout + ask.stderr, /code = PermissionDenied desc = no identity issued/)
    }),
  )

  test(
    'the same pod under another service account, or in another namespace, gets no identity',
    told('account', async () => {
      const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'other', namespace: 'account' } }
      const others = [
        await place('account', 'roles-anywhere', { objects: [account], patches: [onDeployment({ serviceAccountName: 'other' })] }),
        await place('elsewhere', 'roles-anywhere', { entry: false }),
      ]
      for (const other of others) {
        await other.running('svidecar')
        await patiently('the agent has refused', async () => /PermissionDenied|no identity issued/.test(await other.log('svidecar')))
      }
      await setTimeout(10_000)
      for (const other of others) await assertHeldBack(other)
    }),
  )

  test(
    'the drop-in in its place: files that are there before the application starts, and are renewed',
    told('drop-in', async () => {
      const dropIn = await place('drop-in', 'drop-in', { x509Seconds: 60 })
      const { state } = await dropIn.running('app')
      const svid = () => dropIn.read('app', '/run/svidecar/svid.pem')
      const first = new X509Certificate(await svid())
      assert.ok(first.validFromDate.getTime() <= Date.parse(state.running?.startedAt ?? ''))
      assert.match(first.subjectAltName ?? '', /URI:spiffe:\/\/example\.org\/ns\/drop-in\/sa\/app(,|$)/)
      await dropIn.called()
      await patiently('the SVID is renewed', async () => new X509Certificate(await svid()).serialNumber !== first.serialNumber)
      assert.deepEqual(failures(await dropIn.lines()), [])
      assert.deepEqual(await restarts(dropIn), { svidecar: 0, app: 0 })
    }),
  )
})

test(
  'an agent that is killed and comes back is noticed by no application, and gives new SVIDs to all',
  told('drop-in', async () => {
    const both = [podsOf(bed, 'sdk'), podsOf(bed, 'drop-in')]
    const agent = podsOf(bed, 'spire', 'app=spire-agent')
    const at = Date.now()
    await agent.kill('spire-agent')
    await patiently('the agent is back', async () => (await agent.container('spire-agent')).restartCount === 1)
    const svid = async () => new X509Certificate(await podsOf(bed, 'drop-in').read('app', '/run/svidecar/svid.pem'))
    // From the new agent, since the old one is no more.
    await patiently('the drop-in has an SVID of the new agent', async () => (await svid()).validFromDate.getTime() > at)
    for (const one of both) {
      const { key } = await one.called(Date.now())
      await patiently('new credentials', async () => (await one.lines()).at(-1)?.key !== key)
      assert.deepEqual(failures(await one.lines(), at), [])
      assert.deepEqual(await restarts(one), { svidecar: 0, app: 0 })
    }
  }),
)
