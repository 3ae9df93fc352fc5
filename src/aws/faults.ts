// What an error answer of AWS means: which failure it is, and so how to retry.
import { type Failure, type FailureCode, failure } from '../core/errors.ts'
import type { Reply } from '../core/https.ts'

// Roles Anywhere: model of the service and answers seen by users of AWS's own helper; STS: model and IAM guide.
const byMessage: readonly (readonly [RegExp, FailureCode])[] = [
  [/untrusted signing certificate|certificate.*(not trusted|chain)|unable to verify.*certificate/i, 'trust_anchor'],
  [/(trust ?anchor|profile).*(disabled|not enabled|inactive)/i, 'profile_disabled'],
  [/roleSessionName/, 'session_name'],
  [/signature expired|signature not yet current|request.*(expired|too skewed)|clock skew/i, 'clock_skew'],
]

const byCode: Readonly<Record<string, FailureCode>> = {
  ExpiredToken: 'expired_token',
  IDPCommunicationError: 'idp_communication',
  InvalidIdentityToken: 'invalid_identity_token',
  IDPRejectedClaim: 'idp_rejected_claim',
  RegionDisabled: 'region_disabled',
  RequestExpired: 'clock_skew',
  RequestTimeTooSkewed: 'clock_skew',
  Throttling: 'throttled',
  ThrottledException: 'throttled',
  TooManyRequests: 'throttled',
  RequestLimitExceeded: 'throttled',
  AccessDenied: 'access_denied',
  ResourceNotFound: 'not_found',
}

function classify(status: number, code: string, message: string): FailureCode {
  const told = byMessage.find(([pattern]) => pattern.test(message))
  const named = byCode[code.replace(/Exception$/, '')] ?? byCode[code]
  // A code that names its cause outranks the wording; AccessDenied says little, so there the wording decides.
  if (named !== undefined && named !== 'access_denied') return named
  if (status < 500 && told !== undefined) return told[1]
  if (status === 429 || /rate exceeded/i.test(message)) return 'throttled'
  if (status >= 500) return 'aws_unavailable'
  if (named !== undefined) return named
  if (status === 403) return 'access_denied'
  if (status === 404) return 'not_found'
  return 'validation'
}

/** What is known of the two clocks: AWS's less ours in seconds, and whether the request was made in AWS's time. */
export interface Skew {
  readonly seconds: number | undefined
  readonly corrected: boolean
}

// What AWS tolerates in a signature.
const toleratedSkewSeconds = 300

/** Names the failure behind a refusal with AWS's error code, which has no namespace or URI any more. A date in its Retry-After header is not understood. */
export function refusalFailure(
  service: string,
  { status, headers }: Pick<Reply, 'status' | 'headers'>,
  refusal: { readonly code: string; readonly message: string },
  skew: Skew,
  facts: Readonly<Record<string, string | number>>,
): Failure {
  const message = refusal.message.slice(0, 1000)
  const found = classify(status, refusal.code, message)
  // With a request made in the wrong time every other reason is moot.
  const moot = status < 500 && found !== 'throttled' && !skew.corrected && Math.abs(skew.seconds ?? 0) > toleratedSkewSeconds
  const code = moot ? 'clock_skew' : found
  const seconds = skew.seconds === undefined ? undefined : Math.round(skew.seconds)
  const skewed = code === 'clock_skew' && seconds !== undefined ? ` (AWS's clock differs from this one by ${seconds} s)` : ''
  const retryAfter = Number(headers['retry-after'])
  return failure(code, `${service} refused with ${status} ${refusal.code}: ${message || 'no message'}${skewed}`, {
    retryAfterSeconds: retryAfter > 0 ? retryAfter : undefined,
    facts: seconds === undefined ? facts : { ...facts, clock_skew_seconds: seconds },
  })
}
