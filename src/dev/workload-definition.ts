// The gRPC services that the dev agent answers, made from the .proto text, and the messages' shapes.
import type { ServiceDefinition } from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import protobuf from 'protobufjs'
import { workloadProto } from '../../proto/workload.ts'

/** An X509SVIDResponse as it goes on the wire. */
export interface RawX509Message {
  svids: { spiffe_id: string; x509_svid: Buffer; x509_svid_key: Buffer; bundle: Buffer; hint: string }[]
  federated_bundles: Record<string, Buffer>
}

// grpc.health.v1, as far as spire-agent has it.
const healthProto = `syntax = "proto3";
package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse {
  enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; }
  ServingStatus status = 1;
}
service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); }`

/** SpiffeWorkloadAPI; grpc-js answers UNIMPLEMENTED to every method that is not in it, such as the WIT ones. */
export const workloadService = (): ServiceDefinition => serviceOf(workloadProto, 'SpiffeWorkloadAPI')

export const healthService = (): ServiceDefinition => serviceOf(healthProto, 'grpc.health.v1.Health')

function serviceOf(proto: string, name: string): ServiceDefinition {
  const root = new protobuf.Root()
  const struct = protobuf.common.get('google/protobuf/struct.proto')
  if (struct?.nested) root.addJSON(struct.nested)
  protobuf.parse(proto, root, { keepCase: true })
  const loaded = fromJSON(root.toJSON(), { keepCase: true, defaults: true, longs: Number, enums: String })[name]
  if (!loaded || 'format' in loaded) throw new Error(`the .proto text has no ${name}`)
  return loaded
}

/** A JSON object as google.protobuf.Struct in its wire form, which proto-loader does not translate. */
export const toStruct = (json: object): { fields: Record<string, object> } => ({
  fields: Object.fromEntries(Object.entries(json).map(([name, value]) => [name, toValue(value)])),
})

function toValue(json: unknown): object {
  if (typeof json === 'number') return { numberValue: json }
  if (typeof json === 'string') return { stringValue: json }
  if (typeof json === 'boolean') return { boolValue: json }
  if (Array.isArray(json)) return { listValue: { values: json.map(toValue) } }
  return typeof json === 'object' && json !== null ? { structValue: toStruct(json) } : { nullValue: 0 }
}
