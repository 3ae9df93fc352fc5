// A driver that does what the SPIFFE CSI driver does: an inline volume is the agent's socket folder, bound read-only.
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Machine } from './machine.ts'

export const driver = 'csi.spiffe.io'
const kubelet = '/var/lib/kubelet'
const endpoint = `${kubelet}/plugins/${driver}/csi.sock`

/** The object that tells Kubernetes what the driver can do, as the SPIFFE CSI driver's own manifests have it. */
export const driverObject = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'CSIDriver',
  metadata: { name: driver, labels: { 'security.openshift.io/csi-ephemeral-volume-profile': 'restricted' } },
  spec: { attachRequired: false, podInfoOnMount: true, fsGroupPolicy: 'None', volumeLifecycleModes: ['Ephemeral'] },
}

type Call = (request: Record<string, unknown>) => Promise<object>

/** The services of a .proto file beside this one, by their full names. */
const services = (file: string) => loadSync(join(import.meta.dirname, file), { keepCase: true })

/** Listens on a socket of the machine's; the methods by their names. */
async function serve(machine: Machine, path: string, file: string, names: readonly string[], methods: Readonly<Record<string, Call>>): Promise<grpc.Server> {
  const server = new grpc.Server()
  const handle =
    (method: Call): grpc.handleUnaryCall<Record<string, unknown>, object> =>
    ({ request }, reply) => {
      method(request).then(
        (answer) => reply(null, answer),
        (error: Error) => reply({ code: grpc.status.INTERNAL, details: error.message }),
      )
    }
  for (const name of names) {
    const service = services(file)[name] as grpc.ServiceDefinition
    const own = Object.keys(service).map((method) => [method, handle(methods[method] ?? (async () => ({})))])
    server.addService(service, Object.fromEntries(own) as grpc.UntypedServiceImplementation)
  }
  await mkdir(dirname(machine.path(path)), { recursive: true })
  await new Promise<void>((bound, failed) => {
    server.bindAsync(`unix://${machine.path(path)}`, grpc.ServerCredentials.createInsecure(), (error) => (error === null ? bound() : failed(error)))
  })
  return server
}

/** Serves the machine's kubelet, which finds it by itself. `sockets`: the folder that pods are to see. */
export async function startDriver(machine: Machine, sockets: string): Promise<{ registered(): boolean; stop(): void }> {
  let registered = false
  const servers = [
    await serve(machine, endpoint, 'csi.proto', ['csi.v1.Identity', 'csi.v1.Node'], {
      GetPluginInfo: async () => ({ name: driver, vendor_version: 'test' }),
      NodeGetInfo: async () => ({ node_id: machine.name }),
      async NodePublishVolume({ target_path: path, readonly, volume_context: context }) {
        if ((context as Record<string, string>)['csi.storage.k8s.io/ephemeral'] !== 'true') throw new Error('only inline volumes')
        if (readonly !== true) throw new Error('only read-only volumes')
        await machine.must(['mkdir', '--parents', String(path)])
        await machine.must(['mount', '--bind', sockets, String(path)])
        await machine.must(['mount', '-o', 'remount,bind,ro', String(path)])
        return {}
      },
      async NodeUnpublishVolume({ target_path: path }) {
        // Asked for again when the first answer was lost.
        if ((await machine.run(['mountpoint', '--quiet', String(path)])).status === 0) await machine.must(['umount', String(path)])
        await machine.must(['rm', '--dir', '--force', String(path)])
        return {}
      },
    }),
    // Last, because the kubelet comes as soon as it sees this socket.
    await serve(machine, `${kubelet}/plugins_registry/${driver}-reg.sock`, 'plugin-registration.proto', ['pluginregistration.Registration'], {
      GetInfo: async () => ({ type: 'CSIPlugin', name: driver, endpoint, supported_versions: ['1.0.0'] }),
      async NotifyRegistrationStatus({ plugin_registered: done, error }) {
        if (done !== true) console.error(`the kubelet does not take the driver: ${String(error)}`)
        registered = done === true
        return {}
      },
    }),
  ]
  return {
    registered: () => registered,
    stop: () => {
      for (const server of servers) server.forceShutdown()
    },
  }
}
