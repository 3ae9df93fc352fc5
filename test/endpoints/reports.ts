// A status report by hand.
import type { StatusReport } from '../../src/core/health.ts'

export const emptyReport: StatusReport = {
  ready: false,
  started: false,
  missing: ['app'],
  version: '1.2.3',
  now: '2026-01-01T00:00:00.000Z',
  pid: 1,
  identities: [],
  profiles: [],
  outputs: [],
  listeners: {},
  problems: [],
  events: [],
}
