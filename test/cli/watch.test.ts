// svidecar status --watch: report after report, also while the daemon is away, until a signal.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createControlHandler } from '../../src/endpoints/control.ts'
import { listen } from '../../src/endpoints/server.ts'
import { emptyReport } from '../endpoints/reports.ts'
import { eventually } from '../support/eventually.ts'
import { folder, start } from './support.ts'

test('a daemon that is away is told and waited for, and Ctrl-C ends it with status 0', async (t) => {
  const directory = await folder(t)
  const watching = start(t, ['status', '--watch', '--json', '--runtime-dir', directory])
  await eventually('the daemon is missed', () => watching.out.includes('no daemon answers'))
  const commands = { refresh: async () => [], reload: async () => ({ changed: [] }), rotateToken: async () => undefined, doctor: async () => [] }
  const at = { kind: 'unix', path: `${directory}/control.sock`, mode: 0o600 } as const
  const control = await listen(
    'control',
    at,
    createControlHandler(() => emptyReport, commands),
  )
  t.after(() => control.stop())
  await eventually('a report comes', () => watching.out.includes('"identities":['), 15_000)
  watching.child.kill('SIGINT')
  assert.deepEqual((await watching.ended).code, 0)
})
