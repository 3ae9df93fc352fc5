// What is said when a pid file came to nothing: after ten tries, which take the original about 51 seconds. All of them wait at the same time.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Case, compareAll, type Places } from './case.ts'
import { x509Config } from './configs.ts'
import type { Run } from './run.ts'

const config = `${x509Config}pid_file_name = "pid"\nrenew_signal = "SIGWINCH"\n`
const patienceMs = 60_000

const holding =
  (text: string) =>
  ({ dir }: Places): void =>
    writeFileSync(join(dir, 'pid'), text)

const untilSaid = async (run: Run): Promise<void> => {
  await run.until('it gives up', () => /Unable to signal PID file/.test(run.stderr), patienceMs)
  run.signal('SIGTERM')
}

const cases: readonly Case[] = [
  { name: 'the pid file never comes', config },
  { name: 'the pid file is a folder', config, setup: ({ dir }: Places) => mkdirSync(join(dir, 'pid')) },
  { name: 'the pid file is empty', config, setup: holding('') },
  { name: 'the pid file has a word', config, setup: holding('"pid"\n') },
  { name: 'the pid file has a number that is too big', config, setup: holding('18446744073709551617') },
  { name: 'the pid file names nobody', config, setup: holding('2147483647') },
  // The original's library refuses these two, and no other number below 2.
  { name: 'the pid file has a number below 2: 0', config, setup: holding('0') },
  { name: 'the pid file has a number below 2: -1', config, setup: holding('-1') },
  { name: 'the pid file names somebody who may not be signalled', config, uid: 65_534, setup: holding('2') },
  { name: 'the pid file cannot be read', config, uid: 65_534, before: 'chmod 000 {dir}/pid;', setup: holding('2') },
  { name: 'the signal has a wrong name', config: config.replace('SIGWINCH', 'WINCH'), setup: holding('2147483647') },
].map((one) => ({ ...one, steps: untilSaid }))

compareAll('pid-file-end', cases, cases.length)
