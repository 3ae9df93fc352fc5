// Configurations with small random damage: both programs must agree on every one. SVIDECAR_DROP_IN_SEED and _MUTATIONS ask for others, and for more.
import { seeded } from '../support/random.ts'
import { type Case, compareAll } from './case.ts'
import { jwtEntry, names } from './configs.ts'

const seed = Number(process.env['SVIDECAR_DROP_IN_SEED'] ?? 1)
const count = Number(process.env['SVIDECAR_DROP_IN_MUTATIONS'] ?? 150)

const sources: readonly string[] = [
  `${names.svid}${names.key}${names.bundle}cert_file_mode = 0640 # octal\nomit_expired = false\nrenew_signal = "SIGHUP"\n`,
  `/* tokens */\njwt_svids = [\n  ${jwtEntry('a', 'f')},\n  ${jwtEntry('b', 'g', ', jwt_extra_audiences = ["c", "d"]')}\n]\njwt_bundle_file_name = "bundle.json"\n`,
  `${names.svid}${names.key}${names.bundle}health_checks {\n  listener_enabled = false\n  bind_port = 8082\n  liveness_path = "/live"\n}\ncmd_args = "a \\"b\\" \${c}"\n`,
  `${names.svid}${names.key}${names.bundle}cmd_args = <<-EOF\n  \n  EOF\ncmd = ""\nmore "label" { a = 1 }\n`,
  '{ "svid_file_name": "svid.pem", "svid_key_file_name": "key.pem", "svid_bundle_file_name": "bundle.pem", "cert_file_mode": "0640", "omit_expired": true }\n',
]

const tokenPattern = /\s+|[A-Za-z_]+|\d+|"(?:[^"\\]|\\.)*"|./gs
const junk = [
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  '=',
  ':',
  '#',
  '//',
  '/*',
  '*/',
  '\\',
  '${',
  '}',
  '<<EOF\n',
  '\n',
  '0',
  '-',
  '0x',
  '.',
  'e',
  'true',
  "'",
  '$',
  '\r',
  '\t',
  'é',
  '\0',
]

/** One to three small changes: a word less, a word twice, two words changed places, something put between. */
function mutate(text: string, random: () => number): string {
  const words = [...(text.match(tokenPattern) ?? [])]
  const some = <T>(list: readonly T[]): number => Math.floor(random() * list.length)
  for (let n = 1 + Math.floor(random() * 3); n > 0; n--) {
    const at = some(words)
    const other = some(words)
    const kind = Math.floor(random() * 5)
    if (kind === 0) words.splice(at, 1)
    else if (kind === 1) words.splice(at, 0, words[at] ?? '')
    else if (kind === 2) [words[at], words[other]] = [words[other] ?? '', words[at] ?? '']
    else if (kind === 3) words.splice(at, 0, junk[some(junk)] ?? '')
    else words[at] = (words[at] ?? '').slice(0, -1)
  }
  return words.join('')
}

const cases = Array.from({ length: count }, (_, n): Case => {
  const random = seeded(seed * 1_000_003 + n)
  const source = sources[n % sources.length] ?? ''
  return { name: `seed ${seed}, number ${n + 1}`, config: mutate(source, random), oneShot: true, env: { SPIFFE_ENDPOINT_SOCKET: '{socket}' } }
})

compareAll('config-mutations', cases, 4)
