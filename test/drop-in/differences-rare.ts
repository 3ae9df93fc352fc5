// What differs on purpose where hardly anybody will meet it: mistakes in the configuration, agents that send what is wrong, odd requests.
import { added, type Compared, isFact, lost } from './situation.ts'

/** A number of the configuration as Go reads it. */
const numberOf = (text = '0'): number => Number(text.replace(/^0(?=[0-7])/, '0o'))

export const rareDifferences: readonly Compared[] = [
  {
    id: 'syntax-words',
    what: 'What is wrong with a text that cannot be parsed may be told of another place or in other words.',
    reason: 'The original goes on after the first mistake and tells the last one, counts a column too many at the end, and has a JSON reader of its own.',
    suites: ['config-syntax', 'config-mutations'],
    matches: ({ difference: { where, original = '', ours = '' } }) =>
      where === 'log' && [original, ours].every((line) => line.startsWith('level=error msg="failed to parse configuration" error="failed to parse ')),
  },
  {
    id: 'strict-json',
    what: 'A configuration in JSON must be JSON, and all of JSON: a missing brace or comma, or text behind the end is an error, an exponent in a number is none.',
    reason: 'The original reads as far as it understands, and works with half a configuration.',
    suites: ['config-syntax', 'config-mutations'],
    matches: ({ one, ours }) =>
      /^\s*\{/.test(String(one.config)) && (one.name.endsWith(' with an exponent') || / error parsing JSON: /.test(ours.log.join('\n'))),
  },
  {
    id: 'no-panic',
    what: 'A text at which the original panics is an error like any other, with exit status 1.',
    reason: 'A panic does not say what to change.',
    suites: ['config-syntax'],
    matches: ({ original, ours }) => /^panic: /m.test(original.log.join('\n')) && ours.facts.get('end') === 'code 1',
  },
  {
    id: 'no-crash',
    what: 'Several tokens and bundles may be written at the same moment.',
    reason: 'The original notes them in one map without a lock, and now and then ends with `fatal error: concurrent map writes`.',
    suites: [],
    sometimes: ['file-names', 'file-modes', 'jwt', 'health', 'agent'],
    matches: ({ original }) => original.log.some((line) => line.startsWith('fatal error: concurrent map ')),
  },
  {
    id: 'modes-cut',
    what: 'Of a mode only the last nine bits count, `0777`.',
    reason: 'Go keeps other things than setuid and its like in the bits above, so nobody gets there what was meant.',
    suites: ['config-syntax', 'file-modes'],
    matches: (situation) =>
      isFact(situation, /^mode of /) &&
      (numberOf(/_file_mode = "?(\w+)/.exec(String(situation.one.config))?.[1]) > 0o777 || situation.one.name.endsWith(' own files of mode 4755')),
  },
  {
    id: 'plain-path',
    what: 'A path in an address is a path: `%2e` in it is no dot.',
    reason: 'Whoever writes a path means it, and a path may have a percent sign.',
    suites: ['environment'],
    matches: ({ one }) => one.name === 'an escape in the path',
  },
  {
    id: 'cmd-lookup',
    what: '`cmd` is found and started as by a shell: relative folders in `PATH` count, and a script without `#!` is run by `/bin/sh`.',
    reason: 'That is what execvp does; Go refuses both.',
    suites: ['child-arguments'],
    matches: ({ one }) =>
      /^cmd: (?:a name in the folder, with an? (?:dot|empty part) in PATH|a name and an empty PATH|no script|an empty file)$/.test(one.name),
  },
  {
    id: 'all-or-none',
    what: 'If one of the three X.509 files cannot be written, none is.',
    reason: 'A certificate beside the key of another is worse than an old pair.',
    suites: ['file-names'],
    matches: ({ one, difference: { where, ours } }) =>
      / (?:in a folder that is missing|include a folder for the (?:key|bundle)(?:, and the SVID is rotated)?)$/.test(one.name) &&
      /^(?:type|content|mode|owner) of /.test(where) &&
      ours === undefined,
  },
  {
    id: 'one-name-each',
    what: 'One name for two files is an error, but for an entry of `jwt_svids` that is there twice.',
    reason: 'Only the last write would be left, and which that is changes with every renewal.',
    suites: ['file-names'],
    matches: ({ ours }) => / are one file, /.test(ours.log.join('\n')),
  },
  {
    id: 'other-signals',
    what: 'SIGQUIT and SIGABRT end it without a list of goroutines, SIGALRM and SIGIO as they end other programs.',
    reason: 'Nobody sends them.',
    suites: ['own-signals'],
    matches: ({ one }) => /^a daemon gets SIG(?:QUIT|ABRT|ALRM|IO)$/.test(one.name),
  },
  {
    id: 'one-line',
    what: 'A JWT-SVID that cannot be fetched is one line, `Unable to update JWT SVID`, without another before it.',
    reason: 'The two say the same.',
    suites: ['jwt', 'health'],
    matches: (situation) => lost(situation, /msg="Unable to fetch JWT SVID: /),
  },
  {
    id: 'no-signature',
    what: 'The signature of a JWT-SVID is not checked before it is written.',
    reason: 'Token and keys come from the same agent by the same socket; who is shown the token checks it.',
    suites: ['jwt'],
    matches: ({ one }) => one.name.endsWith(' token of a foreign key'),
  },
  {
    id: 'own-id',
    what: 'A JWT-SVID is refused if the agent says that it belongs to another SPIFFE ID than the token does, or to none.',
    reason: 'One of the two is wrong.',
    suites: ['jwt'],
    matches: ({ one }) => /^answer.*: an empty SPIFFE ID$/.test(one.name),
  },
  {
    id: 'last-good-bundle',
    what: 'A message without any JWT bundle, or with one that has no list of keys, leaves the last good file as it is.',
    reason: 'Whoever checks tokens with an empty bundle refuses everybody.',
    suites: ['jwt'],
    matches: ({ one }) => /^bundle.*: (?:none|a key set without keys|a key set that is null)$/.test(one.name),
  },
  {
    id: 'usable-keys',
    what: 'Of a JWT bundle those keys are written that can check a JWT-SVID: with a `kid`, and RSA or EC.',
    reason: 'The original drops the whole bundle for some of the others, and passes on the rest, even a symmetric key.',
    suites: ['jwt'],
    matches: ({ one }) => /^bundle.*: (?:a key without kid|a key of an unknown kind|a key that is symmetric|an Ed25519 key)$/.test(one.name),
  },
  {
    id: 'empty-list',
    what: 'A JWT bundle without keys has `"keys":[]`.',
    reason: 'It is a list; the original writes null.',
    suites: ['jwt'],
    matches: ({ difference: { where, original = '', ours = '' } }) => where.startsWith('content of ') && original.replaceAll('{}', '{"keys":[]}') === ours,
  },
  {
    id: 'own-expiry',
    what: 'The token that is written says when the next one is due.',
    reason: 'For the original it is the first of the answer, although `hint` may have chosen another.',
    suites: ['jwt'],
    matches: ({ one }) => one.name === 'the first token says when, also when the hint chose another',
  },
  {
    id: 'once-each',
    what: 'A one-shot run writes what there is, also if something else is missing.',
    reason: 'It goes on asking for the rest meanwhile.',
    suites: ['jwt'],
    matches: (situation) =>
      situation.one.name === 'stages: no X.509-SVID' && isFact(situation, /^(?:type|content|mode|owner) of /) && situation.difference.original === undefined,
  },
  {
    id: 'health-paths',
    what: 'The health paths are plain paths, and are compared as they are written: no methods, hosts or wildcards in the configuration, no redirects.',
    reason: 'They are probes. The original panics at some paths, and answers to others by the rules of Go 1.22.',
    suites: ['health'],
    matches: ({ one }) =>
      /^(?:asked: paths with dots and slashes|configured: a path (?:that ends with a slash|with a (?:wildcard|method|host))|odd: (?:equal paths|the readiness path for both|a path (?:without slash|with .*)))$/.test(
        one.name,
      ),
  },
  {
    id: 'http-methods',
    what: 'A method that HTTP does not have is answered with 400.',
    reason: 'Node.js does not read such a request.',
    suites: ['health'],
    matches: (situation) => isFact(situation, /^FOO /),
  },
  {
    id: 'more-tries',
    what: 'While the agent is away, or knows of no identity, there is a line for every new reason.',
    reason: 'It is looked for more often; the original waits for the first JWT bundle without a word.',
    suites: ['agent'],
    sometimes: ['child-life', 'health'],
    matches: (situation) =>
      added(situation, /^level=error msg="Error while watching /) ||
      (/^(?:once|no agent)\b/.test(situation.one.name) &&
        added(situation, /^level=(?:warning|error) msg="(?:Error while watching |Unable to update JWT SVID: )/)),
  },
  {
    id: 'never-ends',
    what: 'No answer of an agent ends a daemon, not even `Canceled` and `InvalidArgument`.',
    reason: 'Its child and its files would be without care.',
    suites: ['agent'],
    matches: ({ one }) => /^(?:(?:Canceled|InvalidArgument) for .*, as a daemon|one of two streams ends the program)$/.test(one.name),
  },
  {
    id: 'slow-refusals',
    what: 'An agent that refuses with `Unimplemented` or `InvalidArgument` is asked again after a minute.',
    reason: 'It takes another version of the agent to change that.',
    suites: ['agent'],
    matches: ({ one }) => /^Unimplemented for .*, as a daemon$/.test(one.name),
  },
  {
    id: 'expired-is-none',
    what: 'A one-shot run does not take an X.509-SVID that has expired for success, but writes it and asks again.',
    reason: 'What starts after it could not use it.',
    suites: ['x509'],
    matches: (situation) => situation.one.name.startsWith('an expired leaf') && !isFact(situation, /^(?:type|content|mode|owner) of /),
  },
  {
    id: 'omits-no-leaf',
    what: '`omit_expired` leaves the leaf where it is, and a bundle in which everything has expired.',
    reason: 'An empty file says less about what is wrong.',
    suites: ['x509'],
    matches: (situation) =>
      /^an expired (?:leaf|root).*, (?:without what has expired|all of it)$/.test(situation.one.name) && isFact(situation, /^content of (?:svid|bundle)\.pem$/),
  },
  {
    id: 'own-bundle',
    what: 'If an agent has our own trust domain among the foreign ones, the roots beside the SVID count.',
    reason: 'They come with the SVID. SPIRE does not send such messages.',
    suites: ['x509'],
    matches: (situation) => situation.one.name.startsWith('our own trust domain among the foreign') && isFact(situation, /^content of bundle\.pem$/),
  },
  {
    id: 'checked-names',
    what: 'An X.509-SVID is refused if its SPIFFE ID has no path, or is not the one that the agent says.',
    reason: 'The first names a trust domain (X509-SVID 5.2); in the second case one of the two is wrong.',
    suites: ['x509'],
    matches: ({ one }) => /^wrong.*: (?:another SPIFFE ID|the leaf is of another trust domain|the leaf has no path)$/.test(one.name),
  },
]
