// The sessions that the dev AWS has issued: credentials that look like AWS's, and who holds them.
import { randomBytes, randomInt } from 'node:crypto'
import { parseArn } from './aws-request.ts'

export interface MintedCredentials {
  accessKeyId: string
  secretAccessKey: string
  sessionToken: string
  /** Milliseconds since 1970. */
  expiration: number
}

export interface SessionRequest {
  roleArn: string
  sessionName: string
  durationSeconds: number
}

export type Mint = (request: SessionRequest) => Promise<MintedCredentials>

export interface Session extends MintedCredentials {
  readonly account: string
  /** arn:aws:sts::…:assumed-role/Role/session */
  readonly assumedRoleArn: string
  /** AROA…:session */
  readonly assumedRoleId: string
}

export type Sessions = ReturnType<typeof createSessions>

const rememberedSessions = 10_000
const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const letters = (length: number): string => Array.from({ length }, () => base32[randomInt(base32.length)]).join('')

export function createSessions(mint: Mint) {
  const sessions = new Map<string, Session>()
  const roleIds = new Map<string, string>()
  return {
    issue: async (request: SessionRequest): Promise<Session> => {
      const role = parseArn(request.roleArn)
      if (!role) throw new Error(`${request.roleArn} is no ARN`)
      const roleId = roleIds.get(request.roleArn) ?? `AROA${letters(17)}`
      roleIds.set(request.roleArn, roleId)
      // A role's path is not part of the assumed role's ARN.
      const name = request.roleArn.slice(request.roleArn.lastIndexOf('/') + 1)
      const session: Session = {
        ...(await mint(request)),
        account: role.account,
        assumedRoleArn: `arn:${role.partition}:sts::${role.account}:assumed-role/${name}/${request.sessionName}`,
        assumedRoleId: `${roleId}:${request.sessionName}`,
      }
      sessions.set(session.accessKeyId, session)
      const oldest = sessions.keys().next().value
      if (sessions.size > rememberedSessions && oldest !== undefined) sessions.delete(oldest)
      return session
    },
    /** Expired ones too. */
    find: (accessKeyId: string): Session | undefined => sessions.get(accessKeyId),
  }
}

/** Credentials in AWS's shape that end at `expiration`, in whole seconds. */
export const mintAt = (expiration: number): MintedCredentials => ({
  accessKeyId: `ASIA${letters(16)}`,
  secretAccessKey: randomBytes(30).toString('base64'),
  // Starts as AWS's do; base64 with its +, / and =, so that whoever forgets to encode it is found out.
  sessionToken: `IQoJb3JpZ2luX2Vj${randomBytes(500).toString('base64')}`,
  expiration: Math.floor(expiration / 1000) * 1000,
})

/** 2026-01-02T03:04:05Z */
export const isoSeconds = (milliseconds: number): string => new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z')
