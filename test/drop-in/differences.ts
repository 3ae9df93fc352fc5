// What differs on purpose between the original and ours. A difference that is not here fails its case; so does an entry that is never met.
import { messageOf } from './compare.ts'
import { rareDifferences } from './differences-rare.ts'
import { added, type Compared, goesOn, isFact, librarys, lost, type Shown, type Situation } from './situation.ts'

export const suiteNames = [
  'config-keys',
  'config-syntax',
  'config-rules',
  'config-lists',
  'config-mutations',
  'command-line',
  'environment',
  'file-names',
  'file-modes',
  'x509',
  'jwt',
  'child-arguments',
  'child-life',
  'signal-names',
  'pid-file',
  'pid-file-end',
  'own-signals',
  'health',
  'agent',
] as const
export type SuiteName = (typeof suiteNames)[number]

const isBetterAddress = ({ one }: Situation): boolean => /: (?:unix:\/\/\/…|unix:\/…|UNIX:\/\/\/…|tcp:\/\/…)$/.test(one.name)

/** Of the token that a file holds. */
function audiencesOf(content = ''): readonly string[] {
  const [, claims = ''] = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(content) ?? []
  return claims === '' ? [] : (JSON.parse(Buffer.from(claims, 'base64url').toString()) as { aud: readonly string[] }).aud
}

export const differences: readonly (Compared | Shown)[] = [
  {
    id: 'version',
    what: '`-version` prints the version of spiffe-helper that it stands for, and its own.',
    reason: 'Whoever reads a report must see which program it was.',
    suites: ['command-line'],
    matches: ({ difference }) => difference.where === 'standard output' && /^v?0\.11\.0\S*svidecar/.test(difference.ours ?? ''),
  },
  {
    id: 'own-words',
    what: 'What Go libraries said after a colon or in `error=` is said in own words, with a remedy; levels, messages before the colon and fields are the same.',
    reason: 'The texts of gRPC and go-spiffe change with their versions, and do not say what to do.',
    suites: ['environment', 'file-names', 'x509', 'jwt', 'child-arguments', 'child-life', 'pid-file-end', 'own-signals', 'health', 'agent'],
    matches: ({ difference: { where, original = '', ours = '' } }) =>
      where === 'log' && librarys.test(original) && messageOf(original).replace('warning', 'error') === messageOf(ours).replace('warning', 'error'),
  },
  {
    id: 'once-goes-on',
    what: 'A one-shot run goes on asking, every few seconds, where the original gives up at once or sleeps for up to an hour; SIGTERM ends it at once.',
    reason: 'An agent that is not there yet, or does not know the workload yet, is what an init container meets every day.',
    suites: ['x509', 'jwt', 'agent'],
    matches: (situation) =>
      goesOn(situation) &&
      (isFact(situation, /^after its complaint$/) ||
        lost(situation, /msg="Error (?:starting|fetching)/) ||
        added(situation, /^level=(?:warning|error) /) ||
        / error=".*stopped by SIG/.test(situation.difference.ours ?? '')),
  },
  {
    id: 'stopped-by',
    what: 'A one-shot run that is stopped says by which signal, instead of `context canceled`.',
    reason: 'It is the reason.',
    suites: ['own-signals'],
    matches: ({ one, difference: { original, ours = '' } }) =>
      / gets SIG/.test(one.name) && /error=".*stopped by SIG(?:TERM|INT)"/.test(ours) && (original === undefined || original.includes('context canceled')),
  },
  {
    id: 'child-stopped',
    what: 'The child of `cmd` is stopped with the daemon, by SIGTERM.',
    reason: 'It was left behind, without anybody who renews its certificates.',
    suites: ['child-arguments', 'child-life', 'signal-names', 'pid-file'],
    matches: ({ difference: { where, original, ours } }) =>
      (where === 'children at the end' && original !== '0' && ours === '0') ||
      (/^child \d+$/.test(where) && (original === 'end' || original === undefined) && ours === 'signal SIGTERM') ||
      (/^child \d+$/.test(where) && original === 'end' && ours === undefined),
  },
  {
    id: 'told-at-start',
    what: 'A wrong `renew_signal` and `cmd_args` that cannot be split are a warning at the start, too.',
    reason: 'The original says so at the first rotation, hours later.',
    suites: ['child-arguments', 'signal-names', 'pid-file', 'pid-file-end'],
    matches: (situation) =>
      added(situation, /^level=warning msg="(?:cmd_args cannot be read|renew_signal .* is no signal)/) ||
      added(situation, /msg="Unable to signal PID file" error="error getting signal: /),
  },
  {
    id: 'address-forms',
    what: '`unix:///path`, `unix:/path` and `tcp://IP:port` are understood, in `agent_address` and in `SPIFFE_ENDPOINT_SOCKET`.',
    reason: 'That is how the SPIFFE specification writes the variable; the original takes bare paths only.',
    suites: ['environment'],
    matches: (situation) => isBetterAddress(situation) && situation.original.facts.get('end') === 'code 1',
  },
  {
    id: 'new-file',
    what: 'A plain file, also one that a symbolic link leads to, is replaced by a new one in one step, with the owner of the old one; mounted files, files with several names and files in folders that cannot be written are written in place, as before.',
    reason: 'A reader never meets an empty file.',
    suites: ['file-names', 'file-modes'],
    matches: ({ difference: { where, original, ours } }) => where.startsWith('inode of ') && original === 'kept' && ours === 'new',
  },
  {
    id: 'replaces-read-only',
    what: 'A file that it may not write, in a folder that it may write, is replaced.',
    reason: 'Otherwise a mode of 0444 lets the first certificate be the last, for everybody but root.',
    suites: ['file-modes'],
    matches: ({ one }) => /^not root: own files of mode 0(?:444|400|000)$/.test(one.name),
  },
  {
    id: 'modes-hold',
    what: 'A mode that the configuration asks for holds for a file that was there before.',
    reason: 'The original asks for it only when it creates the file, so a key may stay readable by everybody.',
    suites: ['file-modes'],
    matches: (situation) =>
      isFact(situation, /^mode of /) &&
      /_file_mode = /.test(String(situation.one.config)) &&
      situation.original.facts.get('end') === situation.ours.facts.get('end'),
  },
  {
    id: 'extra-audiences',
    what: '`jwt_extra_audiences` holds in one-shot runs, too.',
    reason: 'The original forgets them there.',
    suites: ['jwt', 'config-mutations'],
    matches: ({ one, difference }) => {
      const [asked, more] = [audiencesOf(difference.original), audiencesOf(difference.ours)]
      return one.oneShot === true && asked.length === 1 && more.length > 1 && more[0] === asked[0]
    },
  },
  {
    id: 'whole-files',
    what: 'A reader sees whole files only, at every moment.',
    reason: 'The original empties a file before it writes it.',
    shownIn: 'better-readers.test.ts',
  },
  {
    id: 'writes-again',
    what: 'A daemon tries a write that failed again until it succeeds.',
    reason: 'The original waits for the next message of the agent, which may be hours away.',
    shownIn: 'better-files.test.ts',
  },
  {
    id: 'equal-bytes',
    what: 'Equal bytes are neither written nor signalled, and not announced.',
    reason: 'Agents repeat themselves, and a restart of an agent is no reason to reload every server.',
    suites: ['x509'],
    matches: (situation) =>
      /bundle that is not used/.test(situation.one.name) && (isFact(situation, /^waited in vain$/) || lost(situation, /msg="X\.509 certificates updated"/)),
  },
  {
    id: 'ready-means-valid',
    what: 'Readiness is 503 as soon as something on disk has expired; the body says what.',
    reason: 'The original stays ready for ever after its first write.',
    shownIn: 'better-files.test.ts',
  },
  {
    id: 'prompt',
    what: 'A daemon notices an agent that comes back within half a second.',
    reason: 'The original looks after 1, 2, 3 … 30 seconds.',
    shownIn: 'better-agent.test.ts',
  },
  {
    id: 'terminates',
    what: 'SIGTERM is obeyed within a second, whatever is being waited for or tried again; only a child that does not end has five seconds.',
    reason: 'The original sleeps through it, for up to an hour.',
    shownIn: 'better-child.test.ts',
  },
  {
    id: 'no-group',
    what: 'A pid file whose number is less than 2 is refused.',
    reason: 'Such numbers mean process groups, or everybody.',
    suites: ['pid-file-end'],
    matches: ({ one, difference: { where, original = '', ours = '' } }) =>
      /a number below 2/.test(one.name) && where === 'log' && messageOf(original) === messageOf(ours),
  },
  {
    id: 'stable-bundle',
    what: 'The keys in a JWT bundle file have a stable order.',
    reason: 'The original shuffles them at each write.',
    shownIn: 'better-files.test.ts',
  },
  ...rareDifferences,
]

/** The entry that excuses a difference. */
export function allowed(suite: SuiteName, situation: Situation): string | undefined {
  return differences.find(
    (entry) => 'suites' in entry && (entry.suites.includes(suite) || entry.sometimes?.includes(suite) === true) && entry.matches(situation),
  )?.id
}

/** The list as docs/spiffe-helper.md has it. */
export const table = (): string => ['| what differs | why |', '|---|---|', ...differences.map(({ what, reason }) => `| ${what} | ${reason} |`)].join('\n')

if (import.meta.main) console.log(table())
