// docs/migrate-from-spiffe-helper.md, tried as it is written: only the paths and ARNs that it leaves open are filled in.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fromTokenFile } from '@aws-sdk/credential-providers'
import type { World } from '../support/dev/world.ts'
import { eventually } from '../support/eventually.ts'
import { folder, run, start, worldIn, writeConfig } from './support.ts'

const guide = readFileSync(join(import.meta.dirname, '../../docs/migrate-from-spiffe-helper.md'), 'utf8')
const blocks = [...guide.matchAll(/^```(hcl|yaml)[^\n]*\n([^]*?)^```$/gm)].map(([, language = '', text = '']) => ({ language, text }))

/** The block that holds a text, with its open places filled in. */
function block(language: 'hcl' | 'yaml', part: string, directory: string, { arns, aws }: World): string {
  const found = blocks.find((one) => one.language === language && one.text.includes(part))
  assert.ok(found, `the guide has a ${language} block with ${part}`)
  return found.text
    .replaceAll('/run/spire/sockets/agent.sock', join(directory, 'agent.sock'))
    .replaceAll('/run/svid', join(directory, 'svid'))
    .replaceAll('/etc/jwts', join(directory, 'jwts'))
    .replaceAll('/etc/spiffe-helper', directory)
    .replaceAll('/usr/local/bin', join(directory, 'bin'))
    .replaceAll('0.0.0.0:9913', '127.0.0.1:0')
    .replaceAll('127.0.0.1:9911', '127.0.0.1:0')
    .replaceAll('TRUST_ANCHOR_ARN', arns.trustAnchor)
    .replaceAll('PROFILE_ARN', arns.profile)
    .replaceAll('ROLE_ARN', language === 'yaml' && part.includes('web_identity') ? arns.webIdentityRole : arns.role)
    .replaceAll('REGION', 'us-east-1')
    .replaceAll('  app:\n', `  app:\n    endpoint: ${aws.issuingUrl}\n`)
}

async function setUp(t: TestContext) {
  const directory = await folder(t)
  const world = await worldIn(t, directory)
  for (const name of ['svid', 'jwts', 'bin', 'run']) mkdirSync(join(directory, name))
  const script = (name: string, text: string) => {
    writeFileSync(join(directory, 'bin', name), `#!/bin/sh\n${text}`)
    chmodSync(join(directory, 'bin', name), 0o755)
  }
  const helper = (text: string) => {
    writeFileSync(join(directory, 'helper.conf'), text)
    return start(t, ['spiffe-helper', '-config', join(directory, 'helper.conf')], { SVIDECAR_RUNTIME_DIR: join(directory, 'run') })
  }
  const textOf = (name: string): string => (existsSync(join(directory, name)) ? readFileSync(join(directory, name), 'utf8') : '')
  return { directory, world, script, helper, textOf }
}

test('one file serves both programs, and a changed token runs a command', async (t) => {
  const { directory, world, script, helper, textOf } = await setUp(t)
  script('token-changed', `echo changed >> ${directory}/told\n`)
  writeFileSync(join(directory, 'svidecar.yaml'), block('yaml', 'token-changed', directory, world))
  const conf = block('hcl', '"svidecar_config"', directory, world)
  const program = helper(`${conf}jwt_svids = [{ jwt_audience = "a", jwt_svid_file_name = "a.jwt" }]\n`)
  await eventually(`the command in ${program.err}`, () => textOf('told') === 'changed\n')
  await eventually('the certificate', () => /BEGIN CERTIFICATE/.test(textOf('svid/svid.pem')))
  assert.ok(existsSync(join(directory, 'run/control.sock')), 'the daemon of the other configuration')
})

test('a signing helper as cmd finds what it needs, and svidecar needs no such helper', async (t) => {
  const { directory, world, script, helper, textOf } = await setUp(t)
  script('aws_signing_helper', `printf '%s\\n' "$@" > ${directory}/words\nexec sleep 1000\n`)
  const program = helper(block('hcl', 'aws_signing_helper', directory, world))
  await eventually('the helper', () => textOf('words').split('\n').length > 12)
  const words = textOf('words').trimEnd().split('\n')
  const option = (name: string): string => words[words.indexOf(name) + 1] ?? ''
  assert.equal(words[0], 'serve')
  const leaf = new X509Certificate(readFileSync(option('--certificate')))
  assert.equal(leaf.subjectAltName?.includes(world.spiffeId), true)
  assert.match(readFileSync(option('--private-key'), 'utf8'), /BEGIN PRIVATE KEY/)
  const bundle = readFileSync(option('--intermediates'), 'utf8').split(/(?<=-----END CERTIFICATE-----\n)/)
  assert.ok(
    bundle.some((text) => text !== '' && leaf.checkIssued(new X509Certificate(text))),
    'the intermediate is in the bundle',
  )
  assert.deepEqual([option('--trust-anchor-arn'), option('--profile-arn'), option('--role-arn')], [world.arns.trustAnchor, world.arns.profile, world.arns.role])
  // It ends with the daemon; the original would leave it behind.
  program.child.kill('SIGTERM')
  assert.equal((await program.ended).code, 0)
  const alone = await run(t, ['once', '--config', await writeConfig(directory, block('yaml', 'roles_anywhere', directory, world))])
  assert.deepEqual([alone.code, alone.out.startsWith('app: credentials ASIA')], [0, true], alone.err)
})

test('a token file serves an SDK, written by either front door or not at all', async (t) => {
  const { directory, world, helper, textOf } = await setUp(t)
  const exchanged = () =>
    fromTokenFile({
      webIdentityTokenFile: join(directory, 'jwts/aws.jwt'),
      roleArn: world.arns.webIdentityRole,
      clientConfig: { region: 'us-east-1', endpoint: world.aws.issuingUrl },
    })()
  const program = helper(block('hcl', 'jwt_svids', directory, world))
  await eventually('the token', () => textOf('jwts/aws.jwt') !== '')
  assert.match((await exchanged()).accessKeyId, /^ASIA/)
  program.child.kill('SIGTERM')
  assert.equal((await program.ended).code, 0)
  writeFileSync(join(directory, 'jwts/aws.jwt'), '')
  const files = await run(t, ['once', '--config', await writeConfig(directory, block('yaml', '- jwt:', directory, world))])
  assert.equal(files.code, 0, files.err)
  assert.match((await exchanged()).accessKeyId, /^ASIA/)
  const inside = await run(t, ['once', '--config', await writeConfig(directory, block('yaml', 'web_identity', directory, world))])
  assert.deepEqual([inside.code, inside.out.startsWith('app: credentials ASIA')], [0, true], inside.err)
})

test('what migrate prints is a configuration, and its daemon writes the same files', async (t) => {
  const { directory, world, textOf } = await setUp(t)
  writeFileSync(join(directory, 'helper.conf'), block('hcl', '"svidecar_config"', directory, world).replace(/^"svidecar_config".*\n/m, ''))
  const migrated = await run(t, ['migrate', join(directory, 'helper.conf')])
  assert.equal(migrated.code, 0, migrated.err)
  const config = await writeConfig(directory, migrated.out)
  assert.equal((await run(t, ['check', '--config', config])).code, 0)
  const written = await run(t, ['once', '--config', config])
  assert.equal(written.code, 0, written.err)
  for (const name of ['svid.pem', 'svid_key.pem', 'svid_bundle.pem']) assert.match(textOf(`svid/${name}`), /^-----BEGIN/)
})
