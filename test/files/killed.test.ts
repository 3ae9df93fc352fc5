// Processes that are killed in the middle of a write: what is there is whole, and the next run clears the rest away.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createGenerations } from '../../src/files/generations.ts'
import { plainFiles } from '../../src/files/place.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { fastFolder, versionText } from './support.ts'

const source = (name: string): string => JSON.stringify(join(import.meta.dirname, `../../src/${name}.ts`))

const program = (directory: string): string => `
import { plainFiles } from ${source('files/place')}
import { createGenerations } from ${source('files/generations')}
import { systemClock } from ${source('core/clock')}
import { versionText } from ${JSON.stringify(join(import.meta.dirname, 'support.ts'))}
const directory = ${JSON.stringify(directory)}
const plain = plainFiles({})
const generations = createGenerations(directory + '/g', {}, systemClock)
for (let n = 1; ; n++) {
  const files = (start) => ['crt', 'key'].map((name) => ({ path: start + name, data: versionText(n), mode: 0o600 }))
  await Promise.all([plain.write(files(directory + '/')), generations.write(files(''))])
  if (n === 3) process.stdout.write('running')
}`

const versionOf = (data: Buffer): number => Number(data.subarray(0, 8).toString())

test('a process that is killed again and again leaves whole files, and what it left beside them is cleared away', async (t) => {
  const directory = fastFolder(t)
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program(directory)], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    await new Promise((resolve) => child.stdout.once('data', resolve))
    // Somewhere in a later write: which one is not known, and does not matter.
    for (let turn = 0; turn < round * 7; turn++) await new Promise(setImmediate)
    child.kill('SIGKILL')
    await ended
    for (const path of ['crt', 'key', 'g/crt', 'g/key']) {
      const data = readFileSync(join(directory, path))
      assert.ok(data.equals(versionText(versionOf(data))), `${path} after kill ${round}`)
    }
    const pair = ['crt', 'key'].map((name) => versionOf(readFileSync(join(directory, 'g/..data', name))))
    assert.equal(pair[0], pair[1], 'certificate and key belong together')
  }
  const clock = createFakeClock()
  const generations = createGenerations(join(directory, 'g'), {}, clock)
  const files = (start: string) => ['crt', 'key'].map((name) => ({ path: start + name, data: versionText(0), mode: 0o600 }))
  await plainFiles({}).write(files(`${directory}/`))
  await generations.write(files(''))
  await generations.sweep?.()
  await clock.advance(120_000)
  await generations.sweep?.()
  assert.deepEqual(readdirSync(directory).sort(), ['crt', 'g', 'key'])
  const rest = readdirSync(join(directory, 'g')).filter((name) => !/^\.\.2\S+Z-\w{12}$/.test(name))
  assert.deepEqual(rest.sort(), ['..data', 'crt', 'key'])
  assert.equal(readdirSync(join(directory, 'g')).length, 4, 'one generation')
})
