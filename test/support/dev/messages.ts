// Messages and services of gRPC that only the tests' dev agent has, and the tests' clients.
import type { ServiceDefinition } from '@grpc/grpc-js'
import { serviceOf } from '../world/agent-server.ts'

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

export const healthService = (): ServiceDefinition => serviceOf(healthProto, 'grpc.health.v1.Health')

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
