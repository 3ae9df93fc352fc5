// Children and signals, where the original hurts: nobody is left behind, nobody else is hit, mistakes are told at the start.
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { better } from './better.ts'
import { childConfig, x509Config } from './configs.ts'
import { processState } from './observe.ts'
import type { Run } from './run.ts'

const prompt = async (run: Run): Promise<void> => {
  run.signal('SIGTERM')
  await run.ended(1_000)
  run.note('it ends', run.running ? 'later' : 'at once')
  run.signal('SIGKILL')
}

/** SIGWINCH hurts nobody who gets it by mistake. */
const pidConfig = `${x509Config}pid_file_name = "pid"\nrenew_signal = "SIGWINCH"\n`

/** A process group of its own, whose only member writes down what it gets. */
async function groupHit(run: Run): Promise<void> {
  const home = join(run.etc, 'target')
  mkdirSync(home)
  writeFileSync(join(home, 'child'), readFileSync(join(run.etc, 'child')))
  chmodSync(join(home, 'child'), 0o755)
  const target = spawn(join(home, 'child'), { stdio: 'ignore', detached: true })
  const log = () => (existsSync(join(home, 'child.log')) ? readFileSync(join(home, 'child.log'), 'utf8') : '')
  try {
    await run.until('the target is ready', () => log().includes('\nready\n'))
    writeFileSync(join(run.dir, 'pid'), `-${target.pid}`)
    await run.logged(/X\.509 certificates updated/)
    await delay(600)
    run.note('the group', log().includes('signal SIGWINCH') ? 'is hit' : 'is left alone')
  } finally {
    rmSync(join(run.dir, 'pid'))
    target.kill('SIGKILL')
    run.signal('SIGKILL')
  }
}

const warned = async (run: Run): Promise<void> => {
  await run.logged(/Watching for X509 Context/)
  await delay(200)
  run.note('before the first write it', /level=warning/.test(run.stderr) ? 'warns' : 'says nothing')
  run.signal('SIGTERM')
}
const silent = async () => ({ x509: 'silent' as const })

describe('children', { concurrency: 4 }, () => {
  better(
    {
      name: 'the child of cmd is stopped with the daemon',
      config: childConfig,
      steps: async (run) => {
        await run.until('the child is ready', () => run.child.lines.includes('ready'))
        run.signal('SIGTERM')
        await run.ended()
        await delay(200)
        run.note('the child', processState(run.child.pids[0] ?? 0) === undefined ? 'has ended' : 'is left')
      },
    },
    { original: { 'the child': 'is left' }, ours: { 'the child': 'has ended', end: 'code 0' } },
  )
  better(
    {
      name: 'SIGTERM is obeyed while a pid file is waited for',
      config: pidConfig,
      steps: async (run) => {
        await run.logged(/X\.509 certificates updated/)
        await delay(2_000)
        await prompt(run)
      },
    },
    { original: { 'it ends': 'later' }, ours: { 'it ends': 'at once', end: 'code 0' } },
  )
  better(
    { name: 'a pid file cannot hit a process group', config: pidConfig, steps: groupHit },
    { original: { 'the group': 'is hit' }, ours: { 'the group': 'is left alone' } },
  )
  better(
    {
      name: 'a pid file cannot hit the first process',
      config: pidConfig,
      setup: ({ dir }) => writeFileSync(join(dir, 'pid'), '1\n'),
      steps: async (run) => {
        await run.logged(/X\.509 certificates updated/)
        await delay(1_000)
        run.note('it', /pid/i.test(run.stderr.split('certificates updated')[1] ?? '') ? 'refuses' : 'says nothing')
        await prompt(run)
      },
    },
    { original: { it: 'says nothing' }, ours: { it: 'refuses' } },
  )
  better(
    { name: 'a wrong signal name is told at the start', config: `${childConfig}renew_signal = "HUP"\n`, serve: silent, steps: warned },
    { original: { 'before the first write it': 'says nothing' }, ours: { 'before the first write it': 'warns' } },
  )
  better(
    { name: 'wrong arguments are told at the start', config: `${childConfig}cmd_args = "a \\"b"\n`, serve: silent, steps: warned },
    { original: { 'before the first write it': 'says nothing' }, ours: { 'before the first write it': 'warns' } },
  )
})
