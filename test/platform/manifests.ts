// What kustomize makes of deploy/kubernetes, as objects, and where in a workload its pods are.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { checkout, must } from './machine.ts'

export const manifests = join(checkout, 'deploy/kubernetes')
export const overlays = ['roles-anywhere', 'oidc', 'init', 'job', 'classic', 'drop-in'] as const
export type Overlay = (typeof overlays)[number]

export interface Container {
  name: string
  image: string
  args?: string[]
  env: { name: string; value: string }[]
  ports?: { name: string; containerPort: number }[]
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[]
  restartPolicy?: string
  securityContext: Record<string, unknown>
  [more: string]: unknown
}

export interface PodSpec {
  securityContext: { runAsNonRoot?: boolean; fsGroup?: number; supplementalGroups?: number[] }
  initContainers?: Container[]
  containers: Container[]
  volumes: { name: string; [kind: string]: unknown }[]
  [more: string]: unknown
}

export interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string> }
  data?: Record<string, string>
  spec: { template: { metadata: { labels: Record<string, string> }; spec: PodSpec }; [more: string]: unknown }
}

/** The folder of the programs of Kubernetes. Builds what is not built yet, which takes minutes. */
export const kubeBinaries = async (): Promise<string> => (await must([join(checkout, 'test/platform/kube/build')], { timeoutMs: 30 * 60_000 })).trim()

export const objectsOf = (yaml: string): Manifest[] => parseAllDocuments(yaml).flatMap((document) => (document.toJS() as Manifest | null) ?? [])

/** What kustomize makes of a folder. */
export const render = async (path: string): Promise<Manifest[]> => objectsOf(await must([join(await kubeBinaries(), 'kubectl'), 'kustomize', path]))

export const workloadOf = (objects: readonly Manifest[]): Manifest =>
  objects.find(({ kind }) => /^(Deployment|StatefulSet|DaemonSet|Job)$/.test(kind)) ?? assert.fail('there is no workload')

export const podOf = (objects: readonly Manifest[]): PodSpec => structuredClone(workloadOf(objects).spec.template.spec)

const named = (containers: readonly Container[] | undefined, name: string): Container | undefined => containers?.find((one) => one.name === name)

export const svidecarOf = (spec: PodSpec): Container =>
  named(spec.initContainers, 'svidecar') ?? named(spec.containers, 'svidecar') ?? assert.fail('there is no svidecar')

export const applicationOf = (spec: PodSpec): Container => named(spec.containers, 'app') ?? assert.fail('there is no application')

export const filesOf = (objects: readonly Manifest[]): Record<string, string> =>
  objects.find(({ kind }) => kind === 'ConfigMap')?.data ?? assert.fail('there is no ConfigMap')

export const envOf = ({ env }: Container): Record<string, string> => Object.fromEntries(env.map(({ name, value }) => [name, value]))

export const mountOf = ({ name, volumeMounts }: Container, volume: string): { mountPath: string; readOnly?: boolean } =>
  volumeMounts.find((mount) => mount.name === volume) ?? assert.fail(`${name} does not mount ${volume}`)
