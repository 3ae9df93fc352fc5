// What becomes of the child of `cmd`: signalled at a rotation, started again when it has ended, left at the end.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Case, compareAll, type Steps } from './case.ts'
import { childConfig, jwtEntry, x509Config } from './configs.ts'
import { jwtBundles, tokens, trustDomain, x509 } from './material.ts'
import { processState } from './observe.ts'
import type { Run } from './run.ts'

/** How often a child that writes a line into `runs` has begun. */
const runsIn = ({ dir }: Run): number => (existsSync(join(dir, 'runs')) ? readFileSync(join(dir, 'runs'), 'utf8').split('\n').length - 1 : 0)

const ready = (run: Run, times = 1): Promise<void> =>
  run.until(`the child is ready ${times} times`, () => run.child.lines.filter((line) => line === 'ready').length >= times)
const signalled = (run: Run, name: string, times = 1): Promise<void> =>
  run.until(`the child got ${name} ${times} times`, () => run.child.lines.filter((line) => line === `signal ${name}`).length >= times)

const first = 10
/** A new SVID, until the files have it. `numbers` are the same for both programs. */
const rotate = async (run: Run, nth: number): Promise<void> => {
  run.agent.serve({ x509: await x509({ number: first + nth }) })
  await run.logged(/X\.509 certificates updated|Unable to dump bundle/, nth + 1)
}
const killed = async (run: Run, signal: NodeJS.Signals): Promise<void> => {
  const pid = run.child.pids.at(-1) ?? 0
  process.kill(pid, signal)
  await run.until('the child has ended', () => processState(pid) === undefined)
  // The program has to notice it, too.
  await new Promise((resolve) => setTimeout(resolve, 100))
}
const twice =
  (signal: string): Steps =>
  async (run) => {
    await ready(run)
    await rotate(run, 1)
    await signalled(run, signal)
    await rotate(run, 2)
    await signalled(run, signal, 2)
    run.signal('SIGTERM')
  }

const lives: readonly Case[] = [
  { name: 'a rotation is signalled', config: `${childConfig}renew_signal = "SIGHUP"\n`, steps: twice('SIGHUP') },
  { name: 'a rotation is signalled as asked', config: `${childConfig}renew_signal = "SIGUSR2"\n`, steps: twice('SIGUSR2') },
  {
    name: 'without renew_signal nothing happens',
    config: childConfig,
    steps: async (run) => {
      await ready(run)
      await rotate(run, 1)
      await rotate(run, 2)
      await new Promise((resolve) => setTimeout(resolve, 150))
      run.signal('SIGTERM')
    },
  },
  {
    name: 'a child that was killed is started at the next rotation',
    config: `${childConfig}cmd_args = "a b"\nrenew_signal = "SIGHUP"\n`,
    steps: async (run) => {
      await ready(run)
      await killed(run, 'SIGKILL')
      await rotate(run, 1)
      await ready(run, 2)
      await rotate(run, 2)
      await signalled(run, 'SIGHUP')
      run.signal('SIGTERM')
    },
  },
  {
    name: 'a child that ended is started at the next rotation, without renew_signal too',
    config: childConfig,
    steps: async (run) => {
      await ready(run)
      writeFileSync(join(run.etc, 'stop'), '')
      await run.until('the child has ended', () => processState(run.child.pids[0] ?? 0) === undefined)
      await new Promise((resolve) => setTimeout(resolve, 100))
      rmSync(join(run.etc, 'stop'))
      await rotate(run, 1)
      await ready(run, 2)
      run.signal('SIGTERM')
    },
  },
  {
    name: 'a child that always fails is started at each rotation',
    config: `${x509Config}cmd = "/bin/sh"\ncmd_args = "-c ""echo x >> {dir}/runs; exit 3"""\nrenew_signal = "SIGHUP"\n`
      .replace('""echo', '\\"echo')
      .replace('3"""', '3\\""'),
    steps: async (run) => {
      for (let nth = 1; nth <= 3; nth++) {
        await run.logged(/X\.509 certificates updated/, nth)
        await run.until(`it has run ${nth} times`, () => runsIn(run) >= nth)
        await new Promise((resolve) => setTimeout(resolve, 150))
        if (nth < 3) await rotate(run, nth)
      }
      run.signal('SIGTERM')
    },
  },
  {
    name: 'a child that is stopped is signalled',
    config: `${childConfig}renew_signal = "SIGCONT"\n`,
    steps: async (run) => {
      await ready(run)
      process.kill(run.child.pids[0] ?? 0, 'SIGSTOP')
      await rotate(run, 1)
      await signalled(run, 'SIGCONT')
      run.signal('SIGTERM')
    },
  },
  {
    name: 'SIGKILL as a signal, and a new one at the next rotation',
    config: `${childConfig}renew_signal = "SIGKILL"\n`,
    steps: async (run) => {
      await ready(run)
      await rotate(run, 1)
      await run.until('the child has ended', () => processState(run.child.pids[0] ?? 0) === undefined)
      await new Promise((resolve) => setTimeout(resolve, 100))
      await rotate(run, 2)
      await ready(run, 2)
      run.signal('SIGTERM')
    },
  },
  {
    name: 'SIGSTOP as a signal',
    config: `${childConfig}renew_signal = "SIGSTOP"\n`,
    steps: async (run) => {
      await ready(run)
      await rotate(run, 1)
      await run.until('the child is stopped', () => processState(run.child.pids[0] ?? 0) === 'T')
      run.signal('SIGTERM')
    },
  },
  {
    name: 'a failed write signals nobody',
    config: `${childConfig}hint = "internal"\nrenew_signal = "SIGHUP"\n`,
    serve: async () => ({ x509: await x509({ hint: 'internal' }) }),
    steps: async (run) => {
      await ready(run)
      run.agent.serve({ x509: await x509({ number: 2, hint: 'else' }) })
      await run.logged(/Unable to dump bundle/)
      run.agent.serve({ x509: await x509({ number: 3, hint: 'internal' }) })
      await signalled(run, 'SIGHUP')
      run.signal('SIGTERM')
    },
  },
  {
    name: 'a failed first write starts nobody',
    config: `${childConfig}hint = "internal"\n`,
    steps: async (run) => {
      await run.logged(/Unable to dump bundle/)
      run.agent.serve({ x509: await x509({ number: 3, hint: 'internal' }) })
      await ready(run)
      run.signal('SIGTERM')
    },
  },
  {
    name: 'tokens and JWT bundles signal nobody',
    config: `${childConfig}renew_signal = "SIGHUP"\njwt_bundle_file_name = "bundle.json"\njwt_svids = [${jwtEntry('a', 'token')}]\n`,
    serve: async () => ({ jwt: tokens({ ttlSeconds: 6 }) }),
    unordered: true,
    steps: async (run) => {
      await ready(run)
      run.agent.serve({ jwtBundles: await jwtBundles(trustDomain, 'other.test') })
      await run.logged(/JWT bundle updated/, 2)
      await run.logged(/JWT SVID updated/, 2)
      run.signal('SIGTERM')
    },
  },
  {
    name: 'tokens alone start nobody',
    config: `agent_address = "{socket}"\ncmd = "{etc}/child"\njwt_svids = [${jwtEntry('a', 'token')}]\n`,
    steps: async (run) => {
      await run.logged(/JWT SVID updated/)
      await new Promise((resolve) => setTimeout(resolve, 150))
      run.signal('SIGTERM')
    },
  },
  {
    name: 'the agent comes back, and the child lives on',
    config: `${childConfig}renew_signal = "SIGHUP"\n`,
    collapse: true,
    steps: async (run) => {
      await ready(run)
      await run.agent.stop()
      run.agent.serve({ x509: await x509({ number: 4 }) })
      await run.agent.start()
      await signalled(run, 'SIGHUP')
      run.signal('SIGTERM')
    },
  },
  {
    name: 'SIGINT ends the daemon while the child runs',
    config: childConfig,
    steps: async (run) => {
      await ready(run)
      run.signal('SIGINT')
    },
  },
  {
    name: 'the child is killed and the daemon is stopped',
    config: childConfig,
    steps: async (run) => {
      await ready(run)
      await killed(run, 'SIGKILL')
      run.signal('SIGTERM')
    },
  },
]

compareAll('child-life', lives, 2)
