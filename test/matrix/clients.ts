// The SDKs of the matrix: how each is run, and what docs/sdks.md says of it.
import { join } from 'node:path'
import type { SurfaceName } from './surfaces.ts'

/** Where the SDKs are installed. */
export interface Tools {
  readonly npm: string
  readonly go: string
  readonly cli: string
  readonly python: string
}

export interface Sdk {
  readonly title: string
  /** Where the pinned version stands: a file and what stands before it. */
  readonly pin: readonly [file: string, before: string]
  /** The first release that reads AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE. */
  readonly oldest: string
  /** A program that takes a line for a call; or a command that is run for each call. */
  readonly command: (tools: Tools) => readonly string[]
  readonly eachCall?: true
  /** What it does at IMDS depends on its own clock so much that sessions have to live as long as in life. */
  readonly hoursAtImds?: true
  /** By a web identity it asks STS at no other address than the public one. */
  readonly publicSts?: true
  /** When it asks again; left out: it does not work there. */
  readonly how: Readonly<Partial<Record<SurfaceName, string>>>
  /** What has to be set besides, and what to beware of: a sentence each. */
  readonly notes: readonly string[]
}

const program = (name: string): string => join(import.meta.dirname, 'programs', name)
const five = 'renewed in the last 5 min'
const everyCall = 'asked for each call'
const fifteen = 'renewed in the last 15 s'
/** Who renews so late may have signed a call a millisecond before the end that AWS gets after it. */
export const atEnd = 'renewed at the end'
const window = 'renewed in the last 10 to 15 min'
const each = 'asked by each command'
const start = 'read at the start of a process'
const node = process.execPath

export const sdks = {
  javascript3: {
    title: 'JavaScript v3',
    pin: ['npm/package.json', '"sts-newest": "npm:@aws-sdk/client-sts@'],
    oldest: '3.504.0',
    command: ({ npm }) => [node, program('javascript3.ts'), npm, 'sts-newest'],
    how: { container: five, imds: five, process: five, curl: five, shared: start, file: five },
    notes: ['A token file that ends in a newline is ignored: it then asks without a token. That of svidecar has none.'],
  },
  javascript3oldest: {
    title: 'JavaScript v3, oldest',
    pin: ['npm/package.json', '"sts-oldest": "npm:@aws-sdk/client-sts@'],
    oldest: '3.504.0',
    command: ({ npm }) => [node, program('javascript3.ts'), npm, 'sts-oldest'],
    how: { container: everyCall, imds: everyCall, process: everyCall, curl: everyCall, shared: start, file: everyCall },
    notes: ['`fromHttp` reads the token file since 3.458.0; the default chain uses it since 3.504.0.'],
  },
  javascript2: {
    title: 'JavaScript v2',
    pin: ['npm/package.json', '"aws-sdk": "'],
    oldest: '2.1550.0',
    command: ({ npm }) => [node, program('javascript2.ts'), npm],
    hoursAtImds: true,
    how: { container: fifteen, imds: fifteen, process: fifteen, curl: fifteen, shared: start, file: fifteen },
    notes: [
      'Set `AWS_SDK_LOAD_CONFIG=1` for profiles of the config file; without it `AWS_SHARED_CREDENTIALS_FILE` counts for nothing either.',
      'Needs a logger (`AWS.config.logger`) at IMDS: without one a call never returns when credentials have less than 15 s left, as at the end of a long outage.',
      '`AWS_CONTAINER_AUTHORIZATION_TOKEN` goes before the file: leave it unset.',
    ],
  },
  crt: {
    title: 'Common Runtime (aws-crt)',
    pin: ['npm/package.json', '"aws-crt": "'],
    oldest: '',
    command: ({ npm }) => [node, program('crt.ts'), npm],
    publicSts: true,
    how: { container: five, imds: five, process: five, curl: five, shared: start, file: five },
    notes: [
      'With a web identity file it takes `AWS_ENDPOINT_URL_STS` for a host name, to which it speaks https: leave it unset, or set the name alone.',
      'A token of IMDS is kept for 6 hours: svidecar keeps them valid over a restart of the daemon.',
    ],
  },
  boto3: {
    title: 'boto3',
    pin: ['../sdk/python/requirements.txt', 'boto3=='],
    oldest: '1.34.41',
    command: ({ python }) => [join(python, 'bin/python'), join(import.meta.dirname, '../sdk/python/client.py')],
    hoursAtImds: true,
    how: { container: window, imds: window, process: window, curl: window, shared: start, file: window },
    notes: [
      'At IMDS set `NO_PROXY=127.0.0.1` where `HTTP_PROXY` is set.',
      'An empty `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` counts as set: unset it.',
      'At IMDS it gives credentials with less than 25 min left another end, and may use them when they have ended: sessions should live an hour or more.',
    ],
  },
  cli: {
    title: 'AWS CLI',
    pin: ['python/requirements.txt', 'awscli=='],
    oldest: '1.30.0 and 2.15.0',
    command: ({ cli }) => [join(cli, 'bin/aws'), 'sts', 'get-caller-identity', '--output', 'json'],
    eachCall: true,
    how: { container: each, imds: each, process: each, curl: each, shared: each, file: each },
    notes: ['As boto3: `NO_PROXY=127.0.0.1` at IMDS, and no empty `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`.'],
  },
  go: {
    title: 'Go v2',
    pin: ['go/go.mod', 'github.com/aws/aws-sdk-go-v2/config v'],
    oldest: '2023-11-14',
    command: ({ go }) => [go],
    how: { container: five, imds: atEnd, process: atEnd, curl: atEnd, shared: start, file: atEnd },
    notes: [
      '`AWS_CONTAINER_CREDENTIALS_FULL_URI` goes before the relative one.',
      'Where it renews at the end, a call that was signed in the last milliseconds of a key can be refused as expired: try such a call again.',
      'Gives up on an IMDS answer after 500 ms, so credentials must come from memory.',
    ],
  },
} satisfies Record<string, Sdk>

export type SdkName = keyof typeof sdks
