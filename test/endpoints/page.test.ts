// The status page as bytes: its policy allows what stands in it and nothing else, and no data gets out of its block.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { statusPage } from '../../src/endpoints/page.ts'
import { createHealth } from '../../src/telemetry/health.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { emptyReport } from './reports.ts'

test('the policy names the page’s own script and style, and nothing that is not in the page', () => {
  const { headers, body } = statusPage(emptyReport)
  const policy = headers?.['content-security-policy'] ?? ''
  for (const tag of ['script', 'style']) {
    const [, text = ''] = new RegExp(`<${tag}>(.*?)</${tag}>`, 's').exec(String(body)) ?? []
    assert.ok(text.length > 1_000)
    assert.ok(policy.includes(`${tag}-src 'sha256-${createHash('sha256').update(text).digest('base64')}'`), policy)
  }
  assert.match(policy, /^default-src 'none'; /)
  assert.doesNotMatch(policy, /unsafe|\*|http/)
  assert.doesNotMatch(String(body), /https?:\/\/|src=|\son\w+=|style=/)
})

test('no name and no message can end the block that the data stand in', () => {
  const hostile = '</script><script>alert(1)</script><!--<script>'
  const body = String(statusPage({ ...emptyReport, version: hostile, missing: [hostile] }).body)
  const [, data = ''] = /<script type="application\/json" id="report">(.*?)<\/script>/s.exec(body) ?? []
  assert.equal((JSON.parse(data) as { version: string }).version, hostile)
  assert.equal(body.match(/<script/g)?.length, 2)
})

test('the report has the newest events, but neither reads and refusals, nor what commands print, nor what only debugging needs', () => {
  const clock = createFakeClock()
  const { listener, status } = createHealth(clock)
  for (let n = 0; n < 60; n++) listener({ type: 'daemon.stopping', reason: String(n) })
  listener({ type: 'hook.said', hook: 'h', line: 'a secret' })
  listener({ type: 'served', endpoint: 'container', consumer: 'a', profile: 'a', accessKeyId: 'A', status: 200, seconds: 0 })
  listener({ type: 'credentials.stale', profile: 'a' })
  listener({ type: 'listener.refused', listener: 'container', status: 401, reason: 'a neighbour knocks' })
  const { events } = status()
  assert.equal(events.length, 50)
  assert.deepEqual(events[0], { time: new Date(clock.now()).toISOString(), level: 'info', message: 'stopping: 59' })
})
