// Amazon Resource Names, as far as a credential daemon has to know them.
import { failure } from '../core/errors.ts'

export interface Arn {
  readonly text: string
  readonly partition: string
  readonly service: string
  readonly region: string
  readonly account: string
  /** "role/path/name", "trust-anchor/uuid". */
  readonly resource: string
}

const pattern = /^arn:(aws[a-z-]*):([a-z0-9-]+):([a-z0-9-]*):(\d{12}):([\x21-\x7e]+)$/

const shapes = {
  role: { service: 'iam', resource: /^role\/.*[^/]$/, example: 'arn:aws:iam::111122223333:role/app', regional: false },
  'trust-anchor': {
    service: 'rolesanywhere',
    resource: /^trust-anchor\/[A-Za-z0-9-]+$/,
    example: 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/…',
    regional: true,
  },
  profile: {
    service: 'rolesanywhere',
    resource: /^profile\/[A-Za-z0-9-]+$/,
    example: 'arn:aws:rolesanywhere:eu-central-1:111122223333:profile/…',
    regional: true,
  },
} as const

/** Parses the ARN of a role, a trust anchor or a Roles Anywhere profile. Throws config_invalid with an example. */
export function parseArn(text: string, kind: keyof typeof shapes): Arn {
  const shape = shapes[kind]
  const match = pattern.exec(text)
  const [, partition = '', service = '', region = '', account = '', resource = ''] = match ?? []
  if (match === null || text.length > 2048 || service !== shape.service || !shape.resource.test(resource) || shape.regional !== (region !== '')) {
    throw failure('config_invalid', `${JSON.stringify(text)} is not the ARN of a ${kind.replace('-', ' ')}, such as ${shape.example}`)
  }
  return Object.freeze({ text, partition, service, region, account, resource })
}

/** The last part of a role's name, after its path: what IMDS calls the role. */
export const roleName = (role: Arn): string => role.resource.slice(role.resource.lastIndexOf('/') + 1)
