// The one door of these suites to the development world: its authority, its certificates, its wire format.

export { systemClock } from '../../src/core/clock.ts'
export { alternativeNames, basicConstraints, certificate, keyUsage, uri } from '../spiffe/certificates.ts'
export { type Authority, createAuthority, createKey, type KeyType } from '../support/dev/authority.ts'
export { workloadService } from '../support/world/agent-server.ts'
