// Real SPIRE as a world of the conformance scenarios: each world is an agent of its own at a server that several share.
import { X509Certificate } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../src/core/clock.ts'
import type { Process, Spire } from './spire.ts'
import { type Entry, eventually, type Identity, type World, type WorldOptions } from './world.ts'

let worlds = 0

/** Opens a world at a running server. */
export async function openRealWorld(spire: Spire, options: WorldOptions): Promise<World> {
  const { trustDomain } = spire
  const name = `w${++worlds}`
  const folder = await spire.agentFolder(name)
  const path = join(folder, 'public', 'api.sock')
  // A name for the node that outlives the join token, so that a second agent may take the place of the first.
  const node = `spiffe://${trustDomain}/${name}`
  const entries = new Map<string, Entry>()
  const processes = new Set<Process>()
  let agent: Process | undefined
  let token: string | undefined = await joinToken()

  async function joinToken(): Promise<string> {
    const { value } = (await spire.server('token', 'generate', '-spiffeID', node)) as { value: string }
    return value
  }
  const running = (): Process => {
    if (agent === undefined) throw new Error('the agent is not running')
    return agent
  }
  const startIn = async (own: string, socket: string, joinToken: string | undefined): Promise<Process> => {
    const started = await spire.agent(own, { ...options, path: socket, joinToken, withoutDigest: true })
    processes.add(started)
    return started
  }
  const entryArguments = ({ id, path: spiffePath, ...entry }: Entry): string[] => [
    `-entryID=${name}-${id}`,
    `-parentID=${node}`,
    `-spiffeID=spiffe://${trustDomain}${spiffePath}`,
    `-selector=unix:uid:${process.getuid?.()}`,
    ...(entry.hint === undefined ? [] : [`-hint=${entry.hint}`]),
    ...(entry.dnsNames ?? []).map((name) => `-dns=${name}`),
    ...(entry.x509 === 'short' ? ['-x509SVIDTTL=24'] : []),
    ...(entry.jwt === 'short' ? ['-jwtSVIDTTL=20'] : []),
    ...(entry.federatesWith ?? []).map((foreign) => `-federatesWith=spiffe://${foreign}`),
  ]
  const served = (socket: string) =>
    eventually(
      'the agent serves its entries',
      () => fetchIdentities(spire, socket),
      (identities) => identities.length === entries.size,
    )
  const authority = async (command: string, ...args: string[]) =>
    (await spire.server('localauthority', 'x509', command, ...args)) as Record<string, { authority_id: string }>

  const world: World = {
    trustDomain,
    path,
    clock: systemClock,
    issuer: spire.issuer,
    outageMs: 20_000,
    // One second until the server's cache has the change, one and a tenth until the agent asks, and the signing.
    syncMs: 2_500,
    slackMs: 500,
    async startAgent() {
      agent = await startIn(folder, path, token)
      token = undefined
      return systemClock.boot()
    },
    async stopAgent(how) {
      running().signal(how)
      await running().gone
      agent = undefined
    },
    pauseAgent: () => running().signal('SIGSTOP'),
    resumeAgent: () => running().signal('SIGCONT'),
    async replaceAgent() {
      const old = running()
      const other = await spire.agentFolder(`${name}-second`)
      const next = join(other, 'public', 'api.sock')
      agent = await startIn(other, next, await joinToken())
      await served(next)
      await rename(next, path)
      old.signal('SIGKILL')
      await old.gone
      return systemClock.boot()
    },
    stopServer: spire.stop,
    startServer: spire.start,
    async createEntry(entry) {
      entries.set(entry.id, entry)
      await spire.server('entry', 'create', ...entryArguments(entry))
    },
    async updateEntry(entry) {
      entries.set(entry.id, entry)
      await spire.server('entry', 'update', ...entryArguments(entry))
    },
    async deleteEntry(id) {
      entries.delete(id)
      await spire.server('entry', 'delete', '-entryID', `${name}-${id}`)
    },
    async setForeignBundle(foreign, { roots, jwks }) {
      const keys = [
        ...roots.map((root) => ({ ...new X509Certificate(root).publicKey.export({ format: 'jwk' }), use: 'x509-svid', x5c: [root.toString('base64')] })),
        ...jwks.keys.map((key) => ({ ...key, use: 'jwt-svid' })),
      ]
      const file = join(folder, `${foreign}.json`)
      await writeFile(file, JSON.stringify({ keys }))
      await spire.server('bundle', 'set', '-id', `spiffe://${foreign}`, '-path', file, '-format', 'spiffe')
    },
    async prepareAuthority() {
      await authority('prepare')
    },
    async retireAuthority() {
      const { prepared, active } = await authority('show')
      await authority('activate', '-authorityID', prepared?.authority_id ?? '')
      await authority('taint', '-authorityID', active?.authority_id ?? '')
    },
    async revokeAuthority() {
      const { old } = await authority('show')
      await authority('revoke', '-authorityID', old?.authority_id ?? '')
    },
    identities: () => fetchIdentities(spire, path),
    lastWords: async () => (await readFile(join(folder, 'agent.log'), 'utf8').catch(() => '')).trim().split('\n').slice(-20),
    async close() {
      for (const process of processes) process.signal('SIGKILL')
      await Promise.all([...processes].map(({ gone }) => gone))
    },
  }
  await mkdir(join(folder, 'public'))
  for (const entry of options.entries ?? []) await world.createEntry(entry)
  if (options.agent !== 'down') {
    await world.startAgent()
    if (entries.size > 0) await served(path)
  }
  return world
}

interface FetchedX509 {
  readonly svids: readonly { readonly spiffe_id: string; readonly hint?: string; readonly x509_svid: string }[]
}

async function fetchIdentities(spire: Spire, socket: string): Promise<readonly Identity[]> {
  try {
    const { svids } = (await spire.fetchX509(socket)) as FetchedX509
    return svids.map(({ spiffe_id, hint = '', x509_svid }) => ({
      spiffeId: spiffe_id,
      hint,
      leaf: new X509Certificate(Buffer.from(x509_svid, 'base64')).fingerprint256,
    }))
  } catch (error) {
    if (/PermissionDenied/.test(String(error))) return []
    throw error
  }
}
