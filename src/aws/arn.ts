// Amazon Resource Names, as far as a credential daemon has to know them.
import { failure } from '../core/errors.ts'

export type Arn = ReturnType<typeof parseArn>

// IAM knows no regions, Roles Anywhere nothing without one.
const rolesAnywhere = (type: string) => ({
  pattern: new RegExp(`^arn:(aws[a-z-]*):rolesanywhere:([a-z0-9-]+):(\\d{12}):(${type}/[A-Za-z0-9-]+)$`),
  example: `arn:aws:rolesanywhere:eu-central-1:111122223333:${type}/…`,
})
const kinds = {
  role: { pattern: /^arn:(aws[a-z-]*):iam:():(\d{12}):(role\/[\x21-\x7e]*[\x21-\x2e\x30-\x7e])$/, example: 'arn:aws:iam::111122223333:role/app' },
  'trust-anchor': rolesAnywhere('trust-anchor'),
  profile: rolesAnywhere('profile'),
}

/** Parses the ARN of a role, a trust anchor or a Roles Anywhere profile. `resource` is "role/path/name", "trust-anchor/uuid". Throws config_invalid with an example. */
export function parseArn(text: string, kind: keyof typeof kinds) {
  const match = text.length > 2048 ? null : kinds[kind].pattern.exec(text)
  if (match === null) throw failure('config_invalid', `${JSON.stringify(text)} is not the ARN of a ${kind.replace('-', ' ')}, such as ${kinds[kind].example}`)
  const [, partition = '', region = '', account = '', resource = ''] = match
  return Object.freeze({ text, partition, region, account, resource })
}

/** The last part of a role's name, after its path: what IMDS calls the role. */
export const roleName = (role: Arn): string => role.resource.slice(role.resource.lastIndexOf('/') + 1)
