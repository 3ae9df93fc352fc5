// AWS on loopback, as far as it gives credentials: it verifies like the real one, and can be told to fail.
import type { Clock } from '../core/clock.ts'
import { type Fault, isRolesAnywhere, openListener, type RecordedRequest, type Reply } from './aws-listener.ts'
import { type AwsRequest, refuse } from './aws-request.ts'
import { createSession, type RolesAnywhereOptions } from './aws-rolesanywhere.ts'
import { createSessions, type Mint, mintAt } from './aws-sessions.ts'
import { assumeRoleWithWebIdentity, getCallerIdentity, readForm, type StsOptions } from './aws-sts.ts'

export interface DevAwsOptions extends Omit<RolesAnywhereOptions & StsOptions, 'sessions' | 'region'> {
  clock: Clock
  /** The region of STS signatures; any unless set. */
  region?: string
  /** How long its sessions really live, whatever valid duration was asked: lets a demo rotate. */
  issueSeconds?: number
  /** AWS's clock is ahead of `clock` by this, in what it verifies, issues and writes into Date. */
  clockSkewSeconds?: number
  /** After verification: hands out these instead of minted ones. */
  mint?: Mint
}

export interface DevAws {
  /** Roles Anywhere at POST …/sessions, STS at any other path. */
  readonly issuingUrl: string
  /** STS GetCallerIdentity. */
  readonly checkingUrl: string
  /** The last thousand. */
  readonly requests: readonly Readonly<RecordedRequest>[]
  /** Requests to the issuing listener that are not answered yet. */
  readonly inFlight: number
  /** For the issuing listener only. */
  setFault(fault: Fault | undefined): void
  closeIssuing(): Promise<void>
  /** On the same port. */
  openIssuing(): Promise<void>
  stop(): Promise<void>
}

const rememberedRequests = 1000

/** Starts both listeners, on ports of 127.0.0.1 that the system picks. */
export async function startDevAws(options: DevAwsOptions): Promise<DevAws> {
  const { clock } = options
  const now = () => clock.now() + (options.clockSkewSeconds ?? 0) * 1000
  const mint: Mint = async ({ durationSeconds }) => mintAt(now() + (options.issueSeconds ?? durationSeconds) * 1000)
  const sessions = createSessions(options.mint ?? mint)
  const services = { ...options, sessions, region: options.region }
  const requests: RecordedRequest[] = []
  const record = (request: RecordedRequest) => {
    requests.push(request)
    if (requests.length > rememberedRequests) requests.shift()
  }

  const handle = async (request: AwsRequest, facts: RecordedRequest): Promise<Reply> => {
    const issues = facts.listener === 'issuing'
    if (issues && isRolesAnywhere(request)) {
      facts.action = 'CreateSession'
      if (request.method !== 'POST') throw refuse(404, 'UnknownOperationException', 'Not found')
      return { status: 201, type: 'application/json', body: JSON.stringify(await createSession(request, facts, now(), services)) }
    }
    const form = readForm(request)
    facts.action = form.get('Action') ?? ''
    if (issues && facts.action === 'AssumeRoleWithWebIdentity') return xml(await assumeRoleWithWebIdentity(request, form, facts, now(), services))
    if (!issues && facts.action === 'GetCallerIdentity') return xml(getCallerIdentity(request, facts, now(), services))
    throw refuse(400, 'InvalidAction', `Could not find operation ${facts.action} for version 2011-06-15`)
  }

  const issuing = await openListener({ name: 'issuing', clock, now, handle, record })
  const checking = await openListener({ name: 'checking', clock, now, handle, record })
  return {
    issuingUrl: issuing.url,
    checkingUrl: checking.url,
    requests,
    get inFlight() {
      return issuing.inFlight
    },
    setFault: (fault) => {
      issuing.fault = fault
    },
    closeIssuing: issuing.close,
    openIssuing: issuing.open,
    stop: async () => {
      await Promise.all([issuing.close(), checking.close()])
    },
  }
}

const xml = (body: string): Reply => ({ status: 200, type: 'text/xml', body })
