// What /metrics says of a daemon that has worked is clean for Prometheus's own linter, and holds no secret.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { endpoints, openHouse, profileNames, runCommand, worldOf } from '../sdk/support.ts'
import { eventually } from '../support/eventually.ts'
import { run } from './machine.ts'
import { program } from './prometheus.ts'

test('the metrics of a daemon that has served, refused and renewed pass promtool, and no secret is among them', async (t) => {
  const house = await openHouse(worldOf(3600))
  t.after(house.stop)
  const secrets = new Set<string>()
  const serve = async () => {
    for (const endpoint of endpoints)
      for (const profile of profileNames) {
        const { body } = await eventually('credentials', async () => {
          const answer = await house.read(endpoint, profile)
          return answer.status === 200 ? answer : undefined
        })
        const { SecretAccessKey, Token } = JSON.parse(body) as { SecretAccessKey: string; Token: string }
        secrets.add(SecretAccessKey).add(Token)
      }
  }
  await serve()
  await house.world.aws.closeIssuing()
  assert.equal((await runCommand(['refresh', '--runtime-dir', house.runtimeDirectory])).status, 1)
  await house.world.aws.openIssuing()
  await eventually('a renewal', async () => {
    const { status } = await runCommand(['refresh', '--runtime-dir', house.runtimeDirectory])
    return status === 0
  })
  await serve()
  const address = (listener: string) => `http://${house.daemon.listeners.get(listener)?.address}`
  assert.equal((await fetch(`${address('container')}/v1/credentials`)).status, 401)
  assert.equal((await fetch(`${address('imds app')}/latest/meta-data/`)).status, 401)
  for (const profile of profileNames) secrets.add(await readFile(join(house.runtimeDirectory, `${profile}.token`), 'utf8'))
  for (const { body } of house.world.aws.requests) {
    const token = new URLSearchParams(body).get('WebIdentityToken')
    if (token !== null) secrets.add(token)
  }
  // Of two profiles before and after the renewal: key and session token; a token for each consumer; a JWT-SVID.
  assert.ok(secrets.size >= 2 * 2 * 2 + 2 + 1, `${secrets.size} secrets`)

  const metrics = await (await fetch(`${address('metrics')}/metrics`)).text()
  for (const name of ['exchange_success_total', 'exchange_failures_total', 'served_requests_total'])
    assert.match(metrics, new RegExp(`^svidecar_${name}\\{.*\\} [1-9]`, 'm'))
  for (const secret of secrets) {
    assert.ok(secret.length > 20)
    assert.ok(!metrics.includes(secret), 'a secret is in the metrics')
    assert.ok(!house.log.join('').includes(secret), 'a secret is in the log')
  }

  const { status, stdout, stderr } = await run([program('promtool'), 'check', 'metrics'], { input: metrics })
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' })
})
