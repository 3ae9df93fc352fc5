// The pid file: what may be in it, when it may come, and who gets the signal.
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Case, compareAll, type Places } from './case.ts'
import { childConfig, x509Config } from './configs.ts'
import { x509 } from './material.ts'
import type { Run } from './run.ts'

const config = `${x509Config}pid_file_name = "pid"\nrenew_signal = "SIGHUP"\n`
const atOnce = 100
/** Past the first tries, which are at 0, 0.1, 0.3 and 0.7 s. */
const later = 450

/** A process in {etc}/target that writes down its signals. */
async function withTarget(run: Run, play: (pid: number, got: (times: number) => Promise<void>) => Promise<void>): Promise<void> {
  const home = join(run.etc, 'target')
  mkdirSync(home)
  const script = join(home, 'child')
  writeFileSync(script, readFileSync(join(run.etc, 'child')))
  chmodSync(script, 0o755)
  const target = spawn(script, { stdio: 'ignore' })
  const log = () => (existsSync(join(home, 'child.log')) ? readFileSync(join(home, 'child.log'), 'utf8').split('\n') : [])
  try {
    await run.until('the target is ready', () => log().includes('ready'))
    await play(target.pid ?? 0, (times) =>
      run.until(`the target has got ${times} signals`, () => log().filter((line) => line.startsWith('signal')).length >= times, 3_000),
    )
    await delay(50)
    run.note(
      'the target got',
      log()
        .filter((line) => line.startsWith('signal'))
        .join(', '),
    )
  } finally {
    // Its number would be a difference.
    for (const name of ['pid', 'real']) rmSync(join(run.dir, name), { recursive: true, force: true })
    target.kill('SIGKILL')
  }
}

/** The contents with which the first try succeeds, and those with which none does. {pid} is the target's. */
const good: Readonly<Record<string, string>> = {
  'a number': '{pid}',
  'a number and a newline': '{pid}\n',
  'spaces around it': ' \t{pid} \r\n\n',
  'a form feed and a vertical tab': '\f\v{pid}',
  'a no-break space': '\u00a0{pid}\u2003',
  'a plus sign': '+{pid}',
  'zeros before it': '00000{pid}',
}
const bad: Readonly<Record<string, string>> = {
  nothing: '',
  'a newline': '\n',
  'two numbers': '{pid} {pid}',
  'two lines': '{pid}\n{pid}\n',
  'a word': 'pid',
  'a hexadecimal number': '0x10',
  'an octal number': '0o10',
  'a fraction': '{pid}.0',
  'an exponent': '1e3',
  'an underscore': '1_000',
  'a comment': '{pid} # mine',
  'a NUL after it': '{pid}\0',
  'a NUL before it': '\0{pid}',
  'a space after the sign': '+ {pid}',
  'two signs': '++{pid}',
  'a byte order mark': '\ufeff{pid}',
  'a number beyond 32 bits': '4294967297',
  'a number beyond 64 bits': '18446744073709551617',
  'a number of nobody': '2147483647',
  'digits of another script': '١٢٣',
}

const contents = [...Object.entries(good), ...Object.entries(bad)].map(
  ([name, text]): Case => ({
    name: `the pid file has ${name}`,
    config,
    steps: (run) =>
      withTarget(run, async (pid, got) => {
        // The program is running, and trying, for as long as the file is not there.
        writeFileSync(join(run.dir, 'new'), text.replaceAll('{pid}', String(pid)))
        renameSync(join(run.dir, 'new'), join(run.dir, 'pid'))
        await run.logged(/X\.509 certificates updated/)
        await (name in good ? got(1) : delay(later))
        run.signal(name in good ? 'SIGTERM' : 'SIGKILL')
      }),
  }),
)

const afterwards = async (run: Run, change: (pid: number) => void): Promise<void> =>
  withTarget(run, async (pid) => {
    await run.logged(/X\.509 certificates updated/)
    await delay(atOnce)
    change(pid)
    await delay(later + 300)
    run.signal('SIGKILL')
  })

const more: readonly Case[] = [
  { name: 'it comes after the first try', config, steps: (run) => afterwards(run, (pid) => writeFileSync(join(run.dir, 'pid'), String(pid))) },
  {
    name: 'it is right after the first try',
    config,
    setup: ({ dir }: Places) => writeFileSync(join(dir, 'pid'), 'x'),
    steps: (run) => afterwards(run, (pid) => writeFileSync(join(run.dir, 'pid'), String(pid))),
  },
  { name: 'it is in a folder', config, setup: ({ dir }: Places) => mkdirSync(join(dir, 'pid')), steps: (run) => afterwards(run, () => {}) },
  {
    name: 'it is a link',
    config,
    steps: (run) =>
      withTarget(run, async (pid, got) => {
        writeFileSync(join(run.dir, 'real'), String(pid))
        symlinkSync('real', join(run.dir, 'pid'))
        await run.logged(/X\.509 certificates updated/)
        await got(1)
        run.signal('SIGTERM')
      }),
  },
  {
    name: 'it is not looked for in cert_dir',
    config: `${config}cert_dir = "sub"\n`,
    setup: ({ dir }: Places) => mkdirSync(join(dir, 'sub')),
    steps: (run) =>
      withTarget(run, async (pid, got) => {
        writeFileSync(join(run.dir, 'pid'), String(pid))
        await run.logged(/X\.509 certificates updated/)
        await got(1)
        run.signal('SIGTERM')
      }),
  },
  {
    name: 'it is read again at each rotation',
    config,
    steps: (run) =>
      withTarget(run, async (pid, got) => {
        writeFileSync(join(run.dir, 'pid'), String(pid))
        await run.logged(/X\.509 certificates updated/)
        await got(1)
        run.agent.serve({ x509: await x509({ number: 2 }) })
        await run.logged(/X\.509 certificates updated/, 2)
        await got(2)
        run.signal('SIGTERM')
      }),
  },
  {
    name: 'a child is started, and the pid file signalled',
    config: `${childConfig}pid_file_name = "pid"\nrenew_signal = "SIGHUP"\n`,
    steps: (run) =>
      withTarget(run, async (pid, got) => {
        writeFileSync(join(run.dir, 'pid'), String(pid))
        await run.until('the child is ready', () => run.child.lines.includes('ready'))
        await got(1)
        run.agent.serve({ x509: await x509({ number: 2 }) })
        await run.until('the child is signalled', () => run.child.lines.includes('signal SIGHUP'))
        await got(2)
        run.signal('SIGTERM')
      }),
  },
  {
    name: 'the target belongs to another user',
    config,
    uid: 65_534,
    steps: (run) =>
      withTarget(run, async (pid) => {
        writeFileSync(join(run.dir, 'pid'), String(pid))
        await run.logged(/X\.509 certificates updated/)
        await delay(later)
        run.signal('SIGKILL')
      }),
  },
  {
    name: 'a failed write signals nobody',
    config: `${config}hint = "internal"\n`,
    steps: (run) =>
      withTarget(run, async (pid) => {
        writeFileSync(join(run.dir, 'pid'), String(pid))
        await run.logged(/Unable to dump bundle/)
        await delay(atOnce)
        run.signal('SIGTERM')
      }),
  },
  {
    name: 'a wrong signal name',
    config: config.replace('SIGHUP', 'HUP'),
    steps: (run) =>
      withTarget(run, async (pid) => {
        writeFileSync(join(run.dir, 'pid'), String(pid))
        await run.logged(/X\.509 certificates updated/)
        await delay(later)
        run.signal('SIGKILL')
      }),
  },
]

compareAll('pid-file', [...contents, ...more], 4)
