// The account of the dev AWS: what is set up in it, who may have a session of which role, and the sessions that it has issued.
import { hash, randomBytes } from 'node:crypto'
import type { JSONWebKeySet } from 'jose'
import { type AwsError, parseArn } from './aws-request.ts'

export interface AccountOptions {
  /** AWS's time, in what it verifies, issues and writes into Date. */
  readonly clock: { now(): number }
  /** What the scope of a signature for STS must name; any region unless set. */
  readonly region?: string
  /** The roots are DER. */
  readonly trustAnchors: readonly { arn: string; enabled?: boolean; roots: () => Buffer[] }[]
  /** Sessions of a profile last 3600 s unless set. */
  readonly profiles: readonly { arn: string; enabled?: boolean; roleArns: string[]; acceptRoleSessionName?: boolean; durationSeconds?: number }[]
  readonly oidcProviders: readonly { issuer: string; audiences: string[]; jwks: () => Promise<JSONWebKeySet> }[]
  /** For at most 3600 s unless set, as in IAM; for anybody whom the authority knows unless it names SPIFFE IDs. */
  readonly roles: readonly { roleArn: string; maxSessionSeconds?: number; spiffeIds?: string[] }[]
  /** After verification: makes the credentials. */
  readonly mint: (request: { roleArn: string; sessionName: string; durationSeconds: number }) => Promise<ReturnType<typeof mintAt>>
}

export type Account = ReturnType<typeof openAccount>

type Refusal = (text: string) => AwsError

const rememberedSessions = 10_000
export const isDuration = (seconds: unknown): seconds is number => Number.isInteger(seconds) && Number(seconds) >= 900 && Number(seconds) <= 43_200
export const sessionNames = /^[\w+=,.@-]{2,64}$/

export function openAccount(options: AccountOptions) {
  /** A session for whoever has proved to be the SPIFFE ID, as far as the role allows; the refusals are worded by the service. */
  const assume = async (spiffeId: string, request: Parameters<typeof options.mint>[0], denied: Refusal, invalid: Refusal) => {
    const { roleArn, sessionName, durationSeconds } = request
    const role = options.roles.find((one) => one.roleArn === roleArn)
    if (!role) throw denied('there is no such role')
    if (role.spiffeIds && !role.spiffeIds.includes(spiffeId)) throw denied(`the role's trust policy does not name ${spiffeId}`)
    if (durationSeconds > (role.maxSessionSeconds ?? 3600)) throw invalid('The requested DurationSeconds exceeds the MaxSessionDuration set for this role.')
    const { partition, account = '' } = parseArn(roleArn) ?? {}
    const roleId = `AROA${letters(hash('sha256', roleArn, 'buffer')).slice(0, 17)}`
    // A role's path is not part of the assumed role's ARN.
    const name = roleArn.slice(roleArn.lastIndexOf('/') + 1)
    const assumedRoleArn = `arn:${partition}:sts::${account}:assumed-role/${name}/${sessionName}`
    const session = { ...(await options.mint(request)), account, assumedRoleArn, assumedRoleId: `${roleId}:${sessionName}` }
    sessions.set(session.accessKeyId, session)
    const [oldest = ''] = sessions.keys()
    if (sessions.size > rememberedSessions) sessions.delete(oldest)
    return session
  }
  /** By access key ID; expired ones too. */
  const sessions = new Map<string, Awaited<ReturnType<typeof assume>>>()
  return { ...options, assume, sessions }
}

const letters = (bytes: Buffer): string => Array.from(bytes, (byte) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[byte % 32]).join('')

/** Credentials in AWS's shape that end at `expiration`, in milliseconds since 1970 and cut to whole seconds. */
export const mintAt = (expiration: number) => ({
  accessKeyId: `ASIA${letters(randomBytes(16))}`,
  secretAccessKey: randomBytes(30).toString('base64'),
  // Starts as AWS's do; base64 with its +, / and =, so that whoever forgets to encode it is found out.
  sessionToken: `IQoJb3JpZ2luX2Vj${randomBytes(500).toString('base64')}`,
  expiration: Math.floor(expiration / 1000) * 1000,
})

/** 2026-01-02T03:04:05Z */
export const isoSeconds = (milliseconds: number): string => new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z')
