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
  /** When it asks again; left out: it does not work there. */
  readonly how: Readonly<Partial<Record<SurfaceName, string>>>
  /** What has to be set besides, and what to beware of: a sentence each. */
  readonly notes: readonly string[]
}

const program = (name: string): string => join(import.meta.dirname, 'programs', name)
const beforeFive = 'from 5 min before the end'
const node = process.execPath

export const sdks = {
  javascript3: {
    title: 'JavaScript v3',
    pin: ['npm/package.json', '"sts-newest": "npm:@aws-sdk/client-sts@'],
    oldest: '3.504.0',
    command: ({ npm }) => [node, program('javascript3.ts'), npm, 'sts-newest'],
    how: { container: beforeFive, imds: beforeFive, process: beforeFive, curl: beforeFive, file: beforeFive },
    notes: [],
  },
  javascript3oldest: {
    title: 'JavaScript v3, oldest',
    pin: ['npm/package.json', '"sts-oldest": "npm:@aws-sdk/client-sts@'],
    oldest: '3.504.0',
    command: ({ npm }) => [node, program('javascript3.ts'), npm, 'sts-oldest'],
    how: { container: beforeFive, imds: beforeFive, process: beforeFive, curl: beforeFive, file: beforeFive },
    notes: [],
  },
  javascript2: {
    title: 'JavaScript v2',
    pin: ['npm/package.json', '"aws-sdk": "'],
    oldest: '2.1550.0',
    command: ({ npm }) => [node, program('javascript2.ts'), npm],
    hoursAtImds: true,
    how: { container: 'x', imds: 'x', process: 'x', curl: 'x', file: 'x' },
    notes: [],
  },
  crt: {
    title: 'Common Runtime (aws-crt)',
    pin: ['npm/package.json', '"aws-crt": "'],
    oldest: '',
    command: ({ npm }) => [node, program('crt.ts'), npm],
    how: { container: 'x', imds: 'x', process: 'x', curl: 'x' },
    notes: [],
  },
  boto3: {
    title: 'boto3',
    pin: ['../sdk/python/requirements.txt', 'boto3=='],
    oldest: '1.34.41',
    command: ({ python }) => [join(python, 'bin/python'), join(import.meta.dirname, '../sdk/python/client.py')],
    hoursAtImds: true,
    how: { container: 'x', imds: 'x', process: 'x', curl: 'x', file: 'x' },
    notes: [],
  },
  cli: {
    title: 'AWS CLI',
    pin: ['python/requirements.txt', 'awscli=='],
    oldest: '1.30.0 and 2.15.0',
    command: ({ cli }) => [join(cli, 'bin/aws'), 'sts', 'get-caller-identity', '--output', 'json'],
    eachCall: true,
    how: { container: 'x', imds: 'x', process: 'x', curl: 'x', file: 'x' },
    notes: [],
  },
  go: {
    title: 'Go v2',
    pin: ['go/go.mod', 'github.com/aws/aws-sdk-go-v2/config v'],
    oldest: '2023-11-14',
    command: ({ go }) => [go],
    how: { container: 'x', imds: 'x', process: 'x', curl: 'x', file: 'x' },
    notes: [],
  },
} satisfies Record<string, Sdk>

export type SdkName = keyof typeof sdks
