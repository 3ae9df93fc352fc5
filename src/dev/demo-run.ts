// The demo itself: starts the world, the daemon and its clients, tells what happens, and leaves nothing behind.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../core/clock.ts'
import { errorText } from '../core/errors.ts'
import type { StatusReport } from '../core/health.ts'
import type { DemoOptions } from './demo-arguments.ts'
import type { Call } from './demo-client.ts'
import { daemonBundle, type ProfileName, profileNames, startDaemon } from './demo-daemon.ts'
import { startChild, startGuard } from './demo-process.ts'
import { render } from './demo-screen.ts'
import { createStory, type Story } from './demo-story.ts'
import { startSwitches } from './demo-switches.ts'
import { isScreen, openTerminal, readKeys } from './demo-terminal.ts'
import { banner, entryLine, objections, shellLines, tallies } from './demo-words.ts'
import { startWorld } from './world.ts'

const frameMs = 500

/** Runs the demo until its time is over or somebody ends it. Returns the exit status. Throws what keeps it from starting. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const bundle = daemonBundle()
  const print = (line: string) => void process.stdout.write(`${line}\n`)
  const plain = !isScreen()
  if (plain) for (const line of ['svidecar demo', ...banner]) print(line)
  const story = createStory(Date.now, (entry) => plain && print(entryLine(entry)))
  const ending = await perform(options, story, bundle, plain ? print : undefined)
  const against = [...(ending === 'time' || ending === 'person' ? [] : [ending]), ...objections(story)]
  if (ending === 'person' && options.forMs !== undefined) against.unshift('it was ended before its time')
  print(`svidecar demo: ${tallies(story)}`)
  // Whoever watches and takes things away makes calls fail: that is no failure of the demo.
  if (against.length === 0 || (ending === 'person' && options.forMs === undefined)) return 0
  print(`svidecar demo: failed: ${against.join('; ')}.`)
  return 1
}

/** Everything between the first process and the last. Resolves with who ended it, or with what broke. */
async function perform(options: DemoOptions, story: Story, bundle: string, print: ((line: string) => void) | undefined): Promise<string> {
  await using stack = new AsyncDisposableStack()
  const { over, finish } = endings(options)

  const folder = await mkdtemp(join(tmpdir(), 'svidecar-demo-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const { svidSeconds, sessionSeconds } = options
  const lifetimes = { x509TtlSeconds: svidSeconds, jwtTtlSeconds: svidSeconds, sessionSeconds }
  const world = await startWorld({ directory: folder, clock: systemClock, ...lifetimes })
  const switches = startSwitches(world, lifetimes, story)
  stack.defer(() => switches.stop())

  const daemon = startDaemon(bundle, world, folder, (line) => over.signal.aborted || story.logged(line))
  stack.defer(startGuard(daemon.pid, folder))
  stack.defer(() => daemon.stop())
  void daemon.ended.then((how) => finish(`the daemon has ended, with ${how}`))

  let status: StatusReport | undefined
  let paste: readonly string[] = []
  const startedAt = Date.now()
  const terminal = print === undefined ? openTerminal(() => draw()) : undefined
  const draw = () => terminal?.draw(render({ now: Date.now(), startedAt, options, story, status, paste, folder, keys }, terminal.columns, terminal.rows))
  const keys = readKeys((key) => {
    if (key === 'q' || key === '\x03') finish('person')
    else if (key === 'a' || key === 'i') switches.turn(key === 'a' ? 'agent' : 'AWS').then(draw, (error) => finish(errorText(error)))
  })
  stack.defer(() => terminal?.close())

  async function startClient(name: ProfileName): Promise<Readonly<Record<string, string>>> {
    const env = { ...(await daemon.environment(name)), AWS_ENDPOINT_URL: world.aws.checkingUrl }
    const client = startChild({
      command: [process.argv[1] ?? '', 'client'],
      env: { ...env, HOME: folder, PATH: process.env['PATH'] ?? '' },
      tells: 'stdout',
      told: (call) => over.signal.aborted || story.called(name, call as unknown as Call),
    })
    stack.defer(() => client.stop())
    void client.ended.then((how) => finish(`the client of ${name} has ended, with ${how}`))
    return env
  }

  draw()
  while (!over.signal.aborted) {
    status = await daemon.status().catch(() => status)
    if (story.ready && paste.length === 0) {
      const [mine] = await Promise.all(profileNames.map(startClient))
      paste = shellLines(mine ?? {})
      await writeFile(join(folder, 'env'), `${paste.join('\n')}\n`)
      for (const line of ['', 'To be one more client, paste this into another shell:', ...paste.map((one) => `  ${one}`), '']) print?.(line)
    }
    draw()
    await delay(frameMs, undefined, { signal: over.signal }).catch(() => {})
  }
  return String(over.signal.reason)
}

/** Ends the demo by the first of: a signal, a reader who has gone, the time, and whoever calls `finish`. */
function endings({ forMs }: DemoOptions): { over: AbortController; finish: (ending: string) => void } {
  const over = new AbortController()
  const finish = (ending: string) => over.abort(ending)
  // A second one does not wait; the guard still cleans up.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) process.on(name, () => (over.signal.aborted ? process.exit(1) : finish('person')))
  process.stdout.on('error', () => finish('person'))
  if (forMs !== undefined) setTimeout(() => finish('time'), forMs)
  return { over, finish }
}
