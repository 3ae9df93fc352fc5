// The conformance scenarios with real SPIRE. Needs the Go toolchain the first time, to build it.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { openRealWorld } from './real-world.ts'
import { play, type Scenario } from './scenario.ts'
import { scenarios } from './scenarios.ts'
import { type Spire, startSpire } from './spire.ts'
import type { World } from './world.ts'

const build = join(import.meta.dirname, 'testbed', 'build')
const bin = execFileSync(build, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()

describe('with SPIRE', () => {
  const servers = new Map<string, Spire>()
  const serverOf = ({ world: { authority = 'self-signed' } = {} }: Scenario): Spire => {
    const server = servers.get(authority)
    if (server === undefined) throw new Error(`no server is ${authority}`)
    return server
  }
  before(async () => {
    for (const authority of ['self-signed', 'intermediate'] as const) servers.set(authority, await startSpire(bin, { authority }))
  })
  after(async () => {
    await Promise.all([...servers.values()].map((server) => server.close()))
  })

  const open = async (scenario: Scenario): Promise<World> => {
    const { world: options = {}, ownServer = false } = scenario
    if (!ownServer) return openRealWorld(serverOf(scenario), options)
    const server = await startSpire(bin, { authority: options.authority ?? 'self-signed' })
    const world = await openRealWorld(server, options)
    return {
      ...world,
      close: async () => {
        await world.close()
        await server.close()
      },
    }
  }
  const playAll = (some: readonly Scenario[]) => {
    for (const scenario of some)
      test(`${scenario.number}. ${scenario.promise}`, { todo: scenario.todo ?? false, timeout: 120_000 }, (t) => play(t, scenario, () => open(scenario)))
  }
  // Each scenario has an agent to itself. More of them at once than this, and two cores are late for their own timers.
  describe('on a shared server', { concurrency: 4 }, () => playAll(scenarios.filter(({ alone }) => !alone)))
  describe('alone on the server', () => playAll(scenarios.filter(({ alone }) => alone)))
})
