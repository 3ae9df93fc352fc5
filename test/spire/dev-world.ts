// The dev agent as a world of the conformance scenarios, in this process and on its own clock.
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { type Agent, startAgent } from '../support/dev/agent.ts'
import { createAuthority } from '../support/dev/authority.ts'
import type { RawX509Message } from '../support/dev/messages.ts'
import { workloadService } from '../support/world/agent-server.ts'
import { pacedClock } from './paced-clock.ts'
import { accepting, type Entry, type ForeignBundle, type Identity, type World, type WorldOptions } from './world.ts'

const trustDomain = 'dev.conformance'

/** `speed`: how much faster than time the world runs. */
export async function openDevWorld(options: WorldOptions, speed = 1): Promise<World> {
  const { clock, stop: stopClock } = pacedClock(speed)
  const intermediate = options.authority === 'intermediate'
  const issuer = intermediate ? undefined : 'https://oidc.dev.conformance'
  const authority = await createAuthority({ trustDomain, intermediate, clock })
  const folder = await mkdtemp(join(tmpdir(), 'conformance-'))
  const path = join(folder, 'agent.sock')
  const entries = new Map((options.entries ?? []).map((entry) => [entry.id, entry]))
  const foreign = new Map<string, ForeignBundle>()
  let agent: Agent | undefined
  let mostStreams = 0
  const watching = setInterval(() => {
    mostStreams = Math.max(mostStreams, agent?.openStreams ?? 0)
  }, 2)

  const toDevEntry = (entry: Entry) => ({
    id: entry.id,
    spiffeId: `spiffe://${trustDomain}${entry.path}`,
    hint: entry.hint ?? '',
    x509TtlSeconds: entry.x509 === 'short' ? 120 : 3600,
    jwtTtlSeconds: entry.jwt === 'short' ? 60 : 300,
    keyType: options.workloadKey ?? 'ec-p256',
    federatesWith: [...(entry.federatesWith ?? [])],
  })
  const startAt = async (socket: string): Promise<Agent> => {
    const started = await startAgent({
      address: `unix://${socket}`,
      authority,
      clock,
      x509TtlSeconds: 3600,
      jwtTtlSeconds: 300,
      ...(issuer === undefined ? {} : { jwtIssuer: issuer }),
      entries: [...entries.values()].map(toDevEntry),
      // The earliest renewal that SPIRE would draw: the later ones come close to the product's alarm for late ones.
      random: () => 0,
    })
    for (const [name, { roots, jwks }] of foreign) started.federate(name, [...roots], { keys: [...jwks.keys] })
    return started
  }
  // Node removes the socket by its name when the server closes. A killed agent would have left its own behind,
  // and one that another agent has replaced must not take the other's with it.
  const stopWithoutTrace = async (old: Agent) => {
    const aside = `${path}.aside`
    await rename(path, aside)
    await old.stop('abrupt')
    await rename(aside, path)
  }
  const running = (): Agent => {
    if (agent === undefined) throw new Error('the dev agent is not running')
    return agent
  }

  const world: World = {
    trustDomain,
    path,
    clock,
    issuer,
    outageMs: 1_500 * speed,
    syncMs: 0,
    slackMs: 200 * speed,
    async startAgent() {
      agent = await startAt(path)
      const at = clock.boot()
      await accepting(path, () => undefined)
      return at
    },
    async stopAgent(how) {
      const old = running()
      if (how === 'SIGTERM') await old.stop()
      else await stopWithoutTrace(old)
      agent = undefined
    },
    pauseAgent: () => running().setBehaviour('silent'),
    resumeAgent: () => running().setBehaviour('serve'),
    async replaceAgent() {
      const old = running()
      const next = join(folder, 'next.sock')
      agent = await startAt(next)
      await rename(next, path)
      await stopWithoutTrace(old)
      return clock.boot()
    },
    stopServer: async () => running().setBehaviour('hold-rotation'),
    startServer: async () => running().setBehaviour('serve'),
    async createEntry(entry) {
      entries.set(entry.id, entry)
      agent?.addEntry(toDevEntry(entry))
    },
    async updateEntry(entry) {
      entries.set(entry.id, entry)
      agent?.updateEntry(entry.id, toDevEntry(entry))
    },
    async deleteEntry(id) {
      entries.delete(id)
      agent?.deleteEntry(id)
    },
    async setForeignBundle(name, bundle) {
      foreign.set(name, bundle)
      agent?.federate(name, [...bundle.roots], { keys: [...bundle.jwks.keys] })
    },
    async prepareAuthority() {
      await authority.rotate()
      agent?.push()
    },
    async retireAuthority() {
      await agent?.rotateNow()
    },
    identities: () => ask(path),
    mostStreams: () => mostStreams,
    async close() {
      clearInterval(watching)
      await agent?.stop('abrupt')
      await stopClock()
      await rm(folder, { recursive: true, force: true })
    },
  }
  if (options.agent !== 'down') await world.startAgent()
  return world
}

/** A client that knows the .proto and nothing else. */
async function ask(path: string): Promise<readonly Identity[]> {
  const method = workloadService()['FetchX509SVID']
  if (method === undefined) throw new Error('the .proto has no FetchX509SVID')
  const client = new Client(`unix:${path}`, credentials.createInsecure())
  const metadata = new Metadata()
  metadata.set('workload.spiffe.io', 'true')
  const call = client.makeServerStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, {}, metadata)
  try {
    for await (const message of call)
      return (message as RawX509Message).svids.map(({ spiffe_id, hint, x509_svid }) => ({
        spiffeId: spiffe_id,
        hint,
        leaf: new X509Certificate(x509_svid ?? Buffer.alloc(0)).fingerprint256,
      }))
    return []
  } catch (error) {
    if ((error as ServiceError).code === status.PERMISSION_DENIED) return []
    throw error
  } finally {
    call.cancel()
    client.close()
  }
}
