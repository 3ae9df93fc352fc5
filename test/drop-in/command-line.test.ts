// Flags and arguments, right and wrong: what is printed where, and the exit code.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Case, compareAll, type Places } from './case.ts'
import { x509Config } from './configs.ts'

const config = ['-config', '{etc}/helper.conf']

/** With a configuration that is right, and no word on the mode. */
const refusedOrOnce: readonly (readonly string[])[] = [
  ['-version'],
  ['--version'],
  ['-version=true'],
  ['-version=false', '-daemon-mode=false', ...config],
  ['-version=maybe'],
  ['-version', '-foo'],
  ['-version', '-h'],
  ['-h'],
  ['-help'],
  ['--help'],
  ['--h'],
  ['-h=true'],
  ['-help', ...config],
  ['-foo'],
  ['--foo'],
  ['-foo=1'],
  ['---foo'],
  ['---'],
  ['-'],
  ['-='],
  ['-=x'],
  ['--=x'],
  ['-config'],
  ['--config'],
  ['-config', '{etc}/absent.conf'],
  ['-config='],
  ['-config', ''],
  ['-config={etc}/helper.conf', '-daemon-mode=false'],
  ['--config={etc}/helper.conf', '--daemon-mode=false'],
  ['--config', '{etc}/helper.conf', '-daemon-mode=false'],
  ['-config', '{etc}/absent.conf', '-config', '{etc}/helper.conf', '-daemon-mode=false'],
  ['-config', '-daemon-mode=false'],
  ['-config', '{etc}'],
  ['-Config', '{etc}/helper.conf'],
  ['-conf', '{etc}/helper.conf'],
  ['-config', '{etc}/../etc/helper.conf', '-daemon-mode=false'],
  ['-daemon-mode=false', ...config],
  ['-daemon-mode=f', ...config],
  ['-daemon-mode=F', ...config],
  ['-daemon-mode=0', ...config],
  ['-daemon-mode=FALSE', ...config],
  ['-daemon-mode=False', ...config],
  ['-daemon-mode=fAlse', ...config],
  ['-daemon-mode=no', ...config],
  ['-daemon-mode=', ...config],
  ['-daemon-mode=2', ...config],
  ['-daemon-mode=false', '-daemon-mode=maybe', ...config],
  ['-daemon-mode=true', '-daemon-mode=false', ...config],
  ['-daemon_mode=false', ...config],
  ['-daemonMode=false', ...config],
  [...config, '-daemon-mode=false', 'more', '-foo'],
  [...config, '-daemon-mode=false', '--', '-foo'],
  ['--', ...config],
  ['more', ...config],
  ['more', '-h'],
  ['', ...config],
  [...config, '-foo'],
  [...config, '-h'],
  [],
]

/** These start a daemon. */
const daemons: readonly (readonly string[])[] = [
  config,
  ['-daemon-mode', ...config],
  ['-daemon-mode=true', ...config],
  ['-daemon-mode=t', ...config],
  ['-daemon-mode=1', ...config],
  ['-daemon-mode=T', ...config],
  ['-daemon-mode=TRUE', ...config],
  ['-daemon-mode=True', ...config],
  ['-daemon-mode=false', '-daemon-mode', ...config],
  [...config, '-daemon-mode', 'false'],
  [...config, 'more', '-daemon-mode=false'],
  [...config, '--', '-daemon-mode=false'],
]

const named = (args: readonly string[]): string => (args.length === 0 ? 'nothing at all' : args.map((arg) => (arg === '' ? "''" : arg)).join(' '))

const inWorkFolder =
  (name: string) =>
  ({ dir, socket }: Places): void => {
    mkdirSync(join(dir, 'sub'))
    writeFileSync(join(dir, name), x509Config.replace('{socket}', socket))
  }

const files: Case[] = [
  { name: 'helper.conf in the folder is the default', args: ['-daemon-mode=false'], setup: inWorkFolder('helper.conf') },
  { name: 'a path is relative to the folder', args: ['-config', './sub/../other.conf', '-daemon-mode=false'], setup: inWorkFolder('other.conf') },
  {
    name: '-daemon-mode false stops before -config, so that helper.conf is used',
    args: ['-daemon-mode', 'false', ...config],
    setup: inWorkFolder('helper.conf'),
  },
  { name: 'the flag goes before daemon_mode = true', config: `${x509Config}daemon_mode = true\n`, args: [...config, '-daemon-mode=false'] },
  { name: 'the flag goes before daemon_mode = false', config: `${x509Config}daemon_mode = false\n`, args: [...config, '-daemon-mode=true'] },
  { name: 'the flag in the daemon form goes before daemon_mode = false', config: `${x509Config}daemon_mode = false\n`, args: [...config, '-daemon-mode'] },
  { name: 'daemon_mode = false without flag', config: `${x509Config}daemon_mode = false\n`, args: config },
  { name: 'a configuration that nobody may read', config: x509Config, oneShot: true, uid: 65_534, before: 'chmod 000 {etc}/helper.conf;' },
  { name: 'a configuration in a pipe', args: ['-config', '/dev/stdin', '-daemon-mode=false'] },
]

compareAll('command-line', [...refusedOrOnce, ...daemons].map((args): Case => ({ name: named(args), config: x509Config, args })).concat(files), 4)
