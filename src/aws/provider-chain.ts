// Which credential provider an AWS SDK will use in an environment, and why. Pure: files are handed in as text.

/** What an SDK would see: its environment, and the text of the files that it reads, by path. */
export interface Seen {
  readonly env: Readonly<Record<string, string | undefined>>
  /** undefined: there is no such file, or it may not be read. */
  readonly read: (path: string) => string | undefined
  /** Paths of the credentials endpoints of svidecar that are known here: "127.0.0.1:9912". */
  readonly ours: readonly string[]
}

export interface Verdict {
  readonly sdk: string
  readonly provider: string
  /** It is svidecar that will be asked. */
  readonly isOurs: boolean
  readonly why: string
  /** What to change so that svidecar is asked, and works; empty if nothing. */
  readonly change: string
}

interface Found {
  readonly provider: string
  readonly why: string
  readonly change: string
  readonly isOurs?: boolean
}

type Step = 'environment' | 'profile' | 'web identity' | 'container' | 'instance metadata'

interface Family {
  readonly sdk: string
  readonly order: readonly Step[]
  /** AWS_PROFILE goes before keys of the environment. */
  readonly profileFirst?: true
  /** AWS_CONTAINER_CREDENTIALS_FULL_URI goes before the relative one. */
  readonly fullFirst?: true
  /** Of botocore: a relative URI that is set and empty counts as set, and AWS_DEFAULT_PROFILE goes before AWS_PROFILE. */
  readonly botocore?: true
  /** The oldest release that reads AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (EKS documentation). */
  readonly tokenFile: string
}

// The default chains as the SDKs' sources have them.
const families: readonly Family[] = [
  { sdk: 'JavaScript v3', order: ['environment', 'profile', 'web identity', 'container', 'instance metadata'], profileFirst: true, tokenFile: '3.504.0' },
  { sdk: 'JavaScript v2', order: ['environment', 'profile', 'container', 'web identity', 'instance metadata'], tokenFile: '2.1550.0' },
  {
    sdk: 'boto3, AWS CLI',
    order: ['environment', 'web identity', 'profile', 'container', 'instance metadata'],
    botocore: true,
    tokenFile: 'botocore 1.34.41, CLI 2.15.0',
  },
  {
    sdk: 'Go v2',
    order: ['environment', 'web identity', 'profile', 'container', 'instance metadata'],
    profileFirst: true,
    fullFirst: true,
    tokenFile: 'release 2023-11-14',
  },
  { sdk: 'Java v2', order: ['environment', 'web identity', 'profile', 'container', 'instance metadata'], tokenFile: '2.21.30' },
  { sdk: 'Rust', order: ['environment', 'profile', 'web identity', 'container', 'instance metadata'], tokenFile: 'release 2024-03-13' },
  { sdk: 'C++', order: ['environment', 'profile', 'web identity', 'container', 'instance metadata'], tokenFile: '1.11.263' },
  { sdk: '.NET', order: ['web identity', 'profile', 'environment', 'container', 'instance metadata'], tokenFile: '3.7.734.0' },
]

/** The keys of one section of an AWS file, in lower case; undefined if there is no such section. */
function sectionOf(text: string, names: readonly string[]): ReadonlyMap<string, string> | undefined {
  let found: Map<string, string> | undefined
  let inside = false
  for (const line of text.split(/\r?\n/)) {
    const header = /^\s*\[\s*([^\]]*?)\s*\]/.exec(line)?.[1]
    if (header !== undefined) {
      inside = names.includes(header.replace(/\s+/g, ' '))
      if (inside) found ??= new Map()
    } else if (inside) {
      const at = line.indexOf('=')
      if (at > 0 && !/^[\s#;]/.test(line)) found?.set(line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim())
    }
  }
  return found
}

const home = (env: Seen['env'], path: string): string => path.replace(/^~(?=\/)/, env['HOME'] ?? '~')

/** What the profile in force gives, if anything. */
function profileIn({ env, read }: Seen, { botocore }: Family): Found | undefined {
  const variable = botocore && env['AWS_DEFAULT_PROFILE'] ? 'AWS_DEFAULT_PROFILE' : 'AWS_PROFILE'
  const named = env[variable]
  const name = named || 'default'
  const paths = [env['AWS_SHARED_CREDENTIALS_FILE'] || '~/.aws/credentials', env['AWS_CONFIG_FILE'] || '~/.aws/config'].map((path) => home(env, path))
  const [credentials = '', config = ''] = paths.map((path) => read(path) ?? '')
  const keys = sectionOf(credentials, [name])
  const settings = sectionOf(config, name === 'default' ? ['default', 'profile default'] : [`profile ${name}`])
  const whole = new Map([...(settings ?? []), ...(keys ?? [])])
  const at = `profile ${name} in ${keys?.has('aws_access_key_id') ? paths[0] : paths[1]}`
  const without = named ? `Unset ${variable}` : `Remove the section from ${paths.join(' and ')}`
  const process = whole.get('credential_process')
  const kind = ['role_arn', 'aws_access_key_id', 'credential_process', 'sso_session', 'sso_start_url', 'login_session'].find((key) => whole.has(key))
  if (kind === 'credential_process') {
    const isOurs = /svidecar|credential-process/.test(process ?? '')
    return {
      provider: 'credential_process',
      why: `${at} names a command`,
      isOurs,
      change: isOurs ? '' : `${without}, or let it run svidecar credential-process.`,
    }
  }
  if (kind === 'aws_access_key_id') {
    const isOurs = whole.has('x_security_token_expires')
    return { provider: 'shared file', why: `${at} has keys`, isOurs, change: isOurs ? '' : `${without}.` }
  }
  if (kind !== undefined) return { provider: 'profile', why: `${at} has ${kind}`, change: `${without}.` }
  if (named && keys === undefined && settings === undefined)
    return { provider: 'none', why: `${variable} names ${name}, which is in none of ${paths.join(' and ')}`, change: `${without}.` }
  return undefined
}

const setOurs = 'Set what svidecar env prints.'
const loopback = /^(127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/

function containerIn({ env, read, ours }: Seen, { fullFirst, botocore, tokenFile }: Family): Found | undefined {
  const relative = env['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI']
  const full = env['AWS_CONTAINER_CREDENTIALS_FULL_URI']
  const provider = 'container endpoint'
  if ((relative || (botocore && relative === '')) && (fullFirst === undefined || !full))
    return {
      provider,
      why: `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is set${relative === '' ? ' and empty, which counts here' : ' (ECS)'}`,
      change: 'Unset AWS_CONTAINER_CREDENTIALS_RELATIVE_URI for this process.',
    }
  if (!full) return undefined
  const address = URL.parse(full)
  if (address === null) return { provider: 'none', why: 'AWS_CONTAINER_CREDENTIALS_FULL_URI is no address', change: setOurs }
  const { hostname, host, origin, protocol, pathname } = address
  if (['169.254.170.23', '[fd00:ec2::23]'].includes(hostname))
    return {
      provider,
      why: `AWS_CONTAINER_CREDENTIALS_FULL_URI is EKS Pod Identity's`,
      change: 'Remove the pod identity association, or set what svidecar env prints.',
    }
  const isOurs = ours.includes(host) || (ours.length === 0 && loopback.test(hostname) && pathname.startsWith('/v1/credentials'))
  const found = { provider, isOurs, why: `AWS_CONTAINER_CREDENTIALS_FULL_URI is ${origin}${isOurs ? pathname : ''}` }
  if (!isOurs) return { ...found, change: 'Another server is there: set what svidecar env prints.' }
  if (protocol === 'http:' && !loopback.test(hostname)) return { ...found, change: `SDKs refuse http to ${hostname}: use 127.0.0.1.` }
  const path = env['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE']
  if (!path)
    return env['AWS_CONTAINER_AUTHORIZATION_TOKEN']
      ? { ...found, change: 'A token in a variable cannot be renewed: set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE.' }
      : { ...found, change: 'No token: set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE.' }
  const token = read(path)
  if (token === undefined) return { ...found, change: `The token file ${path} cannot be read by this user: set the consumer's group or owner.` }
  if (/\s/.test(token) || token === '')
    return { ...found, change: `The token file ${path} ${token === '' ? 'is empty' : 'has a newline or blank, which SDKs refuse'}.` }
  return { ...found, why: `${found.why}; needs ${tokenFile} or newer`, change: '' }
}

const steps: Readonly<Record<Step, (seen: Seen, family: Family) => Found | undefined>> = {
  environment: ({ env }) => {
    if (!env['AWS_ACCESS_KEY_ID'] || !env['AWS_SECRET_ACCESS_KEY']) return undefined
    return {
      provider: 'environment',
      why: 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set',
      change: 'Unset AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.',
    }
  },
  profile: profileIn,
  'web identity': ({ env, read }) => {
    const [path, role] = [env['AWS_WEB_IDENTITY_TOKEN_FILE'], env['AWS_ROLE_ARN']]
    if (!path || !role) return undefined
    const isIrsa = path.startsWith('/var/run/secrets/eks.amazonaws.com/')
    const token = read(path)
    const wrong = token === undefined ? `The file ${path} cannot be read.` : /\s/.test(token) ? `The file ${path} has a newline or blank.` : ''
    const change = isIrsa ? 'This is IRSA: take the role annotation from the service account, or leave svidecar out.' : wrong
    return { provider: 'web identity', why: `AWS_WEB_IDENTITY_TOKEN_FILE is ${path} for ${role}${isIrsa ? ' (IRSA)' : ''}`, isOurs: !isIrsa, change }
  },
  container: containerIn,
  'instance metadata': ({ env, ours }) => {
    if (env['AWS_EC2_METADATA_DISABLED']?.toLowerCase() === 'true')
      return { provider: 'none', why: 'nothing else is set, and AWS_EC2_METADATA_DISABLED is true', change: setOurs }
    const endpoint = env['AWS_EC2_METADATA_SERVICE_ENDPOINT']
    const address = URL.parse(endpoint ?? '')
    const isOurs = address !== null && (ours.length === 0 ? loopback.test(address.hostname) : ours.includes(address.host))
    const why = endpoint ? `AWS_EC2_METADATA_SERVICE_ENDPOINT is ${address?.origin ?? 'no address'}` : 'nothing else is set, so the instance itself is asked'
    return { provider: 'instance metadata', why, isOurs, change: isOurs ? '' : setOurs }
  },
}

/** For each family of SDKs the first provider of its default chain that gives something, or ends the search. */
export function verdicts(seen: Seen): Verdict[] {
  const named = Boolean(seen.env['AWS_PROFILE'])
  return families.map((family) => {
    const order: readonly Step[] = named && family.profileFirst ? ['profile', ...family.order] : family.order
    for (const step of order) {
      const found = steps[step](seen, family)
      if (found !== undefined) return { sdk: family.sdk, isOurs: false, ...found }
    }
    return { sdk: family.sdk, provider: 'none', isOurs: false, why: 'nothing is set', change: setOurs }
  })
}
