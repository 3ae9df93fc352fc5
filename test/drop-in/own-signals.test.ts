// What the program itself does when it gets a signal: in each mode, while it works, while it waits.
import { readFileSync } from 'node:fs'
import { type Case, compareAll, type Steps } from './case.ts'
import { jwtBundleConfig, jwtConfig, jwtEntry, x509Config } from './configs.ts'
import { x509 } from './material.ts'
import type { Run } from './run.ts'

const signals: readonly NodeJS.Signals[] = [
  'SIGTERM',
  'SIGINT',
  'SIGHUP',
  'SIGUSR1',
  'SIGUSR2',
  'SIGQUIT',
  'SIGPIPE',
  'SIGALRM',
  'SIGCHLD',
  'SIGCONT',
  'SIGWINCH',
  'SIGTSTP',
  'SIGURG',
  'SIGABRT',
  'SIGIO',
]

/** How long a program that ends of a signal may take, on a busy machine; for the others, a moment. */
const momentFor = (signal: NodeJS.Signals): number => (/^SIG(?:TERM|INT|HUP|QUIT|ABRT)$/.test(signal) ? 2_000 : 200)

/** Whether anybody listens on a port: Node.js opens its inspector on a signal. */
const listens = (port: number): boolean => new RegExp(`:${port.toString(16).toUpperCase()} 0+:0000 0A`).test(readFileSync('/proc/net/tcp', 'utf8'))

/** After a signal the program works, or it does not. */
const seen =
  (signal: NodeJS.Signals): Steps =>
  async (run) => {
    await run.logged(/X\.509 certificates updated/)
    run.signal(signal)
    await run.ended(momentFor(signal))
    if (signal === 'SIGTSTP') run.signal('SIGCONT')
    run.note('inspector', listens(9229) ? 'it listens' : 'none')
    if (run.running) {
      run.note('afterwards', 'it is running')
      run.agent.serve({ x509: await x509({ number: 2 }) })
      await run.logged(/X\.509 certificates updated/, 2)
      run.signal('SIGTERM')
    }
    await run.ended()
  }

/** Stops a program while it waits for something that does not come. */
const whileWaiting =
  (signal: NodeJS.Signals, pattern: RegExp): Steps =>
  async (run: Run) => {
    await run.logged(pattern)
    await run.until('it is waiting', () => run.agent.watchers > 0 || run.agent.asked.length > 0 || run.stderr.includes('Error while'))
    run.signal(signal)
    await run.ended(momentFor(signal))
    run.note('afterwards', run.running ? 'it is running' : 'it has ended')
    if (run.running) run.signal('SIGTERM')
  }

const silent = async () => ({ x509: 'silent' as const, jwtBundles: 'silent' as const, jwt: () => new Promise<never>(() => {}) })

const cases: readonly Case[] = [
  ...signals.map((signal): Case => ({ name: `a daemon gets ${signal}`, config: x509Config, steps: seen(signal) })),
  ...(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const).flatMap((signal): Case[] => [
    {
      name: `a daemon gets ${signal} before the agent has answered`,
      config: x509Config,
      serve: silent,
      steps: whileWaiting(signal, /Watching for X509 Context/),
    },
    {
      name: `a daemon gets ${signal} while it waits for JWT bundles`,
      config: jwtConfig(jwtEntry('a', 'token')),
      serve: silent,
      steps: whileWaiting(signal, /Launching daemon/),
    },
    {
      name: `a one-shot gets ${signal} before the agent has answered`,
      config: x509Config,
      oneShot: true,
      serve: silent,
      steps: whileWaiting(signal, /Daemon mode disabled/),
    },
    {
      name: `a one-shot gets ${signal} while it waits for a JWT bundle`,
      config: jwtBundleConfig,
      oneShot: true,
      serve: silent,
      steps: whileWaiting(signal, /Daemon mode disabled/),
    },
    {
      name: `a one-shot for tokens gets ${signal} before the agent has answered`,
      config: jwtConfig(jwtEntry('a', 'token')),
      oneShot: true,
      serve: silent,
      steps: whileWaiting(signal, /Daemon mode disabled/),
    },
  ]),
  { name: 'a daemon without an agent gets SIGTERM', config: x509Config, agent: 'down', collapse: true, steps: whileWaiting('SIGTERM', /Error while watching/) },
  { name: 'a daemon without an agent gets SIGINT', config: x509Config, agent: 'down', collapse: true, steps: whileWaiting('SIGINT', /Error while watching/) },
  {
    name: 'SIGTERM twice',
    config: x509Config,
    steps: async (run) => {
      await run.logged(/X\.509 certificates updated/)
      run.signal('SIGTERM')
      run.signal('SIGTERM')
    },
  },
  {
    name: 'SIGUSR1 many times',
    config: x509Config,
    steps: async (run) => {
      await run.logged(/X\.509 certificates updated/)
      for (let n = 0; n < 20; n++) {
        run.signal(n % 2 === 0 ? 'SIGUSR1' : 'SIGUSR2')
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      run.signal('SIGTERM')
    },
  },
]

compareAll('own-signals', cases, 2)
