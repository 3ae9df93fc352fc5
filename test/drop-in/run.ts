// Runs one of the two programs on one case, and observes it.
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, chownSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Agent, createAgent } from './agent.ts'
import type { Case, Places } from './case.ts'
import type { Serving } from './material.ts'
import { inodes, type Observation, observeChild, observeFiles, observeLog, processState } from './observe.ts'
import { forEverybody, type Program } from './programs.ts'

/** A program while it runs, for the steps of a case. */
export interface Run extends Places {
  readonly agent: Agent
  readonly pid: number
  /** Standard error so far. */
  readonly stderr: string
  /** What the child of `cmd` wrote down so far. */
  readonly child: { readonly lines: readonly string[]; readonly pids: readonly number[] }
  /** Waits until a line that matches was logged so many times. */
  logged(pattern: RegExp, times?: number): Promise<void>
  /** Waits for anything; not getting it is an observation too. */
  until(what: string, probe: () => unknown, timeoutMs?: number): Promise<void>
  signal(name: NodeJS.Signals): void
  /** Waits for the end of the program. */
  ended(timeoutMs?: number): Promise<void>
  readonly running: boolean
  /** Asks the health endpoint and notes the answer. */
  get(path: string, method?: string): Promise<string>
  note(what: string, value: string): void
}

const patienceMs = 8_000
let lastPort = 20_000 + (process.pid % 400) * 25

/** Places that nothing else uses. */
export function places(base: string, side: string): Places {
  const dir = join(base, side, 'inside')
  const etc = join(base, side, 'etc')
  mkdirSync(dir, { recursive: true })
  mkdirSync(etc)
  lastPort++
  return { dir, etc, socket: join(etc, 'agent.sock'), port: lastPort }
}

const filled = (text: string, { dir, etc, socket, port }: Places): string =>
  text.replaceAll('{dir}', dir).replaceAll('{etc}', etc).replaceAll('{socket}', socket).replaceAll('{port}', String(port))

/** The command line with all that has to happen before the program itself starts. */
function commandLine({ umask = '022', uid, before = '' }: Case, program: Program, where: Places): string[] {
  const { command } = uid === undefined ? program : forEverybody(program)
  const drop = uid === undefined ? '' : `setpriv --reuid=${uid} --regid=${uid} --clear-groups `
  const shell = ['/bin/sh', '-c', `umask ${umask}; ${filled(before, where)} exec ${drop}"$@"`, 'sh', ...command]
  return before === '' ? shell : ['unshare', '-m', '--propagation', 'private', ...shell]
}

function start(one: Case, program: Program, where: Places): ChildProcess {
  const { args = one.oneShot === true ? ['-config', '{etc}/helper.conf', '-daemon-mode=false'] : ['-config', '{etc}/helper.conf'], env = {} } = one
  const [command = '', ...rest] = [...commandLine(one, program, where), ...args.map((arg) => filled(arg, where))]
  const filledEnv = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, filled(value, where)]))
  return spawn(command, rest, {
    cwd: where.dir,
    env: { ...program.env, PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...filledEnv },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** Runs the program on the case, from empty folders to its end. */
export async function observe(program: Program, one: Case, serving: Serving, where: Places): Promise<Observation> {
  const { config } = one
  if (config !== undefined) writeFileSync(join(where.etc, 'helper.conf'), typeof config === 'string' ? filled(config, where) : config)
  copyFileSync(join(import.meta.dirname, 'child.pl'), join(where.etc, 'child'))
  chmodSync(join(where.etc, 'child'), 0o755)
  if (one.uid !== undefined) for (const folder of [where.dir, where.etc]) chownSync(folder, one.uid, one.uid)
  one.setup?.(where)
  const before = inodes(where.dir)
  const agent = createAgent(where.socket, serving)
  if (one.agent !== 'down') await agent.start()
  const release = await one.prepare?.(where)
  try {
    return await observeWith(agent, before, program, one, where)
  } finally {
    release?.()
    await agent.stop()
  }
}

async function observeWith(agent: Agent, before: ReadonlyMap<string, number>, program: Program, one: Case, where: Places): Promise<Observation> {
  const child = start(one, program, where)
  const begun = performance.now()
  const notes: [string, string][] = []
  let stdout = ''
  let stderr = ''
  let end: string | undefined
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const gone = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      end = signal ?? `code ${code}`
      resolve()
    })
  })
  const closed = new Promise((resolve) => child.once('close', resolve))
  const normal = normaliser(where, program, one.uid === undefined ? program : forEverybody(program))

  const run: Run = {
    ...where,
    agent,
    pid: child.pid ?? 0,
    get stderr() {
      return stderr
    },
    get child() {
      return observeChild(where.etc, normal)
    },
    get running() {
      return end === undefined
    },
    async logged(pattern, times = 1) {
      const global = new RegExp(pattern.source, 'g')
      await run.until(`logged ${pattern.source} ${times} times`, () => end !== undefined || [...stderr.matchAll(global)].length >= times)
    },
    async until(what, probe, timeoutMs = patienceMs) {
      const last = performance.now() + timeoutMs
      while (!(await probe())) {
        if (performance.now() > last) return run.note('waited in vain', what)
        await delay(5)
      }
    },
    signal: (name) => void child.kill(name),
    async ended(timeoutMs = patienceMs) {
      await Promise.race([gone, delay(timeoutMs, undefined, { ref: false })])
    },
    async get(path, method = 'GET') {
      const answer = await ask(where.port, path, method)
      run.note(`${method} ${path}`, normal(answer))
      return answer
    },
    note(what, value) {
      const number = notes.filter(([name]) => name === what || name.startsWith(`${what} #`)).length
      notes.push([number === 0 ? what : `${what} #${number + 1}`, value])
    },
  }

  try {
    if (one.steps !== undefined) await one.steps(run)
    else if (one.oneShot === true) await endOrComplaint(run)
    else await run.logged(/X\.509 certificates updated|Unable to dump bundle/)
    if (one.steps === undefined && run.running) run.signal('SIGTERM')
    await run.ended()
  } finally {
    if (run.running) child.kill('SIGKILL')
    const survivors = run.child.pids.filter((pid) => processState(pid) !== undefined)
    if (run.child.pids.length > 0) run.note('children at the end', String(survivors.length))
    writeFileSync(join(where.etc, 'stop'), '')
    for (const pid of survivors) if (processState(pid) === 'T') process.kill(pid, 'SIGKILL')
    // A child that was not stopped holds the pipes open.
    await Promise.race([closed, delay(2_000, undefined, { ref: false })])
  }
  if (process.env['SVIDECAR_DROP_IN_TIMES'] !== undefined) console.error(`${Math.round(performance.now() - begun)} ms: ${program.name}: ${one.name}`)
  const childFacts = run.child.lines.map((line, n): [string, string] => [`child ${n + 1}`, line])
  return {
    facts: new Map([
      ['end', end ?? 'killed by the test'],
      ['standard output', normal(stdout)],
      ...notes,
      ...childFacts,
      ...observeFiles(where.dir, before, normal),
    ]),
    log: collapsed(observeLog(stderr, normal), one.collapse === true),
  }
}

const complaint = /level=(?:error|warning) (?!msg=".*(?:daemon_mode is false|is deprecated))/

/** A one-shot run that has complained ends soon, or goes on trying. */
async function endOrComplaint(run: Run): Promise<void> {
  await run.until('it has ended or complained', () => !run.running || complaint.test(run.stderr))
  await run.ended(1_000)
  if (run.running) run.note('after its complaint', 'it goes on')
}

/** Equal lines once: how often something is tried again is a matter of time. */
const collapsed = (lines: readonly string[], collapse: boolean): readonly string[] => (collapse ? [...new Set(lines)] : lines)

function normaliser({ dir, etc, port }: Places, ...programs: readonly Program[]): (text: string) => string {
  const names = programs.flatMap(({ command }) => [command.join(' '), ...command.filter((word) => word.startsWith('/'))])
  return (text) => {
    let result = text.replaceAll(dir, '<dir>').replaceAll(etc, '<etc>').replaceAll(String(port), '<port>')
    for (const name of names) result = result.replaceAll(name, 'spiffe-helper')
    return result
  }
}

/** The whole answer of the health endpoint as one text. */
function ask(port: number, path: string, method: string): Promise<string> {
  return new Promise((resolve) => {
    const asking = request({ host: '127.0.0.1', port, path, method, agent: false, timeout: 2_000 }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.once('end', () => {
        const { 'content-type': type = '', 'content-length': length = '', allow = '', location = '' } = response.headers
        resolve(`${response.statusCode} ${type} ${length} ${allow} ${location} ${body}`.replaceAll(/ +/g, ' '))
      })
    })
    asking.once('timeout', () => asking.destroy(new Error('timed out')))
    asking.once('error', (error) => resolve('code' in error ? String(error.code) : error.message))
    asking.end()
  })
}
