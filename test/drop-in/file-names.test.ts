// Where the files go, and what is done with what is there already: links, mounts, folders, the same name twice.
import { chmodSync, chownSync, linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Case, compareAll, type Places } from './case.ts'
import { address, jwtBundleConfig, jwtConfig, jwtEntry, names, x509Config } from './configs.ts'
import { jwtBundles, x509 } from './material.ts'
import type { Run } from './run.ts'

const named = (svid: string, key: string, bundle: string, dir?: string): string =>
  `${address}${dir === undefined ? '' : `cert_dir = "${dir}"\n`}svid_file_name = "${svid}"\nsvid_key_file_name = "${key}"\nsvid_bundle_file_name = "${bundle}"\n`

const inDir =
  (...steps: ((dir: string, where: Places) => void)[]) =>
  (where: Places): void => {
    for (const step of steps) step(where.dir, where)
  }
const folder = (name: string) => (dir: string) => void mkdirSync(join(dir, name), { recursive: true })
const file =
  (name: string, text = 'old\n', mode = 0o644) =>
  (dir: string) => {
    writeFileSync(join(dir, name), text)
    chmodSync(join(dir, name), mode)
  }
const link = (name: string, target: string) => (dir: string) => symlinkSync(target.replace('{dir}', dir), join(dir, name))

const joins: readonly Case[] = [
  { name: 'no cert_dir', config: x509Config },
  { name: 'cert_dir', config: named('a', 'b', 'c', 'sub'), setup: inDir(folder('sub')) },
  { name: 'cert_dir with a slash', config: named('a', 'b', 'c', 'sub/'), setup: inDir(folder('sub')) },
  { name: 'cert_dir with slashes and dots', config: named('a', 'b', 'c', './/sub/./../sub//'), setup: inDir(folder('sub')) },
  { name: 'cert_dir that is absolute', config: named('a', 'b', 'c', '{dir}/sub'), setup: inDir(folder('sub')) },
  { name: 'cert_dir of one dot', config: named('a', 'b', 'c', '.') },
  { name: 'cert_dir above', config: named('a', 'b', 'c', 'sub/..') },
  { name: 'cert_dir that is missing', config: named('a', 'b', 'c', 'missing') },
  { name: 'cert_dir with ~', config: named('a', 'b', 'c', '~/sub'), setup: inDir(folder('sub')), env: { HOME: '{dir}' } },
  { name: 'cert_dir with a variable', config: named('a', 'b', 'c', '${HOME}'), setup: inDir(folder('${HOME}')), env: { HOME: '{dir}/sub' } },
  { name: 'cert_dir that is a file', config: named('a', 'b', 'c', 'sub'), setup: inDir(file('sub')) },
  { name: 'cert_dir that is a link', config: named('a', 'b', 'c', 'link'), setup: inDir(folder('sub'), link('link', 'sub')) },
  { name: 'absolute names', config: named('{dir}/a', '{dir}/b', '{dir}/c') },
  { name: 'absolute names in a cert_dir', config: named('/a', '/sub/b', '/c', '{dir}/x'), setup: inDir(folder('x/sub')) },
  { name: 'names in folders', config: named('s/a', 's/b', 't/c'), setup: inDir(folder('s'), folder('t')) },
  { name: 'names in a folder that is missing', config: named('a', 'missing/b', 'c') },
  { name: 'a bundle in a folder that is missing', config: named('a', 'b', 'missing/c') },
  { name: 'names with dots', config: named('./a', 'sub/../b', '../inside/c') },
  { name: 'names with spaces and more', config: named('a b', 'é✓', 'c\\td') },
  { name: 'names with a newline', config: named('a\\nb', 'b', 'c') },
  { name: 'a name that ends with a slash', config: named('a/', 'b', 'c') },
  { name: 'a name that is the folder itself', config: named('.', 'b', 'c') },
  { name: 'a name that is the folder above', config: named('..', 'b', 'c') },
  { name: 'a name with 255 letters', config: named('a'.repeat(255), 'b', 'c') },
  { name: 'a name with 256 letters', config: named('a'.repeat(256), 'b', 'c') },
  { name: 'a hidden name', config: named('.a', '.b', '.c') },
  { name: 'certificate and key in one file', config: named('a', 'a', 'c') },
  { name: 'certificate and bundle in one file', config: named('a', 'b', 'a') },
  { name: 'key and bundle in one file', config: named('a', 'b', 'b') },
  { name: 'all in one file', config: named('a', 'a', 'a') },
  { name: 'all in one file, differently written', config: named('a', './a', 'sub/../a') },
  { name: 'a JWT bundle and the bundle in one file', config: `${x509Config}jwt_bundle_file_name = "bundle.pem"\n` },
  { name: 'a token and the key in one file', config: `${x509Config}jwt_svids = [${jwtEntry('a', 'key.pem')}]\n` },
  { name: 'two tokens in one file', config: jwtConfig(jwtEntry('a', 'f'), jwtEntry('b', 'f')) },
  { name: 'the same token twice', config: jwtConfig(jwtEntry('a', 'f'), jwtEntry('a', 'f')) },
  { name: 'a token in cert_dir', config: `cert_dir = "sub"\n${jwtConfig(jwtEntry('a', 'f'))}`, setup: inDir(folder('sub')) },
  { name: 'a token with an absolute name', config: jwtConfig(jwtEntry('a', '{dir}/f')) },
  { name: 'a token in a folder that is missing', config: jwtConfig(jwtEntry('a', 'missing/f'), jwtEntry('b', 'g')) },
  { name: 'a JWT bundle in cert_dir', config: `cert_dir = "sub"\n${jwtBundleConfig}`, setup: inDir(folder('sub')) },
  { name: 'a JWT bundle in a folder that is missing', config: `cert_dir = "missing"\n${jwtBundleConfig}` },
]

const targets: Readonly<Record<string, Case['setup']>> = {
  'are old files': inDir(file('svid.pem'), file('key.pem'), file('bundle.pem')),
  'are long old files': inDir(file('svid.pem', 'x'.repeat(20_000)), file('key.pem', 'x'.repeat(20_000)), file('bundle.pem', 'x'.repeat(20_000))),
  'are empty files': inDir(file('svid.pem', ''), file('key.pem', ''), file('bundle.pem', '')),
  'are relative links': inDir(folder('to'), file('to/a'), link('svid.pem', 'to/a'), link('key.pem', 'to/b'), link('bundle.pem', './to/../to/c')),
  'are absolute links': inDir(folder('to'), file('to/a'), link('svid.pem', '{dir}/to/a'), link('key.pem', '{dir}/to/b')),
  'are links to links': inDir(folder('to'), file('to/a'), link('to/l', 'a'), link('svid.pem', 'to/l')),
  'are links that lead nowhere': inDir(link('svid.pem', 'missing/a')),
  'are links to themselves': inDir(link('svid.pem', 'svid.pem')),
  'are links to folders': inDir(folder('to'), link('svid.pem', 'to')),
  'are hard links': inDir(file('other'), (dir) => linkSync(join(dir, 'other'), join(dir, 'svid.pem'))),
  'include a folder for the certificate': inDir(folder('svid.pem')),
  'include a folder for the key': inDir(folder('key.pem')),
  'include a folder for the bundle': inDir(folder('bundle.pem')),
  'belong to another user': inDir(file('svid.pem'), file('key.pem', 'old', 0o600), (dir) => {
    chownSync(join(dir, 'svid.pem'), 1234, 2345)
    chownSync(join(dir, 'key.pem'), 1234, 2345)
  }),
  'are in a folder of another user': inDir((dir) => chownSync(dir, 1234, 2345)),
  'are in a folder with the group bit': inDir((dir) => {
    chownSync(dir, 0, 2345)
    chmodSync(dir, 0o2775)
  }),
  'are beside other files': inDir(file('.svid.pem.tmp'), file('svid.pem.tmp'), file('svid.pem.new'), file('tls.crt')),
}

const mounted: readonly Case[] = [
  { name: 'single files are mounted', before: ['svid.pem', 'key.pem', 'bundle.pem'].map((name) => `mount --bind {etc}/m-${name} {dir}/${name};`).join('') },
  { name: 'the key is mounted alone', before: 'mount --bind {etc}/m-key.pem {dir}/key.pem;' },
  { name: 'the folder is mounted', before: 'mount --bind {etc}/m-folder {dir}; cd {dir};' },
  { name: 'the folder is mounted read-only', before: 'mount --bind {etc}/m-folder {dir}; mount -o remount,bind,ro {dir}; cd {dir};' },
  { name: 'the folder is full', before: 'mount -t tmpfs -o size=4k,nr_inodes=4 none {dir}; cd {dir};' },
].map((one) => ({
  ...one,
  config: x509Config,
  setup: ({ dir, etc }: Places) => {
    mkdirSync(join(etc, 'm-folder'))
    for (const name of ['svid.pem', 'key.pem', 'bundle.pem']) {
      writeFileSync(join(etc, `m-${name}`), 'old\n')
      if (one.before.includes(`{dir}/${name}`)) writeFileSync(join(dir, name), 'below\n')
    }
  },
  // What is in the namespace is gone with it; the folder that was mounted stays.
  steps: async (run: Run) => {
    await run.ended()
    for (const name of ['m-svid.pem', 'm-key.pem', 'm-bundle.pem', 'm-folder/svid.pem', 'm-folder/key.pem', 'm-folder/bundle.pem'])
      run.note(name, textOf(join(run.etc, name)))
  },
}))

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '(none)'
  }
}

/** The second write is where a replaced file would be noticed. */
const rotated = (setup: Case['setup']): Pick<Case, 'config' | 'setup' | 'steps'> => ({
  config: `${x509Config}jwt_bundle_file_name = "bundle.json"\n`,
  ...(setup && { setup }),
  steps: async (run: Run) => {
    await run.logged(/X\.509 certificates updated|Unable to dump bundle/)
    await run.logged(/JWT bundle updated/)
    run.agent.serve({ x509: await x509({ number: 2 }) })
    await run.logged(/X\.509 certificates updated|Unable to dump bundle/, 2)
    run.agent.serve({ jwtBundles: await jwtBundles('example.org', 'other.test') })
    await run.logged(/JWT bundle updated/, 2)
    run.signal('SIGTERM')
  },
})

const cases: readonly Case[] = [
  ...joins.map((one) => ({ oneShot: true, ...one })),
  ...Object.entries(targets).map(([name, setup]): Case => ({ name: `the files ${name}`, config: x509Config, oneShot: true, ...(setup && { setup }) })),
  ...Object.entries(targets).map(([name, setup]): Case => ({ name: `the files ${name}, and the SVID is rotated`, unordered: true, ...rotated(setup) })),
  ...mounted.map((one) => ({ oneShot: true, ...one })),
  { name: 'a token and its old file', oneShot: true, config: jwtConfig(jwtEntry('a', 'f')), setup: inDir(file('f', 'x'.repeat(5_000), 0o644)) },
  { name: 'a token that is a link', oneShot: true, config: jwtConfig(jwtEntry('a', 'f')), setup: inDir(file('to', 'x'), link('f', 'to')) },
  { name: 'a JWT bundle and its old file', oneShot: true, config: jwtBundleConfig, setup: inDir(file('bundle.json', 'x'.repeat(5_000), 0o666)) },
  { name: 'a JWT bundle that is a link', oneShot: true, config: jwtBundleConfig, setup: inDir(folder('to'), link('bundle.json', 'to/b')) },
  { name: 'names in part are never written', oneShot: true, config: address + names.svid },
]

compareAll('file-names', cases, 4)
