// Taking the agent or AWS's issuing away, and bringing it back.
import { systemClock } from '../core/clock.ts'
import { type Agent, startAgent } from './agent.ts'
import type { Part, Story } from './demo-story.ts'
import type { World } from './world.ts'

export interface Switches {
  /** Takes a part away that is here, brings one back that is not; one after the other. */
  turn(part: Part): Promise<void>
  /** Ends the world, whatever of it is here. */
  stop(): Promise<void>
}

export function startSwitches(world: World, lifetimes: { x509TtlSeconds: number; jwtTtlSeconds: number }, story: Story): Switches {
  const { authority, aws, spiffeId, socket, issuer } = world
  let agent: Agent = world.agent
  let last: Promise<unknown> = Promise.resolve()
  // With a common name in its certificate, or the daemon warns that the source identity changes with each serial.
  const dnsNames = ['web.dev.local']
  agent.updateEntry('web', { dnsNames })
  // The same authority, so that AWS goes on trusting what the next agent issues.
  const nextAgent = () =>
    startAgent({ address: socket, authority, clock: systemClock, ...lifetimes, jwtIssuer: issuer, entries: [{ id: 'web', spiffeId, hint: 'web', dnsNames }] })

  async function turn(part: Part): Promise<void> {
    const here = story.away[part] === undefined
    if (part === 'AWS') await (here ? aws.closeIssuing() : aws.openIssuing())
    else if (here) await agent.stop()
    else agent = await nextAgent()
    story.switched(part, !here)
  }

  return {
    turn: (part) => {
      const next = last.then(() => turn(part))
      last = next.catch(() => {}) // told to whoever asked for it
      return next
    },
    stop: async () => {
      await last
      await agent.stop()
      await world.stop()
    },
  }
}
