// The gRPC services that the dev agent answers, made from the .proto text, and the messages' shapes.
import type { ServiceDefinition } from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import protobuf from 'protobufjs'
import { workloadProto } from '../../proto/workload.ts'

export interface X509SvidMessage {
  spiffe_id?: string
  x509_svid?: Buffer
  x509_svid_key?: Buffer
  bundle?: Buffer
  hint?: string
}

/** An X509SVIDResponse as it goes on the wire; every field may be left out, to send garbage. */
export interface RawX509Message {
  svids?: X509SvidMessage[]
  crl?: Buffer[]
  federated_bundles?: Record<string, Buffer>
}

// grpc.health.v1, as far as anybody uses it.
const healthProto = `syntax = "proto3";
package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse {
  enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
  ServingStatus status = 1;
}
service Health {
  rpc Check(HealthCheckRequest) returns (HealthCheckResponse);
  rpc Watch(HealthCheckRequest) returns (stream HealthCheckResponse);
}`

function definitionOf(proto: string, service: string): ServiceDefinition {
  const root = new protobuf.Root()
  const struct = protobuf.common.get('google/protobuf/struct.proto')
  if (struct?.nested) root.addJSON(struct.nested)
  protobuf.parse(proto, root, { keepCase: true })
  const loaded = fromJSON(root.toJSON(), { keepCase: true, defaults: true, longs: Number, enums: String })[service]
  if (!loaded || 'format' in loaded) throw new Error(`the .proto text has no service ${service}`)
  return loaded
}

/** SpiffeWorkloadAPI; grpc-js answers UNIMPLEMENTED to every method that is not in it, such as the WIT ones. */
export const workloadService = (): ServiceDefinition => definitionOf(workloadProto, 'SpiffeWorkloadAPI')

export const healthService = (): ServiceDefinition => definitionOf(healthProto, 'grpc.health.v1.Health')

/** google.protobuf.Value in its wire form, which proto-loader does not translate. */
export type WireValue =
  | { nullValue: 0 }
  | { numberValue: number }
  | { stringValue: string }
  | { boolValue: boolean }
  | { listValue: { values: WireValue[] } }
  | { structValue: WireStruct }

export interface WireStruct {
  fields: Record<string, WireValue>
}

/** A JSON object as google.protobuf.Struct. */
export const toStruct = (json: object): WireStruct => ({ fields: Object.fromEntries(Object.entries(json).map(([name, value]) => [name, toValue(value)])) })

function toValue(json: unknown): WireValue {
  if (typeof json === 'number') return { numberValue: json }
  if (typeof json === 'string') return { stringValue: json }
  if (typeof json === 'boolean') return { boolValue: json }
  if (Array.isArray(json)) return { listValue: { values: json.map(toValue) } }
  return typeof json === 'object' && json !== null ? { structValue: toStruct(json) } : { nullValue: 0 }
}
