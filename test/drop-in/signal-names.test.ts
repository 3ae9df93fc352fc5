// Every name of a signal, right and wrong, for the child of `cmd` and for the process of a pid file.
import { constants } from 'node:os'
import { type Case, compareAll } from './case.ts'
import { childConfig } from './configs.ts'
import { x509 } from './material.ts'
import { processState } from './observe.ts'
import type { Run } from './run.ts'

// biome-ignore format: a table
const right = [
  'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGKILL', 'SIGUSR1', 'SIGSEGV', 'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGTERM', 'SIGSTKFLT',
  'SIGCHLD', 'SIGCONT', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGURG', 'SIGXCPU', 'SIGXFSZ', 'SIGVTALRM', 'SIGPROF', 'SIGWINCH', 'SIGIO', 'SIGPWR', 'SIGSYS',
]
// biome-ignore format: a table
const wrong = [
  'HUP', 'sighup', 'Sighup', 'SIGhup', ' SIGHUP', 'SIGHUP ', 'SIG_HUP', 'SIGIOT', 'SIGPOLL', 'SIGCLD', 'SIGUNUSED', 'SIGRTMIN', 'SIGRTMIN+1', 'SIGRTMAX', 'SIGEMT', 'SIGINFO', 'SIGLOST',
  'SIGBREAK', 'SIG', 'SIGFOO', '1', '15', '0', '-1', 'SIGHUP,SIGUSR1', 'SIGZERO', 'SIG1', 'constructor', 'toString', '__proto__',
]
const known = Object.keys(constants.signals)

const rotateAndSee = async (run: Run): Promise<void> => {
  await run.until('the child is ready', () => run.child.lines.includes('ready'))
  const [pid = 0] = run.child.pids
  run.agent.serve({ x509: await x509({ number: 2 }) })
  await run.logged(/X\.509 certificates updated/, 2)
  await run.until(
    'something has happened',
    () => run.child.lines.some((line) => line.startsWith('signal')) || (processState(pid) ?? 'T') === 'T' || run.stderr.includes('Unable to signal'),
  )
  // It writes down what it got, and then obeys.
  if (run.child.lines.includes('signal SIGTERM')) await run.until('the child has ended', () => processState(pid) === undefined)
  run.note('the child', (processState(pid) ?? 'has ended').replaceAll(/[RS]/g, 'lives'))
  run.signal('SIGTERM')
}

const cases = [...new Set([...right, ...wrong, ...known])].map(
  (name): Case => ({ name: `renew_signal = "${name}"`, config: `${childConfig}renew_signal = "${name}"\n`, steps: rotateAndSee }),
)

compareAll('signal-names', cases, 4)
