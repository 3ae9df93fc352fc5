// The alert rules by promtool: they are clean, their unit tests pass, and these are sharp: a minute more or less of patience, or no patience, fails them.
import assert from 'node:assert/strict'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { groups } from '../../docs/alerts.ts'
import { folder, type Outcome, run } from './machine.ts'
import { assets, program } from './prometheus.ts'

const space = await folder('rules')
test.after(space.remove)

const alerts = groups.flatMap(({ rules }) => rules.filter(({ alert }) => alert !== undefined))

/** Runs the unit tests against other rules than the shipped ones. */
async function unitTests(change: (rules: string) => string): Promise<Outcome> {
  const copy = join(space.path, 'monitoring')
  await cp(assets, copy, { recursive: true })
  await writeFile(join(copy, 'rules.yaml'), change(await readFile(join(assets, 'rules.yaml'), 'utf8')))
  const files = ['credentials', 'identity-and-outlets', 'fleet'].map((name) => join(copy, `tests/${name}.yaml`))
  return run([program('promtool'), 'test', 'rules', ...files])
}

test('promtool finds nothing wrong with rules and scrape jobs', async () => {
  for (const args of [
    ['rules', '--lint=all', '--lint-fatal', 'rules.yaml'],
    ['config', 'prometheus.yaml'],
  ]) {
    const { status, stdout, stderr } = await run([program('promtool'), 'check', ...args], { cwd: assets })
    assert.equal(status, 0, stdout + stderr)
  }
})

test('the unit tests of the alerts pass', async () => {
  const { status, stdout, stderr } = await unitTests((rules) => rules)
  assert.equal(status, 0, stdout + stderr)
})

const minutes = (by: number) => (rules: string) => rules.replaceAll(/for: (\d+)m$/gm, (_, wait: string) => `for: ${Number(wait) + by}m`)
const mistakes: Readonly<Record<string, (rules: string) => string>> = { 'waits a minute longer': minutes(1), 'waits a minute less': minutes(-1) }
for (const [mistake, change] of Object.entries(mistakes))
  test(`an alert that ${mistake} does not pass its unit test`, async () => {
    const { status, stderr, stdout } = await unitTests(change)
    assert.notEqual(status, 0)
    for (const { alert, for: wait } of alerts) if (wait !== undefined) assert.match(stdout + stderr, new RegExp(`alertname: ${alert}, time`), alert)
  })

test('an alert that never fires does not pass its unit test', async () => {
  const { stderr, stdout } = await unitTests((rules) =>
    rules.replaceAll(/^( +- alert: .*\n(?: +#.*\n)* +expr:) (?:\|\n(?:^ {10}.*\n)+|.*\n)/gm, '$1 vector(1) > 2\n'),
  )
  for (const { alert } of alerts) assert.match(stdout + stderr, new RegExp(`alertname: ${alert}, time`), alert)
})
