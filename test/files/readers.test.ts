// Readers that never rest, over hundreds of replacements: no empty file, no half of one, no two versions side by side.
import assert from 'node:assert/strict'
import { linkSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import { createGenerations } from '../../src/files/generations.ts'
import { plainFiles } from '../../src/files/place.ts'
import { fastFolder, startReader, versionText } from './support.ts'

const rounds = 200

test('plain files: a reader sees a whole version each time it opens one', async (t) => {
  const directory = fastFolder(t)
  const paths = [join(directory, 'svid.pem'), join(directory, 'key.pem')]
  const place = plainFiles({})
  const write = (version: number) => place.write(paths.map((path) => ({ path, data: versionText(version), mode: 0o600 })))
  await write(0)
  const reader = await startReader(t, { kind: 'plain', paths })
  for (let version = 1; version <= rounds; version++) await write(version)
  const { reads, versions, wrong } = await reader.stop()
  assert.deepEqual(wrong, [])
  assert.ok(reads > 50 && versions > 10, `${reads} reads of ${versions} versions`)
})

test('generations: who opens ..data once has certificate, key and combined of one version, and names are never without a file', async (t) => {
  const directory = fastFolder(t)
  const names = ['tls.crt', 'tls.key', 'all.pem']
  const place = createGenerations(directory, {}, systemClock)
  const write = async (version: number) => {
    await place.write(names.map((path) => ({ path, data: versionText(version), mode: 0o600 })))
    await place.sweep?.()
  }
  await write(0)
  const reader = await startReader(t, { kind: 'generation', paths: [directory, ...names] })
  for (let version = 1; version <= rounds; version++) await write(version)
  const { reads, versions, wrong } = await reader.stop()
  assert.deepEqual(wrong, [])
  assert.ok(reads > 50 && versions > 10, `${reads} reads of ${versions} versions`)
})

test('a file with a second name is written in place: longer or shorter, it is never empty nor cut short', async (t) => {
  const directory = fastFolder(t)
  const [path, other] = [join(directory, 'svid.pem'), join(directory, 'other.pem')]
  const place = plainFiles({})
  writeFileSync(path, versionText(0))
  linkSync(path, other)
  const reader = await startReader(t, { kind: 'in place', paths: [other] })
  for (let version = 1; version <= rounds; version++) await place.write([{ path, data: versionText(version), mode: 0o600 }])
  await reader.progress()
  const { wrong, versions } = await reader.stop()
  assert.deepEqual(wrong, [])
  assert.ok(versions > 10)
  assert.deepEqual(readFileSync(other), versionText(rounds))
})
