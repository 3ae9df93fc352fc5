// The command line against Go's flag package: every form of a flag, where flags end, and every complaint with its exit status.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseFlags } from '../../src/spiffe-helper/flags.ts'
import { table } from './support.ts'

const usage = `Usage of spiffe-helper:
  -config string
    \t<configFile> Configuration file path (default "helper.conf")
  -daemon-mode
    \tToggle running as a daemon to rotate X.509/JWT or just fetch and exit (default true)
  -version
    \tprint version
`

/** What is told in front of the usage, or what is to be done. */
const flags = (args: readonly string[]): unknown => {
  const got = parseFlags(args, 'spiffe-helper')
  if (got.kind === 'version') return 'version'
  if (got.kind === 'run') return { config: got.config, daemonMode: got.daemonMode ?? 'unset' }
  assert.ok(got.text.endsWith(usage), got.text)
  return { says: got.text.slice(0, -usage.length), status: got.status }
}

table(
  'without flags the file is helper.conf and the mode is the one of the file',
  [
    [[], { config: 'helper.conf', daemonMode: 'unset' }],
    [['-'], { config: 'helper.conf', daemonMode: 'unset' }],
    [['--'], { config: 'helper.conf', daemonMode: 'unset' }],
    [['x'], { config: 'helper.conf', daemonMode: 'unset' }],
    [[''], { config: 'helper.conf', daemonMode: 'unset' }],
  ],
  flags,
)

table(
  '-config takes the next word or what follows the equals sign',
  [
    [['-config', 'x'], { config: 'x', daemonMode: 'unset' }],
    [['--config', 'x'], { config: 'x', daemonMode: 'unset' }],
    [['-config=x'], { config: 'x', daemonMode: 'unset' }],
    [['--config=x'], { config: 'x', daemonMode: 'unset' }],
    [['-config=a=b'], { config: 'a=b', daemonMode: 'unset' }],
    [['-config='], { config: '', daemonMode: 'unset' }],
    [['-config', ''], { config: '', daemonMode: 'unset' }],
    [['-config', '-version'], { config: '-version', daemonMode: 'unset' }],
    [['-config', '--'], { config: '--', daemonMode: 'unset' }],
    [['-config', '-config'], { config: '-config', daemonMode: 'unset' }],
    [['-config=x', '-config=y'], { config: 'y', daemonMode: 'unset' }],
    [['-config=a\nb'], { config: 'a\nb', daemonMode: 'unset' }],
    [['-config=x y'], { config: 'x y', daemonMode: 'unset' }],
    [['-config', 'x', '-config='], { config: '', daemonMode: 'unset' }],
  ],
  flags,
)

table(
  '-config needs a word',
  [
    [['-config'], { says: 'flag needs an argument: -config\n', status: 2 }],
    [['--config'], { says: 'flag needs an argument: -config\n', status: 2 }],
    [['-version', '-config'], { says: 'flag needs an argument: -config\n', status: 2 }],
  ],
  flags,
)

table(
  '-daemon-mode is true or false in the spellings of Go',
  [
    [['-daemon-mode'], { config: 'helper.conf', daemonMode: true }],
    [['--daemon-mode'], { config: 'helper.conf', daemonMode: true }],
    [['-daemon-mode=true'], { config: 'helper.conf', daemonMode: true }],
    [['-daemon-mode=false'], { config: 'helper.conf', daemonMode: false }],
    [['-daemon-mode=1'], { config: 'helper.conf', daemonMode: true }],
    [['-daemon-mode=0'], { config: 'helper.conf', daemonMode: false }],
    [['-daemon-mode=t'], { config: 'helper.conf', daemonMode: true }],
    [['-daemon-mode=f'], { config: 'helper.conf', daemonMode: false }],
    [['-daemon-mode=T'], { config: 'helper.conf', daemonMode: true }],
    [['-daemon-mode=F'], { config: 'helper.conf', daemonMode: false }],
    [['-daemon-mode=TRUE'], { config: 'helper.conf', daemonMode: true }],
    [['-daemon-mode=FALSE'], { config: 'helper.conf', daemonMode: false }],
    [['-daemon-mode=True'], { config: 'helper.conf', daemonMode: true }],
    [['-daemon-mode=False'], { config: 'helper.conf', daemonMode: false }],
    [['-daemon-mode=true', '-daemon-mode=false'], { config: 'helper.conf', daemonMode: false }],
    [['-daemon-mode=false', '-daemon-mode'], { config: 'helper.conf', daemonMode: true }],
  ],
  flags,
)

table(
  '-daemon-mode in other spellings is refused',
  [
    [['-daemon-mode=yes'], { says: 'invalid boolean value "yes" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=no'], { says: 'invalid boolean value "no" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode='], { says: 'invalid boolean value "" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=fALSE'], { says: 'invalid boolean value "fALSE" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=tRUE'], { says: 'invalid boolean value "tRUE" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=2'], { says: 'invalid boolean value "2" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=on'], { says: 'invalid boolean value "on" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode= true'], { says: 'invalid boolean value " true" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode="'], { says: 'invalid boolean value "\\"" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=é'], { says: 'invalid boolean value "é" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=a\nb'], { says: 'invalid boolean value "a\\nb" for -daemon-mode: parse error\n', status: 2 }],
    [['-version=maybe'], { says: 'invalid boolean value "maybe" for -version: parse error\n', status: 2 }],
    [['-version='], { says: 'invalid boolean value "" for -version: parse error\n', status: 2 }],
  ],
  flags,
)

table(
  'a name that JavaScript gives to every object is no boolean',
  [
    [['-daemon-mode=toString'], { says: 'invalid boolean value "toString" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=constructor'], { says: 'invalid boolean value "constructor" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=__proto__'], { says: 'invalid boolean value "__proto__" for -daemon-mode: parse error\n', status: 2 }],
    [['-version=__proto__'], { says: 'invalid boolean value "__proto__" for -version: parse error\n', status: 2 }],
    [['-version=valueOf'], { says: 'invalid boolean value "valueOf" for -version: parse error\n', status: 2 }],
  ],
  flags,
)

table(
  'a refused value is quoted as Go quotes',
  [
    [['-daemon-mode=\u0001'], { says: 'invalid boolean value "\\x01" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=\u007f'], { says: 'invalid boolean value "\\x7f" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=\u00a0'], { says: 'invalid boolean value "\\u00a0" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=\u000b\u0007'], { says: 'invalid boolean value "\\v\\a" for -daemon-mode: parse error\n', status: 2 }],
  ],
  flags,
)

table(
  'a value behind a space does not belong to -daemon-mode, and ends the flags',
  [
    [['-daemon-mode', 'false'], { config: 'helper.conf', daemonMode: true }],
    [['-daemon-mode', 'false', '-version'], { config: 'helper.conf', daemonMode: true }],
    [['-daemon-mode', 'false', '-config=x'], { config: 'helper.conf', daemonMode: true }],
  ],
  flags,
)

table(
  '-version wins, whatever else is right',
  [
    [['-version'], 'version'],
    [['--version'], 'version'],
    [['-version=true'], 'version'],
    [['-version=1'], 'version'],
    [['-version=false'], { config: 'helper.conf', daemonMode: 'unset' }],
    [['-version', '-config=x'], 'version'],
    [['-config=x', '-version'], 'version'],
    [['-version', '-version=false'], { config: 'helper.conf', daemonMode: 'unset' }],
    [['-version', 'x'], 'version'],
  ],
  flags,
)

table(
  'help is told with status 0',
  [
    [['-h'], { says: '', status: 0 }],
    [['--h'], { says: '', status: 0 }],
    [['-help'], { says: '', status: 0 }],
    [['--help'], { says: '', status: 0 }],
    [['-h=1'], { says: '', status: 0 }],
    [['-help=false'], { says: '', status: 0 }],
    [['-version', '-h'], { says: '', status: 0 }],
    [['-h', '-version'], { says: '', status: 0 }],
    [['-config=x', '-help'], { says: '', status: 0 }],
  ],
  flags,
)

table(
  'an unknown flag is refused with status 2',
  [
    [['-x'], { says: 'flag provided but not defined: -x\n', status: 2 }],
    [['--x'], { says: 'flag provided but not defined: -x\n', status: 2 }],
    [['-x=1'], { says: 'flag provided but not defined: -x\n', status: 2 }],
    [['-x y'], { says: 'flag provided but not defined: -x y\n', status: 2 }],
    [['-v'], { says: 'flag provided but not defined: -v\n', status: 2 }],
    [['-Version'], { says: 'flag provided but not defined: -Version\n', status: 2 }],
    [['-CONFIG=x'], { says: 'flag provided but not defined: -CONFIG\n', status: 2 }],
    [['-daemon_mode'], { says: 'flag provided but not defined: -daemon_mode\n', status: 2 }],
    [['-constructor'], { says: 'flag provided but not defined: -constructor\n', status: 2 }],
    [['-__proto__=1'], { says: 'flag provided but not defined: -__proto__\n', status: 2 }],
    [['-version', '-x'], { says: 'flag provided but not defined: -x\n', status: 2 }],
    [['-a\nb'], { says: 'flag provided but not defined: -a\nb\n', status: 2 }],
    [['-a\nb=c'], { says: 'flag provided but not defined: -a\nb\n', status: 2 }],
    [['-daemonmode'], { says: 'flag provided but not defined: -daemonmode\n', status: 2 }],
  ],
  flags,
)

table(
  'a flag with a wrong shape is refused with status 2',
  [
    [['---x'], { says: 'bad flag syntax: ---x\n', status: 2 }],
    [['---'], { says: 'bad flag syntax: ---\n', status: 2 }],
    [['-=x'], { says: 'bad flag syntax: -=x\n', status: 2 }],
    [['--=x'], { says: 'bad flag syntax: --=x\n', status: 2 }],
    [['-='], { says: 'bad flag syntax: -=\n', status: 2 }],
    [['--='], { says: 'bad flag syntax: --=\n', status: 2 }],
    [['----config=x'], { says: 'bad flag syntax: ----config=x\n', status: 2 }],
    [['---config=x'], { says: 'bad flag syntax: ---config=x\n', status: 2 }],
  ],
  flags,
)

table(
  'the first word that is no flag ends the flags',
  [
    [['x', '-version'], { config: 'helper.conf', daemonMode: 'unset' }],
    [['-', '-version'], { config: 'helper.conf', daemonMode: 'unset' }],
    [['--', '-version'], { config: 'helper.conf', daemonMode: 'unset' }],
    [['', '-version'], { config: 'helper.conf', daemonMode: 'unset' }],
    [['-config=x', 'y', '-config=z'], { config: 'x', daemonMode: 'unset' }],
    [['-config=x', '--', '-config=z'], { config: 'x', daemonMode: 'unset' }],
  ],
  flags,
)

table(
  'the first mistake is told',
  [
    [['-x', '-y'], { says: 'flag provided but not defined: -x\n', status: 2 }],
    [['-version', '-daemon-mode=x', '-z'], { says: 'invalid boolean value "x" for -daemon-mode: parse error\n', status: 2 }],
    [['-daemon-mode=x', '-h'], { says: 'invalid boolean value "x" for -daemon-mode: parse error\n', status: 2 }],
  ],
  flags,
)

test('any arguments are understood or refused, and never anything else', () => {
  const word = fc.oneof(fc.string({ maxLength: 6 }), fc.constantFrom('-config', '--config=x', '-daemon-mode', '-daemon-mode=f', '-version', '-h', '--', '-'))
  fc.assert(fc.property(fc.array(word, { maxLength: 5 }), (args) => assert.ok(['run', 'version', 'usage'].includes(parseFlags(args, 'spiffe-helper').kind))))
})
