// The commands of the documentation, run as they are written: only addresses, paths and ARNs of the examples are those of a development world.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parseDocument } from 'yaml'
import { loadConfig } from '../../src/config/load.ts'
import { jsonSchema } from '../../src/config/schema.ts'
import { folder, worldIn } from '../cli/support.ts'
import { type Block, blocksOf, pages, placeOf } from './blocks.ts'
import { openPublicAws } from './public-aws.ts'

const root = join(import.meta.dirname, '../..')
const blocks = pages.flatMap(blocksOf)
const shell = blocks.filter(({ language }) => language === 'sh')
const runnable = shell.filter(({ note }) => note === '')
// These build or test the clone itself; .ci/run and test/dev/demo.test.ts do what they say.
const ofTheClone = /^(npm ci|npm run|npm install|\.ci\/run|node docs\/generate\.ts)/m

/** As somebody would have them who reads the page; `moved` are folders of the example and where they are here. */
const moved = (directory: string): readonly [string, string][] =>
  ['/run/spire/sockets', '/run/svidecar', '/etc/svidecar', '/run/svid'].map((path) => [path, join(directory, basename(path))])

async function stage(t: TestContext) {
  const directory = await folder(t)
  mkdirSync(join(directory, 'sockets'))
  const world = await worldIn(t, join(directory, 'sockets'))
  const aws = await openPublicAws(world.aws.issuingUrl, join(directory, 'ca.pem'))
  t.after(aws.stop)
  const bin = join(directory, 'bin')
  mkdirSync(bin)
  const program = (name: string, ...words: string[]) => {
    writeFileSync(join(bin, name), `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(' ')} "$@"\n`)
    chmodSync(join(bin, name), 0o755)
  }
  program('svidecar', process.execPath, join(root, 'dist/svidecar.cjs'))
  program('aws', process.execPath, join(import.meta.dirname, 'aws-child.ts'))
  const { arns } = world
  const here = (text: string): string => {
    const known: readonly [RegExp | string, string][] = [
      ...moved(directory),
      [/arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor\/[\w-]+…?/g, arns.trustAnchor],
      [/arn:aws:rolesanywhere:[\w-]+:111122223333:profile\/[\w-]+…?/g, arns.profile],
      [/arn:aws:iam::111122223333:role\/\w+/g, arns.role],
      // Ports that may be somebody else's here.
      [/127\.0\.0\.1:99(\d\d)/g, `127.0.0.1:${200 + (process.pid % 120)}$1`],
    ]
    return known.reduce((all, [what, by]) => all.replaceAll(what, by), text)
  }
  const env = {
    PATH: `${bin}:${process.env['PATH']}`,
    HOME: directory,
    TMPDIR: directory,
    HTTPS_PROXY: aws.proxy,
    NODE_EXTRA_CA_CERTS: join(directory, 'ca.pem'),
    AWS_ENDPOINT_URL_STS: world.aws.checkingUrl,
    AWS_REGION: 'us-east-1',
    SPIFFE_ENDPOINT_SOCKET: world.socket,
    SVIDECAR_RUNTIME_DIR: join(directory, 'svidecar'),
  }
  return { directory, here, env }
}

/** A daemon in the foreground, as the page has it in a terminal of its own, goes on in the background until the page ends. */
const beside = (text: string): string => text.replaceAll(/^(svidecar run\b[^#\n]*).*$/gm, '$1 2>>daemon.log &\nsvidecar wait --timeout 30s')

async function runPage(t: TestContext, page: string, some: readonly Block[]): Promise<void> {
  const { directory, here, env } = await stage(t)
  for (const { text } of blocksOf(page).filter(({ language }) => language === 'yaml')) {
    const [, path] = /^# (\/\S+)\n/.exec(here(text)) ?? []
    if (path === undefined) continue
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, here(text))
  }
  const script = ["trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT", ...some.map((block) => `: ${placeOf(block)}\n${beside(here(block.text))}`)].join('\n')
  const child = spawn('bash', ['-euo', 'pipefail', '-xc', script], { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  const status = await new Promise((resolve) => child.once('close', resolve))
  const log = join(directory, 'daemon.log')
  assert.equal(status, 0, `${said}\n${existsSync(log) ? readFileSync(log, 'utf8') : ''}`)
}

for (const page of pages) {
  const some = runnable.filter((block) => block.page === page && !ofTheClone.test(block.text))
  if (some.length > 0) test(`the commands of ${page} do what they say, in their order`, (t) => runPage(t, page, some))
}

test('every command block is one of the shell, and says by whom it is run where it is not run here', () => {
  for (const block of shell) {
    const { status, stderr } = spawnSync('bash', ['-n'], { input: block.text, encoding: 'utf8' })
    assert.equal(status, 0, `${placeOf(block)}: ${stderr}`)
    if (block.note !== '' && block.note !== 'cloud') assert.ok(block.note.startsWith('test/') && existsSync(block.note), `${placeOf(block)}: ${block.note}`)
  }
  assert.deepEqual(blocks.filter(({ language }) => /^(bash|shell|console)$/.test(language)).map(placeOf), [], 'written sh')
  assert.ok(runnable.length >= 8)
})

test('the YAML of the documentation is YAML, and where it is a configuration it is a right one', async () => {
  const { properties = {} } = jsonSchema() as { properties?: object }
  let configurations = 0
  for (const block of blocks.filter(({ language }) => language === 'yaml')) {
    const document = parseDocument(block.text.replaceAll('…', 'x'))
    assert.deepEqual(document.errors, [], placeOf(block))
    const value = document.toJS() as unknown
    const keys = typeof value === 'object' && value !== null ? Object.keys(value) : []
    if (block.note === 'part')
      assert.deepEqual(
        keys.filter((key) => !(key in properties)),
        [],
        placeOf(block),
      )
    if (block.note !== '' || keys.length === 0 || !keys.every((key) => key in properties)) continue
    configurations++
    const arns = {
      TRUST_ANCHOR_ARN: 'arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/00000000-0000-4000-8000-000000000001',
      PROFILE_ARN: 'arn:aws:rolesanywhere:us-east-1:111122223333:profile/00000000-0000-4000-8000-000000000002',
      ROLE_ARN: 'arn:aws:iam::111122223333:role/app',
    }
    const names = Object.entries(arns)
    const text = names.reduce((all, [name, arn]) => all.replaceAll(new RegExp(`\\b${name}`, 'g'), arn), block.text.replaceAll('REGION', 'us-east-1'))
    const variables = Object.fromEntries(names.map(([name, arn]) => [`SVIDECAR_${name}`, arn]))
    const env = { ...variables, SVIDECAR_CONFIG_YAML: text, SPIFFE_ENDPOINT_SOCKET: 'unix:///run/agent.sock', HOME: '/root' }
    await assert.doesNotReject(loadConfig(undefined, { env, uid: 0, terminal: false }), placeOf(block))
  }
  assert.ok(configurations >= 4, `${configurations} configurations`)
})
