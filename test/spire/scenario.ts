// What a conformance scenario is, and how it is played in a world.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { type Client, type ClientOptions, startClient } from './client.ts'
import type { World, WorldOptions } from './world.ts'

export interface Stage {
  readonly world: World
  readonly client: (options?: ClientOptions) => Client
  /** Tells a measured fact beside the result. */
  readonly note: (fact: string) => void
}

export interface Scenario {
  /** Scenarios of one number are parts of one. */
  readonly number: number
  /** What holds, in every world. */
  readonly promise: string
  readonly world?: WorldOptions
  /** How much faster than time the dev world may run; left out where real time is measured. */
  readonly speed?: number
  /** It changes the server for all of its agents, so nothing else may run at that server. */
  readonly alone?: true
  /** It stops the server, so it needs one for itself. */
  readonly ownServer?: true
  /** Why it cannot be played with the dev agent. */
  readonly notOnDev?: string
  /** Why it fails as yet. */
  readonly todo?: string
  readonly run: (stage: Stage) => Promise<void>
}

/** Plays one scenario: opens its world, runs it, and looks at every value that was published. Nothing is left behind. */
export async function play(t: TestContext, scenario: Scenario, open: () => Promise<World>): Promise<void> {
  const world = await open()
  const clients: Client[] = []
  const stage: Stage = {
    world,
    client: (options) => {
      const client = startClient(world, options)
      clients.push(client)
      return client
    },
    note: (fact) => t.diagnostic(`${scenario.number}: ${fact}`),
  }
  try {
    await scenario.run(stage)
    for (const { problems } of clients) assert.deepEqual(problems, [])
  } catch (error) {
    if (scenario.todo === undefined) for (const line of (await world.lastWords?.()) ?? []) t.diagnostic(line)
    throw error
  } finally {
    await Promise.all(clients.map((client) => client.stop()))
    await world.close()
  }
}

/** For a message: milliseconds of a world's clock as seconds. */
export const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`

/** `later` came no later than `limitMs` after `earlier`, all by a world's clock. */
export function assertWithin(world: World, what: string, earlier: number, later: number, limitMs: number): void {
  const tookMs = later - earlier
  assert.ok(tookMs <= limitMs + world.slackMs, `${what}: took ${seconds(tookMs)} instead of at most ${seconds(limitMs)}`)
}

/** The X.509 stream was dialled at most 20 times a second in the time since `since`. */
export function assertCalm(world: World, client: Client, since: number): void {
  const tries = client.eventsOf('identity.disconnected').filter(({ at, what }) => at >= since && what.stream === 'x509')
  const most = 20 * Math.max(1, (world.clock.boot() - since) / 1000)
  assert.ok(tries.length <= most, `${tries.length} attempts in ${seconds(world.clock.boot() - since)} are a busy loop`)
}
