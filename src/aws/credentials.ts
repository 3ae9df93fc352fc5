// AWS session credentials: what an exchange returns and what every endpoint renders.
import { failure } from '../core/errors.ts'
import type { Reply } from '../core/https.ts'
import { secret } from '../core/secret.ts'

export type Credentials = ReturnType<typeof acceptCredentials>

/** What an answer holds, unchecked; `expiration` is ISO text or a Date. */
export type Issued = Readonly<Partial<Record<'accessKeyId' | 'secretAccessKey' | 'sessionToken' | 'expiration', unknown>>>

const filled = (value: unknown): value is string => typeof value === 'string' && value !== ''

/**
 * Checks what a service issued and dates it by the service's own clock: life = Expiration − Date, counted from before the request and less the second that a
 * Date header cuts off, so that a wrong clock here can neither shorten nor stretch it. Throws reply_invalid for anything empty or already over.
 */
export function acceptCredentials(issued: Issued, roleArn: string, { date, sentAt, receivedAt }: Pick<Reply, 'date' | 'sentAt' | 'receivedAt'>) {
  const { accessKeyId, secretAccessKey, sessionToken } = issued
  if (!filled(accessKeyId) || !filled(secretAccessKey) || !filled(sessionToken)) throw failure('reply_invalid', 'the answer holds no complete credentials')
  const expiration = issued.expiration instanceof Date ? issued.expiration.getTime() : Date.parse(String(issued.expiration))
  if (Number.isNaN(expiration)) throw failure('reply_invalid', 'the answer has no readable expiration')
  const issuedAt = date ?? receivedAt
  const life = expiration - issuedAt - (date === undefined ? 0 : 1_000)
  if (life <= 0) throw failure('reply_invalid', `the answer holds credentials that expired at ${new Date(expiration).toISOString()}`)
  return Object.freeze({
    accessKeyId,
    secretAccessKey: secret(secretAccessKey),
    sessionToken: secret(sessionToken),
    /** As AWS said it, wall clock in milliseconds: for printing. */
    expiration,
    /** Boot clock: from when on these are in hand, and until when they may be given out. */
    obtainedAt: sentAt,
    deadline: sentAt + life,
    /** Wall clock, milliseconds, by AWS's clock: for LastUpdated. */
    issuedAt,
    accountId: roleArn.split(':')[4] ?? '',
    roleArn,
  })
}

/** YYYY-MM-DDTHH:MM:SSZ: whole seconds and Z are the one form that every SDK reads. Cut off, so never later than the truth. */
export const isoSeconds = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`
