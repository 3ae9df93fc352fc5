// The chain for real, step by step, as the process that it runs in: agent, identity, what AWS would refuse, exchange, clock, files, ports, tokens.
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Config, IdentityConfig } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'
import { errorText, type Failure, failure, systemReason, toFailure } from '../core/errors.ts'
import type { Check, StatusReport } from '../core/health.ts'
import { lintToken, lintX509 } from '../exchange/lint.ts'
import type { X509Svid } from '../spiffe/x509-svid.ts'
import { inspect } from './agent.ts'
import { tokenName } from './runtime-dir.ts'

export interface DoctorOptions {
  readonly config: Config
  readonly clock: Clock
  /** Left out where no daemon runs: exchanges, files, ports and tokens are the daemon's. */
  readonly running?: {
    readonly refresh: () => Promise<readonly { profile: string; ok: boolean; failure?: Failure | undefined }[]>
    readonly status: () => StatusReport
    /** AWS's clock less ours by profile, in seconds, as the last reply said. */
    readonly skew: ReadonlyMap<string, number>
  }
}

const ok = (what: string, message: string): Check => ({ what, result: 'ok', message, remedy: '' })
const wrong = (what: string, error: unknown): Check => {
  const { message, remedy } = toFailure(error)
  return { what, result: 'failed', message, remedy }
}
const attempt = (what: string, work: () => Promise<string>): Promise<Check> =>
  work().then(
    (message) => ok(what, message),
    (error) => wrong(what, error),
  )

const toleratedSkew = 300

function lint(what: string, svid: X509Svid): Check {
  try {
    const remark = lintX509(svid)
    return remark === undefined ? ok(what, 'Roles Anywhere takes such certificates') : { ...ok(what, remark.message), result: 'warning' }
  } catch (error) {
    return wrong(what, error)
  }
}

/** What the agent gives for an identity, and what AWS would say to it. */
async function examine(identity: IdentityConfig, { config, clock }: DoctorOptions): Promise<Check[]> {
  const what = `identity ${identity.name}`
  const agent = inspect(identity, clock)
  const methods = config.profiles.filter((profile) => profile.identity === identity.name).map(({ method }) => method)
  const checks: Check[] = []
  try {
    const svid = await agent.x509Svid()
    checks.push(ok(what, `the agent at ${identity.workloadApi.text} gives the X.509-SVID ${svid.spiffeId} until ${new Date(svid.notAfter).toISOString()}`))
    if (methods.some(({ kind }) => kind === 'roles_anywhere')) checks.push(lint(`${what}, lint`, svid))
  } catch (error) {
    checks.push(wrong(what, error))
  }
  for (const audience of new Set(methods.flatMap((method) => (method.kind === 'web_identity' ? [method.audience] : []))))
    checks.push(
      await attempt(`${what}, token for ${audience}`, async () => {
        const token = await agent.jwtSvid([audience])
        lintToken(token)
        return `the agent gives a JWT-SVID of ${token.subject} until ${new Date(token.expiresAt).toISOString()}, and STS takes such tokens`
      }),
    )
  return checks
}

/** Connects to a listener. Throws listen_failed. */
const reach = (address: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const [, host = '', port = ''] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(address) ?? []
    const socket = address.startsWith('/') ? connect(address) : connect(Number(port), host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host)
    socket.once('connect', () => {
      socket.destroy()
      resolve(`answers at ${address}`)
    })
    socket.once('error', (error) => reject(failure('listen_failed', `nothing answers at ${address}: ${systemReason(error)}`)))
  })

async function examineDaemon({ config }: DoctorOptions, { refresh, status, skew }: NonNullable<DoctorOptions['running']>): Promise<Check[]> {
  const exchanges = (await refresh()).map(({ profile, ok: good, failure }): Check => {
    const what = `profile ${profile}`
    if (!good) return failure === undefined ? { what, result: 'failed', message: 'no credentials came', remedy: 'See its identity.' } : wrong(what, failure)
    const { accessKeyId, expiration, roleArn } = status().profiles.find(({ name }) => name === profile) ?? {}
    return ok(what, `AWS gave ${accessKeyId} for ${roleArn} until ${expiration}`)
  })
  const clocks = config.profiles.flatMap(({ name }): Check[] => {
    const seconds = skew.get(name)
    if (seconds === undefined) return []
    const told = ok(`clock, profile ${name}`, `AWS's clock is ${Math.round(Math.abs(seconds))} s ${seconds < 0 ? 'behind' : 'ahead of'} this machine's`)
    if (Math.abs(seconds) <= toleratedSkew) return [told]
    return [{ ...told, result: 'warning', remedy: 'Correct the clock (chrony, systemd-timesyncd): other software does not allow for it.' }]
  })
  const { outputs, problems, listeners } = status()
  const files = outputs.map(({ name, status: state, notAfter }): Check => {
    const problem = problems.find(({ subject }) => subject === name)
    const good = state === 'written'
    return {
      what: name,
      result: good ? 'ok' : 'failed',
      message: good ? `is there${notAfter ? `, good until ${notAfter}` : ''}` : (problem?.message ?? state),
      remedy: problem?.remedy ?? '',
    }
  })
  const ports = Object.entries(listeners).map(([name, address]) => attempt(`listener ${name}`, () => reach(address)))
  const tokens = config.consumers.map(({ name }) => {
    const path = join(config.runtimeDir, tokenName(name))
    return attempt(`consumer ${name}`, async () => {
      const text = await readFile(path, 'latin1').catch((error) => systemReason(error))
      if (/^[\w-]+$/.test(text)) return `its token is in ${path}`
      throw failure('runtime_dir', `its token is not in ${path}`, { remedy: `svidecar rotate-token ${name} writes another.` })
    })
  })
  return [...exchanges, ...clocks, ...files, ...(await Promise.all([...ports, ...tokens]))]
}

/** Tries every step. Never rejects: what is wrong is a result. Asks each agent and, in a daemon, AWS once for each profile. */
export async function examineAll(options: DoctorOptions): Promise<readonly Check[]> {
  const { config, running } = options
  try {
    const identities = await Promise.all(config.identities.map((identity) => examine(identity, options)))
    return [...identities.flat(), ...(running === undefined ? [] : await examineDaemon(options, running))]
  } catch (error) {
    return [{ what: 'doctor', result: 'failed', message: errorText(error), remedy: 'This is a defect of svidecar; please report it.' }]
  }
}
