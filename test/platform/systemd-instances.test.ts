// Several identities on one host, each with a user and a daemon of its own; and what is ordered after a daemon.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { checkout, configuration } from './machine.ts'
import { type Booted, boot } from './systemd/booted.ts'

let machine: Booted

const example = (name: string): Promise<string> => readFile(join(checkout, 'deploy/systemd/examples', name), 'utf8')
const instances = { 'ci-a': { credentials: 9922, metrics: 9923 }, 'ci-b': { credentials: 9932, metrics: 9933 } }
/** The example for ci-a, for ci-b. */
const forB = (text: string): string => text.replaceAll('ci-a', 'ci-b').replaceAll('992', '993')

before(async () => {
  const sysusers = await example('sysusers-ci-a.conf')
  const socket = await example('svidecar@ci-a.socket')
  machine = await boot('systemd-instances', {
    files: {
      '/etc/sysusers.d/svidecar-ci-a.conf': sysusers,
      '/etc/sysusers.d/svidecar-ci-b.conf': forB(sysusers),
      // What a runner's installer would have made.
      '/etc/sysusers.d/jobs.conf': 'u ci-a - "job a"\nu ci-b - "job b"\nu app - "application"\n',
      '/etc/systemd/system/svidecar@ci-a.socket': socket,
      '/etc/systemd/system/svidecar@ci-b.socket': forB(socket),
    },
  })
  for (const [name, ports] of Object.entries(instances)) {
    const consumers = { app: { profiles: ['app'], uids: [Number(await machine.done('id', '--user', name))] } }
    await machine.write(`/etc/svidecar/${name}.yaml`, configuration(machine.world, ports, { consumers }))
  }
})

after(() => machine?.end())

/** The status that a user gets with a token from an instance's container endpoint; undefined when the token may not be read. */
async function asks(user: string, token: string, { credentials }: { credentials: number }): Promise<string | undefined> {
  const { status, stdout } = await machine.as(user, ['cat', token])
  if (status !== 0) return undefined
  return answer(user, stdout, credentials)
}

const answer = async (user: string, token: string, port: number): Promise<string> =>
  (
    await machine.as(user, [
      'curl',
      '--silent',
      '--output',
      '/dev/null',
      '--write-out',
      '%{http_code}',
      '--header',
      `Authorization: ${token}`,
      `http://127.0.0.1:${port}/v1/credentials`,
    ])
  ).stdout

test('two instances run side by side as users of their own, and each job gets its own and no other', async () => {
  await machine.done('systemctl', 'start', 'svidecar@ci-a.socket', 'svidecar@ci-b.socket', 'svidecar@ci-a', 'svidecar@ci-b')
  for (const [name, ports] of Object.entries(instances)) {
    await machine.ready(ports.metrics)
    const pid = await machine.property('MainPID', `svidecar@${name}`)
    assert.equal((await machine.done('ps', '-o', 'user:32=', '-p', pid)).trim(), `svidecar-${name}`)
  }
  const { 'ci-a': a, 'ci-b': b } = instances
  const [ofA, ofB] = ['/run/svidecar-ci-a/app.token', '/run/svidecar-ci-b/app.token'] as const
  assert.deepEqual([await asks('ci-a', ofA, a), await asks('ci-b', ofB, b)], ['200', '200'])
  assert.deepEqual([await asks('ci-b', ofA, a), await asks('ci-a', ofB, b), await asks('app', ofA, a)], [undefined, undefined, undefined])
  assert.equal(await asks('ci-a', ofA, b), '401')
})

test('a token that was stolen is refused to whoever is not in uids, inside of the sandbox, too', async () => {
  const token = await machine.done('cat', '/run/svidecar-ci-a/app.token')
  assert.equal(await answer('ci-b', token, instances['ci-a'].credentials), '403')
  assert.equal(await answer('ci-a', token, instances['ci-a'].credentials), '200')
  assert.match(await machine.journal('svidecar@ci-a'), /consumer app: .*"?uid/)
})

test('the daemon of one is closed to the other: directory, sockets, memory, control', async () => {
  const pid = await machine.property('MainPID', 'svidecar@ci-a')
  for (const path of ['/run/svidecar-ci-a/app.token', `/proc/${pid}/environ`, `/proc/${pid}/mem`])
    assert.notEqual((await machine.as('ci-b', ['cat', path])).status, 0, path)
  const { status, stderr } = await machine.as('ci-b', ['svidecar', 'status', '--runtime-dir', '/run/svidecar-ci-a'])
  assert.deepEqual([status, /permission denied/.test(stderr)], [1, true], stderr)
  // And its own job's user may read credentials, but not rule the daemon.
  assert.notEqual((await machine.as('ci-a', ['svidecar', 'status', '--runtime-dir', '/run/svidecar-ci-a'])).status, 0)
  assert.match((await machine.as('ci-a', ['svidecar', 'env', '--runtime-dir', '/run/svidecar-ci-a'])).stdout, /FULL_URI=http:\/\/127\.0\.0\.1:9922/)
})

test('an instance is reloaded, refuses a wrong configuration, and stops, alone', async () => {
  const file = '/etc/svidecar/ci-a.yaml'
  const good = await machine.done('cat', file)
  await machine.done('systemctl', 'reload', 'svidecar@ci-a')
  await machine.write(file, 'profils: {}')
  assert.notEqual((await machine.inside(['systemctl', 'reload', 'svidecar@ci-a'])).status, 0)
  await machine.write(file, good)
  await machine.done('systemctl', 'stop', 'svidecar@ci-a.socket', 'svidecar@ci-a')
  assert.notEqual((await machine.inside(['test', '-e', '/run/svidecar-ci-a'])).status, 0)
  assert.equal(await machine.get('/readyz', instances['ci-b'].metrics), 200)
})

test('an application with the drop-in starts when there are credentials, finds them, and is not restarted with the daemon', async () => {
  await machine.world.aws.closeIssuing()
  await machine.write(
    '/etc/systemd/system/shop.service',
    `[Service]\nUser=app\nExecStart=/bin/sh -c 'curl --silent --fail --header "Authorization: $(cat $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)" $AWS_CONTAINER_CREDENTIALS_FULL_URI && echo && exec sleep infinity'\n`,
  )
  await machine.dropIn('application.conf', undefined, '/etc/systemd/system/shop.service.d/svidecar.conf')
  await machine.done('systemctl', 'start', '--no-block', 'shop')
  await machine.done('timeout', '20', 'sh', '-c', 'until journalctl --unit=svidecar-wait | grep -q "waiting: .*app"; do sleep 0.1; done')
  assert.equal(await machine.property('ActiveState', 'shop'), 'inactive')
  await machine.world.aws.openIssuing()
  await machine.done('timeout', '60', 'sh', '-c', 'until journalctl --unit=shop | grep -q AccessKeyId; do sleep 0.1; done')
  const pid = await machine.property('MainPID', 'shop')
  assert.notEqual(pid, '0')
  await machine.done('systemctl', 'restart', 'svidecar')
  await machine.ready()
  assert.equal(await machine.property('MainPID', 'shop'), pid)
  assert.deepEqual([await machine.property('ActiveState', 'svidecar-wait'), await machine.property('ActiveState', 'svidecar')], ['active', 'active'])
})

test('the wait of an instance gives up when its time is over, and what requires it does not start', async () => {
  await machine.world.aws.closeIssuing()
  await machine.write('/etc/systemd/system/svidecar-wait@ci-a.service.d/soon.conf', '[Service]\nExecStart=\nExecStart=/usr/bin/svidecar wait --timeout 1s\n')
  await machine.write(
    '/etc/systemd/system/job.service',
    '[Unit]\nRequires=svidecar-wait@ci-a.service\nAfter=svidecar-wait@ci-a.service\n[Service]\nExecStart=/bin/true\n',
  )
  await machine.done('systemctl', 'daemon-reload')
  const { status, stderr } = await machine.inside(['systemctl', 'start', 'job'])
  assert.equal(status, 1)
  assert.match(stderr, /dependency/)
  assert.match(await machine.journal('svidecar-wait@ci-a'), /not ready after 1 s/)
})
