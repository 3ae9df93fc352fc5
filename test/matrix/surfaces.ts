// The ways by which an SDK gets at credentials of svidecar: what its environment says, for the tests and for docs/sdks.md.

import { dirname } from 'node:path'

/** A place where a daemon can be asked. */
export interface Place {
  readonly socketDirectory: string
  readonly containerUrl: string
  readonly tokenFile: string
  readonly imdsUrl: string
  readonly jwtFile: string
  /** In a home directory of its own. */
  readonly credentialsFile: string
  readonly roleArn: string
  /** A folder for files of this surface alone. */
  readonly folder: string
  /** What runs svidecar. */
  readonly svidecar: string
}

export interface Surface {
  readonly title: string
  /** What a user sets, in one line of the table. */
  readonly set: string
  readonly environment: (place: Place) => Readonly<Record<string, string>>
  /** Read when a process starts, so that each call is made by a new one. */
  readonly eachProcess?: true
  /** A file that the SDK reads, as path and text. */
  readonly configFile?: (place: Place) => string
}

const profileVariables = ({ folder }: Place) => ({ AWS_CONFIG_FILE: `${folder}/config`, AWS_PROFILE: 'app', AWS_SDK_LOAD_CONFIG: '1' })
const profileText = (command: string) => `[profile app]\nregion = us-east-1\ncredential_process = ${command}\n`

export const surfaces = {
  container: {
    title: 'container endpoint',
    set: '`eval "$(svidecar env)"`: `AWS_CONTAINER_CREDENTIALS_FULL_URI` and `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`',
    environment: ({ containerUrl, tokenFile }) => ({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: containerUrl,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: tokenFile,
      AWS_EC2_METADATA_DISABLED: 'true',
    }),
  },
  imds: {
    title: 'IMDSv2',
    set: '`AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9911`',
    environment: ({ imdsUrl }) => ({ AWS_EC2_METADATA_SERVICE_ENDPOINT: imdsUrl }),
  },
  process: {
    title: '`svidecar credential-process`',
    set: '`credential_process = svidecar credential-process --profile app` in a profile of the AWS config file, and `AWS_PROFILE`',
    environment: (place) => ({ ...profileVariables(place), AWS_EC2_METADATA_DISABLED: 'true' }),
    configFile: ({ svidecar, socketDirectory }) => profileText(`${svidecar} credential-process --runtime-dir ${socketDirectory} --consumer app --profile app`),
  },
  curl: {
    title: '`credential_process` by curl',
    set: '`svidecar env --format aws-config >> ~/.aws/config`, and `AWS_PROFILE`',
    environment: (place) => ({ ...profileVariables(place), AWS_EC2_METADATA_DISABLED: 'true' }),
    // Written by `svidecar env` itself.
  },
  shared: {
    title: 'shared credentials file',
    set: '`files: - credentials: { profile: app, path: ~/.aws/credentials }`, and `AWS_PROFILE=app`',
    environment: ({ credentialsFile }) => ({ HOME: dirname(dirname(credentialsFile)), AWS_PROFILE: 'app', AWS_EC2_METADATA_DISABLED: 'true' }),
    eachProcess: true,
  },
  file: {
    title: 'web identity file',
    set: '`files: - jwt: { audience: [sts.amazonaws.com], path: … }`; `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`',
    environment: ({ jwtFile, roleArn }) => ({
      AWS_WEB_IDENTITY_TOKEN_FILE: jwtFile,
      AWS_ROLE_ARN: roleArn,
      AWS_ROLE_SESSION_NAME: 'matrix',
      AWS_EC2_METADATA_DISABLED: 'true',
    }),
  },
} satisfies Record<string, Surface>

export type SurfaceName = keyof typeof surfaces
export const surfaceNames = Object.keys(surfaces) as SurfaceName[]
