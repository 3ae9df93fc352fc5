// The demo's world for tests: the same options, and parts that remember, change and fail when told to.
import { accountOptions, agentOptions, arns, audience, authorityOptions, issuer, spiffeId, type WorldOptions } from '../world/world.ts'
import { startAgent } from './agent.ts'
import { createAuthority } from './authority.ts'
import { startDevAws } from './aws.ts'

export type World = Awaited<ReturnType<typeof startWorld>>

export async function startWorld(options: WorldOptions) {
  const authority = await createAuthority(authorityOptions(options.clock))
  const aws = await startDevAws({ ...accountOptions(options, authority), clock: options.clock })
  const { entry, path, ...agentRest } = agentOptions(options, authority)
  const agent = await startAgent({ ...agentRest, address: `unix://${path}`, authority, entries: [{ id: 'web', ...entry }] }).catch(async (error: unknown) => {
    await aws.stop()
    throw error
  })
  const stop = async () => {
    await agent.stop()
    await aws.stop()
  }
  return { authority, agent, aws, socket: agent.address, arns, audience, issuer, spiffeId, stop }
}
