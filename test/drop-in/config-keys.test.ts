// Every configuration key with values of every kind: what is accepted does the same, what is refused is refused in the same words.
import { type Case, compareAll } from './case.ts'
import { address, jwtEntry, names } from './configs.ts'
import { x509 } from './material.ts'

type Kind = 'text' | 'number' | 'truth'

interface Key {
  readonly name: string
  readonly kind: Kind
  /** A value with which the rest of the configuration is valid. */
  readonly good: string
}

const keys: readonly Key[] = [
  { name: 'agent_address', kind: 'text', good: '"{socket}"' },
  { name: 'cmd', kind: 'text', good: '"/bin/true"' },
  { name: 'cmd_args', kind: 'text', good: '"a b"' },
  { name: 'pid_file_name', kind: 'text', good: '"pid"' },
  { name: 'cert_dir', kind: 'text', good: '"."' },
  { name: 'cert_file_mode', kind: 'number', good: '0640' },
  { name: 'key_file_mode', kind: 'number', good: '0640' },
  { name: 'jwt_bundle_file_mode', kind: 'number', good: '0640' },
  { name: 'jwt_svid_file_mode', kind: 'number', good: '0640' },
  { name: 'add_intermediates_to_bundle', kind: 'truth', good: 'true' },
  { name: 'include_federated_domains', kind: 'truth', good: 'true' },
  { name: 'omit_expired', kind: 'truth', good: 'true' },
  { name: 'renew_signal', kind: 'text', good: '"SIGHUP"' },
  { name: 'daemon_mode', kind: 'truth', good: 'false' },
  { name: 'hint', kind: 'text', good: '"internal"' },
  { name: 'svid_file_name', kind: 'text', good: '"svid.pem"' },
  { name: 'svid_key_file_name', kind: 'text', good: '"key.pem"' },
  { name: 'svid_bundle_file_name', kind: 'text', good: '"bundle.pem"' },
  { name: 'jwt_bundle_file_name', kind: 'text', good: '"bundle.json"' },
]

/** What each key is given; {key} and {good} are filled in. */
const forms: Readonly<Record<string, string>> = {
  'its good value': '{key} = {good}',
  'an empty text': '{key} = ""',
  zero: '{key} = 0',
  'a number': '{key} = 5',
  'a true': '{key} = true',
  'a list': '{key} = ["a"]',
  'an object': '{key} = { a = "b" }',
  'a quoted name': '"{key}" = {good}',
  'a number below zero': '{key} = -1',
  'a fraction': '{key} = 1.5',
  'true in quotes': '{key} = "true"',
  'an empty list': '{key} = []',
  'a block': '{key} { a = "b" }',
  'an empty block': '{key} {}',
  'a bare word': '{key} = word',
  nothing: '{key} =',
  'a heredoc': '{key} = <<EOF\nsvid.pem\nEOF',
  'an upper-case name': '{KEY} = {good}',
  'a name in mixed case': '{Key} = {good}',
  'its good value after a bad one': '{key} = [1]\n{key} = {good}',
  'a good value and then none': '{key} = {good}\n{key} = ""',
  'a colon': '{key}: {good}',
  'a name with a dash': '{dashed} = {good}',
}

// How a name is written and how a value is read has nothing to do with the key.
const forFew = new Set(Object.keys(forms).slice(8))
const few = new Set(['cmd', 'cert_file_mode', 'omit_expired', 'svid_file_name'])

// Both programs would go on asking for an agent at an address that does not exist.
const elsewhere = new Set(['a number', 'a number below zero', 'zero', 'a heredoc', 'true in quotes', 'a fraction'])

const hints = ['', 'internal', '0', '5', '-1', '1.5', 'true', 'svid.pem\n', 'svid.pem']

const capitalised = (name: string): string => name.replaceAll(/(?:^|_)[a-z]/g, (start) => start.toUpperCase())

const cases: Case[] = keys.flatMap((key) =>
  Object.entries(forms)
    .filter(([form]) => (key.name !== 'agent_address' || !elsewhere.has(form)) && (!forFew.has(form) || few.has(key.name)))
    .map(([form, text]): Case => {
      const line = text
        .replaceAll('{key}', key.name)
        .replaceAll('{KEY}', key.name.toUpperCase())
        .replaceAll('{Key}', capitalised(key.name))
        .replaceAll('{dashed}', key.name.replaceAll('_', '-'))
        .replaceAll('{good}', key.good)
      const rest = [names.svid, names.key, names.bundle, ...(key.name.startsWith('jwt_bundle') ? ['jwt_bundle_file_name = "bundle.json"\n'] : [])]
        .filter((one) => !one.startsWith(`${key.name} `))
        .join('')
      const token = key.name === 'jwt_svid_file_mode' ? `jwt_svids = [${jwtEntry('a', 'token')}]\n` : ''
      return {
        name: `${key.name}: ${form}`,
        // The flag would go before the key that is tried.
        oneShot: key.name !== 'daemon_mode',
        config: `${key.name === 'agent_address' ? '' : address}${rest}${token}${line}\n`,
        env: { SPIFFE_ENDPOINT_SOCKET: '{socket}' },
        // The SVID that is written shows what was understood.
        ...(key.name === 'hint' && { serve: async () => ({ x509: await x509(...hints.map((hint) => ({ hint, path: `/${hints.indexOf(hint)}` }))) }) }),
      }
    }),
)

compareAll('config-keys', cases, 4)
