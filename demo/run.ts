// The demo itself: starts the world, the daemon and its clients, tells what happens, and leaves nothing behind.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../src/core/clock.ts'
import { errorText } from '../src/core/errors.ts'
import { startAgent } from '../test/support/world/agent.ts'
import { createAuthority } from '../test/support/world/authority.ts'
import { answering, openListener } from '../test/support/world/aws.ts'
import { openAccount } from '../test/support/world/aws-account.ts'
import { accountOptions, agentOptions, authorityOptions } from '../test/support/world/world.ts'
import { startChild, startDaemon, startGuard } from './children.ts'
import { openScreen, readKeys } from './screen.ts'
import { type Call, count, createStory, type DemoOptions, entryLine, objections, type Part, profileNames, type Story } from './story.ts'

const print = (line: string) => void process.stdout.write(`${line}\n`)

/** Runs the demo until its time is over or somebody ends it. Returns the exit status. Throws what keeps it from starting. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const plain = !process.stdout.isTTY
  if (plain) print('svidecar demo\nA development world with a fake AWS, on loopback: nothing leaves this machine.')
  const story = createStory(options, Date.now, (entry) => plain && print(entryLine(entry)))
  const ending = await perform(story, plain)
  const { calls, failed, rotations } = story
  const changes = `${count(rotations.svids, 'SVID rotation')}, ${count(rotations.credentials, 'credential rotation')}`
  print(`svidecar demo: ${count(calls, 'call')}, ${failed || 'none'} failed, ${changes}.`)
  // Whoever watches and takes things away makes calls fail: that is no failure of the demo.
  if (ending === 'a person' && options.forMs === undefined) return 0
  const against = [...(ending === 'time' ? [] : [`ended by ${ending}`]), ...objections(story)]
  if (against.length > 0) print(`svidecar demo: failed: ${against.join('; ')}.`)
  return against.length === 0 ? 0 : 1
}

/** Everything between the first process and the last. Resolves with who or what ended it. */
async function perform(story: Story, plain: boolean): Promise<string> {
  const { forMs, svidSeconds, sessionSeconds } = story.options
  await using stack = new AsyncDisposableStack()
  const over = new AbortController()
  const finish = (ending: string) => over.abort(ending)
  // A second signal does not wait; the guard still cleans up.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => (over.signal.aborted ? process.exit(1) : finish('a person')))
  process.stdout.on('error', () => finish('a person'))
  if (forMs !== undefined) setTimeout(() => finish('time'), forMs)

  const folder = await mkdtemp(join(tmpdir(), 'svidecar-demo-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const worldOptions = { directory: folder, clock: systemClock, x509TtlSeconds: svidSeconds, jwtTtlSeconds: svidSeconds, sessionSeconds }
  const authority = await createAuthority(authorityOptions(systemClock))
  const account = openAccount(accountOptions(worldOptions, authority))
  const issuer = await openListener(Date.now, answering(account))
  stack.defer(issuer.close)
  const checker = await openListener(Date.now, answering(account))
  stack.defer(checker.close)
  // Each agent has the same authority, so that AWS goes on trusting what the next one issues.
  const startNext = () => startAgent(agentOptions(worldOptions, authority))
  let stopAgent = await startNext()
  stack.defer(() => stopAgent())

  /** Takes a part away that is here, brings one back that is not. */
  async function turn(part: Part): Promise<void> {
    const here = !story.away.has(part)
    if (part === 'AWS') await (here ? issuer.close() : issuer.open())
    else if (here) await stopAgent()
    else stopAgent = await startNext()
    story.switched(part, !here)
  }

  const daemon = startDaemon(folder, issuer.url)
  stack.defer(startGuard(daemon.pid, folder))
  stack.defer(daemon.stop)
  void daemon.ended.then((how) => finish(`the daemon, with ${how}`))

  /** Starts one for each profile, and tells a person how to be one more client of the first. */
  async function startClients(environments: readonly Readonly<Record<string, string>>[]): Promise<void> {
    const [mine = {}] = environments
    const lines = shellLines({ ...mine, AWS_ENDPOINT_URL: checker.url })
    await writeFile(join(folder, 'env'), `${lines.join('\n')}\n`)
    story.paste = `. ${folder}/env && aws sts get-caller-identity`
    if (plain) print(`\nTo be one more client, paste this into another shell:\n  ${lines.join('\n  ')}\n`)
    for (const [at, name] of profileNames.entries()) {
      const env = { ...environments[at], AWS_ENDPOINT_URL: checker.url }
      const client = startChild([process.argv[1] ?? '', 'client'], folder, env, (line) => over.signal.aborted || story.called(name, JSON.parse(line) as Call))
      stack.defer(client.stop)
      void client.ended.then((how) => finish(`the client of ${name}, with ${how}`))
    }
  }

  const screen = plain ? undefined : openScreen()
  stack.defer(() => screen?.close())
  const draw = () => screen?.draw(story)
  // One after the other, or a part that is on its way would be taken away again.
  let turns: Promise<void> = Promise.resolve()
  stack.defer(() => turns)
  readKeys((key) => {
    if (key === 'q' || key === '\x03') finish('a person')
    if (key !== 'a' && key !== 'i') return
    turns = turns.then(() => turn(key === 'a' ? 'agent' : 'AWS')).then(draw, (error) => finish(errorText(error)))
  })

  const notYet = () => {} // the daemon does not listen, or has ended, which is heard of in a moment
  while (!over.signal.aborted) {
    await daemon.status().then(story.observed, notYet)
    if (story.status?.started && story.paste === undefined) await Promise.all(profileNames.map(daemon.environment)).then(startClients, notYet)
    draw()
    await delay(500, undefined, { signal: over.signal }).catch(() => {})
  }
  return String(over.signal.reason)
}

/** The environment of a client, and nothing of the shell's own that an SDK would follow instead. */
const shellLines = (environment: Readonly<Record<string, string>>): string[] => [
  'unset AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN',
  'export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null',
  ...Object.entries(environment).map(([name, value]) => `export ${name}=${value}`),
]
