// The monitoring assets in a real Prometheus: it scrapes a daemon whose AWS is taken away, and its alerts fire and resolve; the dashboard shows data.
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import { startWorld } from '../support/dev/world.ts'
import { eventually } from '../support/eventually.ts'
import { faults, substituted } from '../support/promql.ts'
import { checkout, folder, freePorts, launch, must, node } from './machine.ts'
import { assets, type Prometheus, startPrometheus } from './prometheus.ts'

const main = join(checkout, 'src/main.ts')
// Renewed after about half of it.
const sessionSeconds = 24

const space = await folder('monitoring')
const world = await startWorld({ directory: space.path, clock: systemClock, x509TtlSeconds: 3600, jwtTtlSeconds: 3600, sessionSeconds })
const [container = 0, metrics = 0] = await freePorts(2)
const { aws, arns, audience } = world
const profiles = {
  app: { endpoint: aws.issuingUrl, roles_anywhere: { trust_anchor_arn: arns.trustAnchor, profile_arn: arns.profile, role_arn: arns.role } },
  web: { endpoint: aws.issuingUrl, region: 'us-east-1', web_identity: { role_arn: arns.webIdentityRole, audience } },
}
const configFile = join(space.path, 'config.yaml')
const configure = (some: object): Promise<void> =>
  writeFile(
    configFile,
    JSON.stringify({
      identities: { default: { workload_api: world.socket } },
      profiles: some,
      consumers: { app: { profiles: ['app'] } },
      container_endpoint: { listen: `127.0.0.1:${container}` },
      metrics_endpoint: { listen: `127.0.0.1:${metrics}` },
      runtime_dir: join(space.path, 'run'),
      files: [
        { x509: { directory: join(space.path, 'certs'), certificate: 'svid.pem', key: 'key.pem' } },
        { jwt: { audience: [audience], path: join(space.path, 'token') } },
      ],
      hooks: [{ on: ['x509'], run: ['true'] }],
    }),
  )
await configure(profiles)
const daemon = launch([node, main, 'run', '--config', configFile])
let prometheus: Prometheus | undefined
const svidecar = (...words: string[]): Promise<string> => must([node, main, ...words, '--config', configFile])
const firing = async (name: string, profile: string) => (await prometheus?.firing(name))?.find(({ labels }) => labels['profile'] === profile)
const fires = (name: string, profile: string) => eventually(`${name} fires for ${profile}`, () => firing(name, profile), 60_000)
const resolves = (name: string, profile: string) => eventually(`${name} of ${profile} is over`, async () => (await firing(name, profile)) === undefined, 60_000)

test.after(async () => {
  await prometheus?.stop()
  daemon.kill('SIGTERM')
  await daemon.ended
  await world.stop()
  await space.remove()
})

test('a daemon that is well, in a Prometheus that has the shipped scrape jobs and rules, is no reason for an alert', async () => {
  await svidecar('wait')
  const targets = (await readFile(join(assets, 'targets.yaml'), 'utf8')).replace(/targets: \[.*\]/, `targets: ["127.0.0.1:${metrics}"]`)
  prometheus = await startPrometheus(join(space.path, 'prometheus'), { 'targets.yaml': targets }, await readFile(join(assets, 'prometheus.yaml'), 'utf8'))
  const { count } = prometheus
  await eventually('both jobs have found it', async () => (await count('up{job="svidecar",namespace="shop"} == 1 and on (instance) probe_success == 1')) === 1)
  // Through one renewal.
  await eventually('a renewal', () => count('svidecar_exchange_success_total{profile="app"} >= 2'), 60_000)
  assert.equal(await count('ALERTS{alertstate="firing"}'), 0)
})

test('what pages of one profile silences what explains it, and no other profile', async () => {
  const at = { namespace: 'shop', instance: 'elsewhere:9913' }
  await prometheus?.tell([
    { ...at, alertname: 'SvidecarNoCredentials', severity: 'critical', profile: 'app' },
    ...['app', 'web'].map((profile) => ({ ...at, alertname: 'SvidecarExchangeFailing', severity: 'warning', profile, reason: 'network' })),
    { ...at, alertname: 'SvidecarNotReady', severity: 'warning', job: 'svidecar-ready' },
  ])
  await eventually('both are silenced', async () => {
    assert.deepEqual([...((await prometheus?.silenced(at.instance)) ?? [])].toSorted(), ['SvidecarExchangeFailing app', 'SvidecarNotReady'])
    return true
  })
})

test('AWS is taken away: alerts fire with the runbook that is there, and resolve when it is back', async () => {
  await aws.closeIssuing()
  const soon = await fires('SvidecarCredentialsExpireSoon', 'app')
  assert.match(soon.annotations['summary'] ?? '', /^Profile app at 127\.0\.0\.1:\d+ loses its credentials in \d+(\.\d+)?m?s\.$/)
  await fires('SvidecarExchangeFailing', 'app')
  await eventually('the page silences what explains it', async () => (await prometheus?.silenced())?.includes('SvidecarExchangeFailing'), 30_000)
  assert.ok(!(await prometheus?.silenced())?.some((name) => /ExpireSoon|NoCredentials$/.test(name)))
  for (const profile of ['app', 'web']) {
    const { labels, annotations } = await fires('SvidecarNoCredentials', profile)
    assert.equal(labels['severity'], 'critical')
    assert.equal(labels['namespace'], 'shop', 'a label of the target')
    const [path = '', anchor] = (annotations['runbook_url'] ?? '').split('#')
    const titles = (await readFile(join(checkout, path), 'utf8')).matchAll(/^## (.*)$/gm)
    assert.ok([...titles].some(([, title = '']) => title.toLowerCase() === anchor))
  }
  const unready = await eventually('SvidecarNotReady fires', async () => (await prometheus?.firing('SvidecarNotReady'))?.[0], 60_000)
  assert.equal(unready.labels['instance'], `127.0.0.1:${metrics}`)

  // Nobody waits for what nobody wants any more.
  await configure({ app: profiles.app })
  await svidecar('reload')
  await resolves('SvidecarNoCredentials', 'web')
  assert.ok(await firing('SvidecarNoCredentials', 'app'))

  await aws.openIssuing()
  await svidecar('refresh')
  for (const name of ['SvidecarNoCredentials', 'SvidecarExchangeFailing', 'SvidecarCredentialsExpireSoon']) await resolves(name, 'app')
  await eventually('SvidecarNotReady is over', async () => (await prometheus?.firing('SvidecarNotReady'))?.length === 0)
})

test('every panel of the dashboard shows data of a daemon that has worked, failed and refused', async () => {
  await configure(profiles)
  await svidecar('reload')
  await svidecar('wait')
  world.agent.setBehaviour({ code: 7, details: 'no identity issued' })
  const credentials = `http://127.0.0.1:${container}/v1/credentials`
  const authorization = await readFile(join(space.path, 'run/app.token'), 'utf8')
  assert.equal((await fetch(credentials, { headers: { authorization, connection: 'close' } })).status, 200)
  assert.equal((await fetch(credentials, { headers: { connection: 'close' } })).status, 401)
  const scraped = async () => {
    const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`, { headers: { connection: 'close' } })).text()
    const series = new Map<string, Set<string>>()
    for (const [, name = '', labels = ''] of text.matchAll(/^(svidecar_\w+)(?:\{(.*)\})? /gm)) {
      const known = series.get(name) ?? new Set()
      for (const [, label = ''] of labels.matchAll(/(?:^|,)(\w+)="/g)) known.add(label)
      series.set(name, known)
    }
    return series
  }
  await eventually('the agent has refused', async () => (await scraped()).has('svidecar_workload_api_errors_total'))
  const live = await scraped()
  const { panels } = JSON.parse(await readFile(join(assets, 'dashboard.json'), 'utf8')) as {
    panels: { title: string; targets?: { expr: string; legendFormat: string }[] }[]
  }
  const targets = panels.flatMap(({ title, targets = [] }) => targets.map((target) => ({ title, ...target })))
  assert.ok(targets.length > 25)
  for (const { title, expr, legendFormat } of targets) {
    const asked = substituted(expr)
    assert.deepEqual(faults(asked, live, legendFormat), [], `${title}: ${expr}`)
    await eventually(`${title} shows something: ${asked}`, async () => ((await prometheus?.count(asked)) ?? 0) > 0)
  }
})
