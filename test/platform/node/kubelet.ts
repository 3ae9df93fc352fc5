// The kubelet of a node.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '../../support/eventually.ts'
import type { Cluster } from '../cluster.ts'
import { containerdSocket } from './containerd.ts'
import type { Machine } from './machine.ts'

const config = ({ cgroup }: Machine, { kubeletClient }: Cluster) => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  // Whoever asks it anything, SPIRE's agent too, needs the rights for it.
  authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: kubeletClient } },
  authorization: { mode: 'Webhook' },
  containerRuntimeEndpoint: `unix://${containerdSocket}`,
  cgroupDriver: 'cgroupfs',
  cgroupRoot: `/${cgroup}`,
  enforceNodeAllocatable: [],
  // Root of a virtual machine may lack CAP_SYS_RESOURCE.
  oomScoreAdj: 0,
  failSwapOn: false,
  // How full this host is, is none of the test's business.
  evictionHard: { 'memory.available': '1Mi', 'nodefs.available': '0%', 'imagefs.available': '0%' },
  imageGCHighThresholdPercent: 100,
  // There is no DNS; without an address the kubelet complains of each pod.
  clusterDNS: ['10.96.0.10'],
  resolvConf: '',
  serializeImagePulls: false,
  // A minute unless set: how late a changed ConfigMap may be in its pods.
  syncFrequency: '2s',
  nodeStatusUpdateFrequency: '5s',
})

export async function startKubelet(machine: Machine, cluster: Cluster, directory: string): Promise<void> {
  const file = join(directory, 'kubelet.json')
  const kubeconfig = join(directory, 'kubelet-kubeconfig.json')
  await writeFile(file, JSON.stringify(config(machine, cluster)))
  await writeFile(kubeconfig, cluster.kubeconfig('node'))
  const args = [`--config=${file}`, `--kubeconfig=${kubeconfig}`, `--hostname-override=${machine.name}`, `--node-ip=${machine.address}`]
  const kubelet = machine.launch([join(cluster.binaries, 'kubelet'), ...args])
  await eventually(
    'the node is ready',
    async () => {
      kubelet.check()
      const { status } = JSON.parse(await cluster.get(`/api/v1/nodes/${machine.name}`)) as { status: { conditions: { type: string; status: string }[] } }
      return status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
    },
    120_000,
    200,
  )
}
