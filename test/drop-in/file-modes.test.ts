// Modes and owners: what is asked for, what the umask leaves of it, what is there already, and users that are not root.
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Case, compareAll, type Places } from './case.ts'
import { jwtEntry, x509Config } from './configs.ts'
import { x509 } from './material.ts'
import type { Run } from './run.ts'

const all = `${x509Config}jwt_bundle_file_name = "bundle.json"\njwt_svids = [${jwtEntry('a', 'token')}]\n`
const modes = (mode: string): string => ['cert', 'key', 'jwt_bundle', 'jwt_svid'].map((kind) => `${kind}_file_mode = ${mode}\n`).join('')

const umasks = ['000', '022', '027', '077', '177', '777'].flatMap((umask): Case[] => [
  { name: `umask ${umask}`, umask, config: all, oneShot: true },
  { name: `umask ${umask} and the widest modes`, umask, config: all + modes('0777'), oneShot: true },
])

const asked = [
  '0',
  '0400',
  '0440',
  '0444',
  '0600',
  '0640',
  '0644',
  '0660',
  '0666',
  '0700',
  '0755',
  '0001',
  '444',
  '"644"',
  '01777',
  '02644',
  '04755',
  '07777',
  '010000',
  '0100644',
  '4294967296',
  '2147483648',
]
const asking = asked.map((mode): Case => ({ name: `modes of ${mode}`, umask: '000', config: all + modes(mode), oneShot: true }))

const nobody = 65_534
const oldModes = [0o644, 0o600, 0o660, 0o444, 0o400, 0o000, 0o777, 0o4755]
const files = ['svid.pem', 'key.pem', 'bundle.pem', 'bundle.json', 'token']
const old =
  (mode: number, uid = 0, gid = 0) =>
  ({ dir }: Places): void => {
    for (const name of files) {
      writeFileSync(join(dir, name), 'old\n')
      chownSync(join(dir, name), uid, gid)
      chmodSync(join(dir, name), mode)
    }
  }
const octal = (mode: number): string => mode.toString(8).padStart(4, '0')

const existing = oldModes.flatMap((mode): Case[] => [
  { name: `files of mode ${octal(mode)}`, config: all, oneShot: true, setup: old(mode) },
  { name: `files of mode ${octal(mode)} and modes that are asked for`, config: all + modes('0640'), oneShot: true, setup: old(mode) },
  { name: `files of mode ${octal(mode)} of another user`, config: all, oneShot: true, setup: old(mode, 1234, 2345) },
  { name: `not root: own files of mode ${octal(mode)}`, config: all, oneShot: true, uid: nobody, setup: old(mode, nobody, nobody) },
  { name: `not root: files of root of mode ${octal(mode)}`, config: all, oneShot: true, uid: nobody, setup: old(mode) },
])

/** The files of a folder that is not one's own. */
const sub = all.replaceAll(/_name = "/g, '_name = "sub/')
const subFolder =
  (mode: number, uid: number, gid: number, inside?: (where: Places) => void) =>
  (where: Places): void => {
    mkdirSync(join(where.dir, 'sub'))
    inside?.({ ...where, dir: join(where.dir, 'sub') })
    chownSync(join(where.dir, 'sub'), uid, gid)
    chmodSync(join(where.dir, 'sub'), mode)
  }

const notRoot: readonly Case[] = [
  { name: 'not root', config: all, oneShot: true },
  { name: 'not root: modes', config: all + modes('0440'), oneShot: true },
  { name: 'not root: a folder of root', config: sub, oneShot: true, setup: subFolder(0o755, 0, 0) },
  { name: 'not root: a folder of root for everybody', config: sub, oneShot: true, setup: subFolder(0o777, 0, 0) },
  { name: 'not root: a sticky folder of root', config: sub, oneShot: true, setup: subFolder(0o1777, 0, 0) },
  { name: 'not root: a sticky folder with files of root', config: sub, oneShot: true, setup: subFolder(0o1777, 0, 0, old(0o666)) },
  { name: 'not root: a folder of root with files for everybody', config: sub, oneShot: true, setup: subFolder(0o755, 0, 0, old(0o666)) },
  { name: 'not root: a folder of root with own files', config: sub, oneShot: true, setup: subFolder(0o755, 0, 0, old(0o600, nobody, nobody)) },
  { name: 'not root: a folder of the group', config: sub, oneShot: true, setup: subFolder(0o2775, 0, nobody) },
  { name: 'not root: a folder of the group with files of the group', config: sub, oneShot: true, setup: subFolder(0o2775, 0, nobody, old(0o660, 0, nobody)) },
  {
    name: 'not root: a folder of the group with files that the group only reads',
    config: sub,
    oneShot: true,
    setup: subFolder(0o2775, 0, nobody, old(0o640, 0, nobody)),
  },
  { name: 'not root: a folder that may not be written', config: sub, oneShot: true, setup: subFolder(0o555, nobody, nobody) },
  {
    name: 'not root: a folder that may not be written, with files that may',
    config: sub,
    oneShot: true,
    setup: subFolder(0o555, nobody, nobody, old(0o600, nobody, nobody)),
  },
  { name: 'not root: a folder that may not be entered', config: sub, oneShot: true, setup: subFolder(0o600, nobody, nobody) },
].map((one) => ({ ...one, uid: nobody }))

const rotate = async (run: Run): Promise<void> => {
  await run.logged(/X\.509 certificates updated|Unable to dump bundle/)
  run.agent.serve({ x509: await x509({ number: 2 }) })
  await run.logged(/X\.509 certificates updated|Unable to dump bundle/, 2)
  run.signal('SIGTERM')
}

const rotations: readonly Case[] = [
  { name: 'rotated: the default modes', config: x509Config, steps: rotate },
  { name: 'rotated: modes that root may write', config: x509Config + modes('0444'), steps: rotate },
  { name: 'rotated: not root', config: x509Config, uid: nobody, steps: rotate },
  {
    name: 'rotated: a file whose mode was changed meanwhile',
    config: x509Config,
    steps: async (run) => {
      await run.logged(/X\.509 certificates updated/)
      chmodSync(join(run.dir, 'key.pem'), 0o644)
      chownSync(join(run.dir, 'key.pem'), 1234, 2345)
      run.agent.serve({ x509: await x509({ number: 2 }) })
      await run.logged(/X\.509 certificates updated/, 2)
      run.signal('SIGTERM')
    },
  },
]

compareAll('file-modes', [...umasks, ...asking, ...existing, ...notRoot, ...rotations], 4)
