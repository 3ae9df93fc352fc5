// How `cmd` is started: its arguments, its environment, its folder; and what happens when it cannot be.
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Case, compareAll, type Places } from './case.ts'
import { childConfig, x509Config } from './configs.ts'
import type { Run } from './run.ts'

/** As HCL writes it; the texts of both columns are the same ones to the original. */
const hcl = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('\t', '\\t').replaceAll('\r', '\\r').replaceAll('\0', '\\x00')}"`

const argumentTexts: readonly string[] = [
  '',
  'a',
  'a b c',
  ' ',
  '  ',
  ' a',
  'a ',
  'a  b',
  '"a b"',
  '"a b" c',
  'a "b c" d',
  '"a"',
  '""',
  '"" ""',
  'a "" b',
  '"a ""b"" c"',
  '""""',
  '"""a"""',
  '"',
  '"a',
  'a"',
  'a"b"',
  'a"b c"',
  '"a"b',
  '"a" "b',
  '"a"  "b"',
  "'a b'",
  "it's",
  'a\tb',
  '\ta',
  'a \t b',
  'a\nb',
  '\na',
  '\n\n a b\nc',
  '\n',
  '\r\n',
  'a\r\nb',
  'a\rb',
  'a\r',
  '"a\nb"',
  '"a\r\nb" c',
  '"a\nb',
  '$HOME ${HOME} `a`',
  '*',
  '~',
  'a\\ b',
  'a\\"b',
  '\\',
  '# a',
  'a;b|c&d>e<f',
  '-a --b=c -- d',
  'é ✓ "é ✓"',
  'a,b',
  'a\u00a0b',
  'a'.repeat(5_000),
  Array.from({ length: 300 }, (_, n) => String(n)).join(' '),
]

const named = (text: string): string => (text.length > 60 ? `${text.length} characters` : JSON.stringify(text))

const startedOrNot = async (run: Run): Promise<void> => {
  await run.logged(/X\.509 certificates updated/)
  await run.until('the child has started, or cannot', () => run.child.lines.includes('ready') || /Unable to signal process/.test(run.stderr))
  run.note('its answers', run.stderr.includes('Unable to signal process') ? 'none' : String(run.child.pids.length))
  run.signal('SIGTERM')
}

const splitting = argumentTexts.map(
  (text): Case => ({ name: `cmd_args: ${named(text)}`, config: `${childConfig}cmd_args = ${hcl(text)}\n`, steps: startedOrNot }),
)

const script =
  (name: string, text: string, mode = 0o755) =>
  ({ dir }: Places): void => {
    mkdirSync(join(dir, 'sub'), { recursive: true })
    writeFileSync(join(dir, name), text)
    chmodSync(join(dir, name), mode)
  }
const say = '#!/bin/sh\necho out; echo err >&2; echo "$0" > said\n'
const told = async (run: Run): Promise<void> => {
  await run.logged(/X\.509 certificates updated/)
  await run.until('it has said something', () => /err\n|Unable to signal process/.test(run.stderr))
  run.signal('SIGTERM')
}
const cmd = (value: string): string => `${x509Config}cmd = "${value}"\n`

const commands: readonly Case[] = [
  { name: 'cmd: absolute', config: cmd('{dir}/say'), setup: script('say', say) },
  { name: 'cmd: with a dot', config: cmd('./say'), setup: script('say', say) },
  { name: 'cmd: in a folder', config: cmd('sub/say'), setup: script('sub/say', say) },
  { name: 'cmd: a name in PATH', config: cmd('say'), setup: script('sub/say', say), env: { PATH: '/bin:{dir}/sub' } },
  { name: 'cmd: a name in the second place of PATH', config: cmd('say'), setup: script('sub/say', say), env: { PATH: '{dir}/nowhere:{dir}/sub:/bin' } },
  { name: 'cmd: a name in the folder, which is not in PATH', config: cmd('say'), setup: script('say', say) },
  { name: 'cmd: a name in the folder, with a dot in PATH', config: cmd('say'), setup: script('say', say), env: { PATH: '.:/bin' } },
  { name: 'cmd: a name in the folder, with an empty part in PATH', config: cmd('say'), setup: script('say', say), env: { PATH: ':/bin' } },
  { name: 'cmd: a name and an empty PATH', config: cmd('say'), setup: script('say', say), env: { PATH: '' } },
  { name: 'cmd: missing', config: cmd('{dir}/missing') },
  { name: 'cmd: a name that is missing', config: cmd('no-such-program') },
  { name: 'cmd: with arguments in it', config: cmd('/bin/echo a') },
  { name: 'cmd: a folder', config: cmd('{dir}/sub'), setup: script('say', say) },
  { name: 'cmd: not executable', config: cmd('{dir}/say'), setup: script('say', say, 0o644) },
  { name: 'cmd: a name in PATH that is not executable', config: cmd('say'), setup: script('sub/say', say, 0o644), env: { PATH: '{dir}/sub:/bin' } },
  { name: 'cmd: no script', config: cmd('{dir}/say'), setup: script('say', 'no script\n') },
  { name: 'cmd: an empty file', config: cmd('{dir}/say'), setup: script('say', '') },
  { name: 'cmd: a script for a program that is missing', config: cmd('{dir}/say'), setup: script('say', '#!/no/such/program\n') },
  { name: 'cmd: with ~', config: cmd('~/say'), setup: script('say', say), env: { HOME: '{dir}' } },
  { name: 'cmd: with a variable', config: cmd('${HOME}/say'), setup: script('say', say), env: { HOME: '{dir}' } },
  { name: 'cmd: a space alone', config: cmd(' ') },
  {
    name: 'cmd: a link',
    config: cmd('{dir}/link'),
    setup: (where: Places) => {
      script('say', say)(where)
      symlinkSync('say', join(where.dir, 'link'))
    },
  },
  { name: 'cmd: not root, and not for everybody', config: cmd('{dir}/say'), uid: 65_534, setup: script('say', say, 0o700) },
].map((one) => ({ ...one, steps: told }))

const surroundings: readonly Case[] = [
  {
    name: 'environment, folder and files are handed on',
    config: childConfig,
    env: { A: 'b', EMPTY: '', SPIFFE_ENDPOINT_SOCKET: '/x', 'ODD NAME': 'é' },
    steps: startedOrNot,
  },
  { name: 'the umask is handed on', config: childConfig, umask: '027', steps: startedOrNot },
  { name: 'the user is handed on', config: childConfig, uid: 65_534, steps: startedOrNot },
  { name: 'arguments without cmd', config: `${x509Config}cmd_args = "a b"\n` },
  { name: 'an empty cmd', config: `${x509Config}cmd = ""\ncmd_args = "a b"\nrenew_signal = "SIGHUP"\n` },
]

compareAll('child-arguments', [...splitting, ...commands, ...surroundings], 4)
