// No secret anywhere but where it belongs: a daemon that talks as much as it can, searched for all that was issued to it.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ask, head } from '../endpoints/support.ts'
import { eventually } from '../support/eventually.ts'
import { call, folder, identityAt, profileIn, startDaemon, worldIn, writeConfig } from './support.ts'

test('no key, token, JWT or private key is in the log, the metrics, the status, the process or on disk', async (t) => {
  const directory = await folder(t)
  const world = await worldIn(t, directory)
  const runtime = join(directory, 'run')
  const web = `  web: { web_identity: { role_arn: "${world.arns.webIdentityRole}", audience: ${world.audience} }, region: us-east-1, endpoint: "${world.aws.issuingUrl}" }\n`
  const config = `${identityAt(world.socket)}profiles:
${profileIn(world, 'app')}${web}consumers:
  app: { profiles: [app, web], audiences: [${world.audience}] }
container_endpoint: { listen: 127.0.0.1:0 }
imds_endpoints: [{ listen: 127.0.0.1:0, profile: app }]
metrics_endpoint: { listen: 127.0.0.1:0 }
status_endpoint: { listen: 127.0.0.1:0 }
runtime_dir: ${runtime}
log: { level: debug, format: json }
`
  const daemon = await startDaemon(t, ['--config', await writeConfig(directory, config)])
  const at = ['--runtime-dir', runtime]
  const portOf = (listener: string) => Number(daemon.addressOf(listener).split(':')[1])
  assert.equal((await call(['wait', ...at, '--timeout', '10s'])).status, 0)

  const secrets = new Map<string, string>()
  const remember = (what: string, value: string | undefined) => {
    assert.ok(value !== undefined && value.length > 20, what)
    secrets.set(what, value)
  }
  const consumerToken = readFileSync(join(runtime, 'app.token'), 'utf8')
  remember('consumer token', consumerToken)
  remember('IMDS key', readFileSync(join(runtime, 'imds.key')).toString('base64').slice(0, 42))

  /** Reads all that can be read, as consumers do. */
  const read = async (round: string) => {
    for (const profile of ['app', 'web']) {
      const { body } = await ask(portOf('container'), head(`GET /v1/credentials/${profile}`, { Authorization: consumerToken }))
      const { SecretAccessKey, Token } = JSON.parse(body) as { SecretAccessKey?: string; Token?: string }
      remember(`${round} ${profile} secret access key`, SecretAccessKey)
      remember(`${round} ${profile} session token`, Token)
    }
    const imds = await ask(portOf('imds app'), head('PUT /latest/api/token', { 'X-aws-ec2-metadata-token-ttl-seconds': '60' }))
    remember(`${round} IMDS token`, imds.body)
    const path = '/latest/meta-data/iam/security-credentials/web'
    assert.equal((await ask(portOf('imds app'), head(`GET ${path}`, { 'X-aws-ec2-metadata-token': imds.body }))).status, 200)
    remember(`${round} JWT-SVID`, (await call(['jwt', '--consumer', 'app', '--audience', world.audience, ...at])).out.trim())
    await call(['credential-process', '--profile', 'web', ...at])
  }
  await read('first')
  assert.equal((await call(['refresh', ...at])).status, 0)
  await read('second')

  // What is refused is logged, too, and must not bring along what came with it.
  const wrong = 'W'.repeat(43)
  remember('a wrong token', wrong)
  for (const [port, line, headers] of [
    ['container', 'GET /v1/credentials', { Authorization: wrong }],
    ['container', `GET /v1/credentials/${wrong}`, { Authorization: consumerToken }],
    ['container', `GET /${wrong}`, {}],
    ['container', 'GET /v1/credentials', { Authorization: consumerToken, Host: `${wrong}.example` }],
    ['container', 'GET /v1/credentials', { Authorization: consumerToken, Origin: `https://${wrong}` }],
    ['imds app', 'GET /latest/meta-data/', { 'X-aws-ec2-metadata-token': wrong }],
    ['metrics', `GET /${wrong}`, {}],
    ['status', `GET /status?${wrong}`, { Host: wrong }],
  ] as const)
    assert.ok((await ask(portOf(port), head(line, headers))).status >= 400, line)
  world.aws.setFault({ status: 403, code: 'AccessDeniedException', message: 'no' })
  assert.equal((await call(['refresh', ...at])).status, 1)
  world.aws.setFault('not-json-200')
  await call(['refresh', 'web', ...at])
  await world.agent.rotateNow()
  const rotated = daemon.log.filter((line) => line['event'] === 'x509.updated').length
  await eventually('the new X.509-SVID has come', () => daemon.log.filter((line) => line['event'] === 'x509.updated').length >= Math.max(rotated, 2))

  // Of what went over the wire, as AWS saw it: the tokens of the requests.
  const sent = world.aws.requests.flatMap(({ body }) => new URLSearchParams(body).get('WebIdentityToken') ?? [])
  assert.ok(sent.length > 0)
  for (const [index, token] of sent.entries()) remember(`JWT-SVID of request ${index}`, token)

  const places: Record<string, string> = {
    metrics: (await ask(portOf('metrics'), head('GET /metrics'))).body,
    'status page': (await ask(portOf('status'), head('GET /status'))).body,
    'status command': (await call(['status', ...at])).out,
    'status --json': (await call(['status', '--json', ...at])).out,
    'env command': (await call(['env', '--profile', 'app', ...at])).out,
    'check command': (await call(['check', '--config', join(directory, 'config.yaml')])).out,
    'command line': readFileSync(`/proc/${daemon.pid}/cmdline`, 'latin1'),
    environment: readFileSync(`/proc/${daemon.pid}/environ`, 'latin1'),
    'file names': readdirSync(runtime).join('\n'),
  }
  for (const name of readdirSync(runtime)) {
    const path = join(runtime, name)
    if (name !== 'app.token' && name !== 'imds.key' && statSync(path).isFile()) places[`file ${name}`] = readFileSync(path, 'latin1')
  }
  daemon.child.kill('SIGTERM')
  assert.equal((await daemon.ended).code, 0)
  places['log'] = daemon.err
  places['stdout'] = daemon.out
  assert.ok(daemon.err.includes('"level":"debug"') && daemon.err.includes('listener.refused') && daemon.err.includes('exchange.failed'))

  for (const [place, text] of Object.entries(places)) {
    for (const [what, secret] of secrets) {
      assert.ok(!text.includes(secret), `${what} is in the ${place}`)
      assert.ok(!text.includes(encodeURIComponent(secret)), `${what} is in the ${place}, encoded`)
      if (what !== 'a wrong token') assert.ok(!text.includes(secret.slice(0, 40)), `the beginning of ${what} is in the ${place}`)
    }
    assert.doesNotMatch(text, /PRIVATE KEY|eyJ[\w-]{10,}\./, place)
  }
})
