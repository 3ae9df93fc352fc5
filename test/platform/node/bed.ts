// A whole Kubernetes node with real SPIRE on it, and beside it an AWS that trusts that SPIRE.
import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { parse } from 'yaml'
import { systemClock } from '../../../src/core/clock.ts'
import { type DevAws, startDevAws } from '../../support/dev/aws.ts'
import { eventually } from '../../support/eventually.ts'
import { type Cluster, startCluster } from '../cluster.ts'
import { containersIn, images, leaveContainers, provideImages } from '../images.ts'
import { checkout, folder, must } from '../machine.ts'
import { pauseImage, startContainerd } from './containerd.ts'
import { driverObject, startDriver } from './csi.ts'
import { agentImage, applicationImage, archive, makeImages } from './images.ts'
import { startKubelet } from './kubelet.ts'
import { bootMachine, type Machine } from './machine.ts'
import { type Spire, socketFolder, startSpire } from './spire.ts'

const deploy = join(checkout, 'deploy/kubernetes')
/** The names that the manifests have for what is made here. */
const imagesOfPods = {
  [pauseImage]: pauseImage,
  [agentImage]: agentImage,
  [applicationImage]: applicationImage,
  [images.svidecar]: 'docker.io/library/svidecar:0.1.0',
  [images.helper]: 'docker.io/library/svidecar-spiffe-helper:0.1.0',
}

const role = 'arn:aws:iam::111122223333:role/app'

export interface Bed {
  readonly machine: Machine
  readonly cluster: Cluster
  readonly spire: Spire
  readonly aws: DevAws
  /** kubectl that has to succeed; resolves with what it printed. */
  kubectl(...args: readonly string[]): Promise<string>
  apply(object: object): Promise<void>
  /** Makes a namespace as deploy/ has it, and puts an overlay into it with what only a test changes. */
  deploy(namespace: string, overlay: string, change?: Change): Promise<void>
  stop(): Promise<void>
}

export interface Change {
  /** What is there before it. */
  readonly objects?: readonly object[]
  /** Strategic merges, beside those that every test needs. */
  readonly patches?: readonly object[]
  /** What the application is started with. */
  readonly args?: readonly string[]
}

/** Resolves when everything is up, but for the agent. */
export async function startBed(): Promise<Bed> {
  const space = await folder('node')
  const own = (name: string) => join(space.path, name)
  const stops: (() => Promise<void> | void)[] = [space.remove]
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one()
  }
  try {
    const bin = (await must([join(checkout, 'test/spire/testbed/build')], { timeoutMs: 30 * 60_000 })).trim()
    const env = await containersIn(space.path)
    stops.push(() => leaveContainers(space.path, env))
    const machine = await bootMachine('node')
    stops.push(machine.stop)
    const containerd = await startContainerd(machine, space.path)
    await makeImages(space.path, bin, env)
    await provideImages(space.path, env)
    for (const [name, as] of Object.entries(imagesOfPods)) await containerd.importImage(await archive(space.path, name, as, env))
    const cluster = await startCluster(space.path, {}, machine)
    const kubectl = async (...args: string[]) => {
      const { status, stdout, stderr } = await cluster.kubectl(args)
      assert.equal(status, 0, `kubectl ${args.join(' ')}: ${stderr}`)
      return stdout
    }
    const apply = async (object: object) => {
      const { status, stderr } = await cluster.kubectl(['apply', '--filename=-'], JSON.stringify(object))
      assert.equal(status, 0, stderr)
    }
    await apply(driverObject)
    await startKubelet(machine, cluster, space.path)
    const spire = await startSpire(machine, cluster, bin, space.path)
    await machine.must(['mkdir', '--parents', socketFolder])
    const driver = await startDriver(machine, socketFolder)
    stops.push(driver.stop)
    await eventually('the kubelet knows the CSI driver', driver.registered, 60_000)
    const aws = await startAws(machine, spire)
    stops.push(aws.stop)
    return {
      machine,
      cluster,
      spire,
      aws,
      kubectl,
      apply,
      stop,
      async deploy(namespace, overlay, change = {}) {
        const labels = (parse(await readFile(join(deploy, 'namespace.yaml'), 'utf8')) as { metadata: { labels: object } }).metadata.labels
        await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } })
        for (const object of change.objects ?? []) await apply(object)
        const directory = own(namespace)
        await mkdir(directory)
        await writeOverlay(directory, join(deploy, 'overlays', overlay), namespace, aws, change)
        await kubectl('apply', `--kustomize=${directory}`)
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** An AWS with the account of the examples, at an address that pods reach. */
const startAws = (machine: Machine, spire: Spire): Promise<DevAws> => {
  const anywhere = 'arn:aws:rolesanywhere:us-east-1:111122223333'
  return startDevAws({
    clock: systemClock,
    host: machine.host,
    region: 'us-east-1',
    trustAnchors: [{ arn: `${anywhere}:trust-anchor/00000000-0000-4000-8000-000000000001`, roots: () => [spire.root] }],
    profiles: [{ arn: `${anywhere}:profile/00000000-0000-4000-8000-000000000002`, roleArns: [role] }],
    oidcProviders: [{ issuer: 'https://oidc.example.org', audiences: ['sts.amazonaws.com'], jwks: spire.jwks }],
    roles: [{ roleArn: role }],
    // Renewed after 45 s at the latest; long enough for a busy machine to be late by a few.
    issueSeconds: 90,
  })
}

/** The overlay of a user, as small as it can be here: images, the address of AWS, and that it speaks no TLS. */
async function writeOverlay(directory: string, overlay: string, namespace: string, aws: DevAws, { patches = [], args }: Change): Promise<void> {
  const shipped = parse(await readFile(join(overlay, 'config.yaml'), 'utf8')) as { profiles: { app: object } }
  const app = { ...shipped.profiles.app, endpoint: aws.issuingUrl, allow_plaintext: true }
  await writeFile(join(directory, 'config.yaml'), JSON.stringify({ ...shipped, profiles: { app } }))
  const { kind, apiVersion } = (await readFile(join(overlay, 'application.yaml'), 'utf8')).includes('kind: Job')
    ? { kind: 'Job', apiVersion: 'batch/v1' }
    : { kind: 'Deployment', apiVersion: 'apps/v1' }
  // What a patch names goes before the rest, and containers are started in this order.
  const before = overlay.endsWith('/classic') ? [{ name: 'svidecar' }] : []
  const env = [
    { name: 'AWS_ENDPOINT_URL_STS', value: aws.checkingUrl },
    // By this AWS can tell whose call it is.
    { name: 'AWS_SDK_UA_APP_ID', value: namespace },
  ]
  const container = { name: 'app', env, ...(args && { args }) }
  const pointed = { apiVersion, kind, metadata: { name: 'app' }, spec: { template: { spec: { containers: [...before, container] } } } }
  const [newName, newTag] = applicationImage.split(':')
  await writeFile(
    join(directory, 'kustomization.yaml'),
    JSON.stringify({
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      namespace,
      resources: [relative(directory, overlay)],
      images: [{ name: 'app', newName, newTag }],
      configMapGenerator: [{ name: 'svidecar', behavior: 'merge', files: ['config.yaml'] }],
      patches: [pointed, ...patches].map((patch) => ({ patch: JSON.stringify(patch) })),
    }),
  )
}
