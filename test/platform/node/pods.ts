// Looks at the pods of one namespace: what Kubernetes says of their containers, what they print, and what they are on the node.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { eventually } from '../../support/eventually.ts'
import type { Outcome } from '../machine.ts'
import type { Bed } from './bed.ts'
import { processFile } from './containerd.ts'

export interface Container {
  readonly name: string
  readonly containerID?: string
  readonly ready: boolean
  readonly started?: boolean
  readonly restartCount: number
  readonly state: {
    readonly waiting?: { readonly reason: string }
    readonly running?: { readonly startedAt: string }
    readonly terminated?: { readonly exitCode: number; readonly startedAt: string; readonly finishedAt: string }
  }
}

export interface Pod {
  readonly metadata: { readonly name: string; readonly creationTimestamp: string }
  readonly status: {
    readonly phase: string
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
    readonly initContainerStatuses?: readonly Container[]
    readonly containerStatuses?: readonly Container[]
  }
}

/** One call of the application: an ARN and the ID of the access key that it was signed with, or an error. */
export interface Line {
  readonly at: number
  readonly arn?: string
  readonly key?: string
  readonly error?: string
}

/** A busy machine may take its time, and is not asked more often than it can bear. */
export const patiently = <T>(what: string, probe: () => T | Promise<T>): Promise<NonNullable<T>> => eventually(what, probe, 180_000, 300)

/** The pod of an application, of which there is one in each namespace. */
export function podsOf(bed: Bed, namespace: string, selector = 'app=app') {
  const kubectl = (...args: string[]) => bed.kubectl(`--namespace=${namespace}`, ...args)
  const path = `/api/v1/namespaces/${namespace}/pods`
  const pod = async (): Promise<Pod> => {
    const { items } = JSON.parse(await bed.cluster.get(`${path}?labelSelector=${selector}`)) as { items: Pod[] }
    assert.equal(items.length, 1, `${items.length} pods`)
    return items[0] ?? assert.fail()
  }
  const container = async (name: string): Promise<Container> => {
    const { initContainerStatuses = [], containerStatuses = [] } = (await pod()).status
    return [...initContainerStatuses, ...containerStatuses].find((one) => one.name === name) ?? assert.fail(`no container ${name} yet`)
  }
  const log = async (name: string): Promise<string> => bed.cluster.get(`${path}/${(await pod()).metadata.name}/log?container=${name}`)
  const lines = async (): Promise<Line[]> =>
    (await log('app'))
      .split('\n')
      .filter((line) => line.startsWith('{"at"'))
      .map((line) => JSON.parse(line) as Line)
  /** The first process of a container, as the machine numbers it. */
  const processOf = async (name: string): Promise<string> => {
    const { containerID = '' } = await container(name)
    return readFile(bed.machine.path(processFile(containerID.replace('containerd://', ''))), 'utf8')
  }
  return {
    namespace,
    kubectl,
    pod,
    container,
    log,
    lines,
    /** Resolves when an application in it has made a call of AWS that succeeded, later than `since`. */
    called: (since = 0): Promise<Line> =>
      patiently('a call of the application succeeds', async () => (await lines()).find(({ arn, at }) => arn !== undefined && at > since)),
    running: (name: string): Promise<Container> =>
      patiently(`container ${name} runs`, async () => {
        const now = await container(name)
        return now.state.running && now
      }),
    async exec(name: string, command: readonly string[]): Promise<Outcome> {
      return bed.cluster.kubectl([`--namespace=${namespace}`, 'exec', (await pod()).metadata.name, `--container=${name}`, '--', ...command])
    },
    /** What is in a file, as the container sees it. */
    async read(name: string, path: string): Promise<string> {
      return readFile(bed.machine.path(`/proc/${await processOf(name)}/root${path}`), 'utf8')
    },
    kill: async (name: string) => {
      await bed.machine.must(['kill', '-KILL', await processOf(name)])
    },
    /** What the kernel counts for a container, in bytes. */
    async memory(name: string): Promise<Readonly<Record<string, number>>> {
      const groups = await readFile(bed.machine.path(`/proc/${await processOf(name)}/cgroup`), 'utf8')
      const [, v1] = /^\d+:memory:(.*)$/m.exec(groups) ?? []
      const [, v2] = /^0::(.*)$/m.exec(groups) ?? []
      const text = await readFile(v1 === undefined ? `/sys/fs/cgroup${v2}/memory.stat` : `/sys/fs/cgroup/memory${v1}/memory.stat`, 'utf8')
      return Object.fromEntries([...text.matchAll(/^(\w+) (\d+)$/gm)].map(([, key = '', value]) => [key, Number(value)]))
    },
  }
}
