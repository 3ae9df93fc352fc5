// containerd on the machine of a node: Debian's, with its runc and network plugins, and images that no registry has.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '../../support/eventually.ts'
import type { Machine } from './machine.ts'

export const containerdSocket = '/run/containerd/containerd.sock'
export const pauseImage = 'localhost/pause:1'

export interface Containerd {
  /** Takes in an archive as `docker save` writes it. */
  importImage(archive: string): Promise<void>
}

const config = (network: string) => `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "${containerdSocket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${pauseImage}"
# Root of a virtual machine may lack CAP_SYS_RESOURCE, without which no process may be spared.
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "${network}"
`

/** Where the number of a container's first process is, as the machine numbers it. */
export const processFile = (id: string): string => `/run/containerd/io.containerd.runtime.v2.task/k8s.io/${id}/init.pid`

/** A bridge without a translation of addresses: the host has a route to the pods. */
const bridge = (subnet: string) => ({
  cniVersion: '0.4.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'pods',
      isGateway: true,
      ipam: { type: 'host-local', dataDir: '/var/lib/cni/networks', ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] },
    },
  ],
})

/** `directory`: an existing private folder of the host. */
export async function startContainerd(machine: Machine, directory: string): Promise<Containerd> {
  const network = join(directory, 'network')
  const file = join(directory, 'containerd.toml')
  await mkdir(network)
  await writeFile(join(network, 'pods.conflist'), JSON.stringify(bridge(machine.podNetwork)))
  await writeFile(file, config(network))
  const daemon = machine.launch(['containerd', '--config', file])
  const ctr = ['ctr', '--address', containerdSocket, '--namespace', 'k8s.io']
  await eventually(
    'containerd answers',
    async () => {
      daemon.check()
      return (await machine.run([...ctr, 'version'])).status === 0
    },
    60_000,
    200,
  )
  return {
    async importImage(archive) {
      await machine.must([...ctr, 'images', 'import', '--all-platforms', archive], 120_000)
    },
  }
}
