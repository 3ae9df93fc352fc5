// gRPC services made from their .proto text.
import type { ServiceDefinition } from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import protobuf from 'protobufjs'
import { workloadProto } from '../../proto/workload.ts'

/** SpiffeWorkloadAPI; grpc-js answers UNIMPLEMENTED to every method that is not in it, such as the WIT ones. */
export const workloadService = (): ServiceDefinition => serviceOf(workloadProto, 'SpiffeWorkloadAPI')

export function serviceOf(proto: string, name: string): ServiceDefinition {
  const root = new protobuf.Root()
  const struct = protobuf.common.get('google/protobuf/struct.proto')
  if (struct?.nested) root.addJSON(struct.nested)
  protobuf.parse(proto, root, { keepCase: true })
  const loaded = fromJSON(root.toJSON(), { keepCase: true, defaults: true, longs: Number, enums: String })[name]
  if (!loaded || 'format' in loaded) throw new Error(`the .proto text has no ${name}`)
  return loaded
}
