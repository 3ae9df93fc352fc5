// A difference with all that it is a part of, and what the entries of the list of differences ask about it.
import type { Case } from './case.ts'
import type { Difference } from './compare.ts'
import type { SuiteName } from './differences.ts'
import type { Observation } from './observe.ts'

/** A difference, and what it is a part of. */
export interface Situation {
  readonly one: Case
  readonly difference: Difference
  readonly original: Observation
  readonly ours: Observation
}

export interface Allowed {
  readonly id: string
  /** One sentence for users. */
  readonly what: string
  readonly reason: string
}

/** Met while comparing: it excuses what it matches in these suites, and must be met in each. */
export interface Compared extends Allowed {
  readonly suites: readonly SuiteName[]
  /** Here it may be met or not, as time has it. */
  readonly sometimes?: readonly SuiteName[]
  readonly matches: (situation: Situation) => boolean
}

/** Not to be met by comparing; tests of its own show it. */
export interface Shown extends Allowed {
  /** A file beside this one. */
  readonly shownIn: string
}

export const added = ({ difference }: Situation, line: RegExp): boolean =>
  difference.where === 'log' && difference.original === undefined && line.test(difference.ours ?? '')
export const lost = ({ difference }: Situation, line: RegExp): boolean =>
  difference.where === 'log' && difference.ours === undefined && line.test(difference.original ?? '')
export const isFact = ({ difference }: Situation, name: RegExp): boolean => difference.where !== 'log' && name.test(difference.where)

/** Words of Go's libraries: gRPC, go-spiffe, crypto/x509, net. */
export const librarys =
  /exec: |fork\/exec|record on line|file name too long|too many levels of symbolic links|no space left|strconv\.Atoi|failed to read pid file|process already finished|: operation not permitted|rpc error: code =|x509svid:|x509bundle:|jwtsvid:|jwtbundle:|\bx509: |no SVIDs in response|failed to exit idle mode|workload endpoint|listen tcp|error parsing private key|failed to parse private key|trust domain characters|trust domain is missing|there were no SVIDs in the response/

/** The one-shot run of the original gave up, and ours goes on. */
export const goesOn = ({ original, ours }: Situation): boolean =>
  ours.facts.get('after its complaint') === 'it goes on' && original.facts.get('end') === 'code 1'
