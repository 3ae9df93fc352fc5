// `reload: watch`: when the file is loaded again, and when it is not.
import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Config } from '../../src/config/config.ts'
import { start } from '../../src/core/run.ts'
import { versionOf, watchConfig } from '../../src/daemon/config-watch.ts'
import { createFakeClock } from '../support/fake-clock.ts'

async function watched(t: TestContext, reload: Config['reload'] = 'watch') {
  const directory = await mkdtemp(join(tmpdir(), 'config-watch-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'config.yaml')
  writeFileSync(path, 'one')
  const clock = createFakeClock()
  const state = { reload, reloads: 0, fail: false, loaded: await versionOf(path) }
  const daemon = {
    get config() {
      return { reload: state.reload } as Config
    },
    reload: async () => {
      state.reloads++
      state.loaded = await versionOf(path)
      if (state.fail) throw new Error('wrong')
      return { changed: [] }
    },
  }
  // Reading the file's facts takes real time, which the clock has to wait for.
  const looks = async (count: number) => {
    for (let n = 0; n < count; n++) {
      await clock.advance(1_000)
      await clock.hold(new Promise((resolve) => setTimeout(resolve, 20)))
      await clock.settle()
    }
  }
  const running = start(watchConfig(path, () => state.loaded, daemon, clock))
  t.after(() => running.stop())
  return { directory, path, state, looks, daemon }
}

test('a file that was written is loaded once, after it has stayed the same for two looks', async (t) => {
  const { path, state, looks } = await watched(t)
  await looks(5)
  assert.equal(state.reloads, 0)
  writeFileSync(path, 'two')
  await looks(1)
  assert.equal(state.reloads, 0, 'somebody may still be writing')
  await looks(1)
  assert.equal(state.reloads, 1)
  await looks(5)
  assert.equal(state.reloads, 1)
})

test('as long as somebody writes, nothing is loaded', async (t) => {
  const { path, state, looks } = await watched(t)
  for (let n = 0; n < 5; n++) {
    writeFileSync(path, 'x'.repeat(n))
    await looks(1)
  }
  assert.equal(state.reloads, 0)
  await looks(1)
  assert.equal(state.reloads, 1)
})

test("a ConfigMap's swap of links is seen, though name, size and time of the file are the same", async (t) => {
  const { directory, path, state, looks } = await watched(t)
  const time = new Date(2026, 0, 1)
  const lay = (name: string) => {
    mkdirSync(join(directory, name))
    writeFileSync(join(directory, name, 'config.yaml'), name)
    utimesSync(join(directory, name, 'config.yaml'), time, time)
    symlinkSync(name, join(directory, '..data.new'))
    renameSync(join(directory, '..data.new'), join(directory, '..data'))
  }
  lay('first')
  rmSync(path)
  symlinkSync('..data/config.yaml', path)
  await looks(3)
  assert.equal(state.reloads, 1)
  lay('other')
  await looks(2)
  assert.equal(state.reloads, 2)
})

test('a file that is gone changes nothing, and is loaded when it is there again', async (t) => {
  const { path, state, looks } = await watched(t)
  rmSync(path)
  await looks(3)
  assert.equal(state.reloads, 0)
  writeFileSync(path, 'back')
  await looks(2)
  assert.equal(state.reloads, 1)
})

test('a file that does not load is not tried again until it changes', async (t) => {
  const { path, state, looks } = await watched(t)
  state.fail = true
  writeFileSync(path, 'mistake')
  await looks(5)
  assert.equal(state.reloads, 1)
  writeFileSync(path, 'mended')
  await looks(2)
  assert.equal(state.reloads, 2)
})

test('a file that somebody had loaded by a signal or a command is not loaded once more', async (t) => {
  const { path, state, looks, daemon } = await watched(t)
  writeFileSync(path, 'two')
  await daemon.reload()
  await looks(5)
  assert.equal(state.reloads, 1)
  writeFileSync(path, 'three')
  await looks(2)
  assert.equal(state.reloads, 2)
})

test('only a configuration that asks for it is watched, and a reload may change that', async (t) => {
  const { path, state, looks } = await watched(t, 'signal')
  writeFileSync(path, 'two')
  await looks(4)
  assert.equal(state.reloads, 0)
  state.reload = 'watch'
  await looks(2)
  assert.equal(state.reloads, 1)
})
