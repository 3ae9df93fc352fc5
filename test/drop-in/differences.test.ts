// The list of differences is what the documentation shows, and names what exists.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { differences, suiteNames, table } from './differences.ts'

test('docs/spiffe-helper.md has the table: paste what `node test/drop-in/differences.ts` prints', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/spiffe-helper.md'), 'utf8')
  assert.ok(page.includes(`\n${table()}\n`), table())
})

test('every entry has its own name, and belongs to files that are there', () => {
  const ids = differences.map(({ id }) => id)
  assert.deepEqual(
    ids.filter((id, n) => ids.indexOf(id) !== n),
    [],
  )
  const files = differences.map((one) => ('shownIn' in one ? one.shownIn : '')).filter((file) => file !== '')
  assert.deepEqual(
    [...files, ...suiteNames.map((name) => `${name}.test.ts`)].filter((file) => !existsSync(join(import.meta.dirname, file))),
    [],
  )
})
