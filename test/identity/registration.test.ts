// The command that would register this process names what SPIRE's attestors see, and survives a shell.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { inspectProcess, type ProcessFacts, registrationCommand } from '../../src/identity/registration.ts'

const plain: ProcessFacts = { uid: 1000, executable: '/usr/bin/svidecar', cgroup: '', kubernetes: undefined }
const id = 'spiffe://example.org/web'
const command = (change: Partial<ProcessFacts> = {}, spiffeId: string | undefined = id) => registrationCommand({ ...plain, ...change }, spiffeId)
const selectors = (change: Partial<ProcessFacts>) => Array.from(command(change).matchAll(/-selector '?([^' ]+)/g), ([, selector]) => selector)

/** The words that a shell makes of a command, provided that nothing in it is special to a shell outside of quotes. */
const words = (line: string): string[] => {
  assert.match(line, /^(?:[\w/:.,@%+= -]|'[^']*'|\\')+$/, 'something is not quoted')
  const { stdout } = spawnSync('sh', ['-c', line.replace(/^spire-server /, "printf '%s\\n' ")], { encoding: 'utf8' })
  return stdout.split('\n').slice(0, -1)
}

test('an ordinary process is registered by user and executable', () => {
  assert.equal(
    command(),
    "spire-server entry create -parentID 'spiffe://example.org/<agent>' -spiffeID spiffe://example.org/web -selector unix:uid:1000 -selector unix:path:/usr/bin/svidecar",
  )
})

test('root is a user too, and a process without one has none', () => {
  assert.deepEqual(selectors({ uid: 0 }), ['unix:uid:0', 'unix:path:/usr/bin/svidecar'])
  assert.deepEqual(selectors({ uid: undefined }), ['unix:path:/usr/bin/svidecar'])
})

test('without a configured identity there are places to fill in', () => {
  const line = registrationCommand(plain, undefined)
  assert.match(line, /-parentID 'spiffe:\/\/<trust domain>\/<agent>' -spiffeID 'spiffe:\/\/<trust domain>\/<workload>'/)
})

describe('a systemd unit', () => {
  const units: Record<string, [cgroup: string, unit: string | undefined]> = {
    'of cgroup v2': ['0::/system.slice/svidecar.service', 'svidecar.service'],
    'of cgroup v2 with a group below it': ['0::/system.slice/svidecar.service/main', 'svidecar.service'],
    'of cgroup v1': ['12:cpuset:/\n11:memory:/system.slice/svidecar.service\n1:name=systemd:/system.slice/svidecar.service\n0::/', 'svidecar.service'],
    'of cgroup v1 where only systemd knows it': ['5:devices:/user.slice\n1:name=systemd:/system.slice/svidecar.service', 'svidecar.service'],
    'made from a template': ['0::/system.slice/system-runner.slice/runner@7.service', 'runner@7.service'],
    "of a user's manager, whose unit the system's manager knows": [
      '0::/user.slice/user-1000.slice/user@1000.service/app.slice/svidecar.service',
      'user@1000.service',
    ],
    'that is a session and no service': ['0::/user.slice/user-1000.slice/session-3.scope', undefined],
    'in a name that only begins so': ['0::/system.slice/svidecar.services/x', undefined],
    'that there is none of': ['0::/', undefined],
  }
  for (const [what, [cgroup, unit]] of Object.entries(units))
    test(what, () => {
      const rest = ['unix:uid:1000', 'unix:path:/usr/bin/svidecar']
      assert.deepEqual(selectors({ cgroup }), [...(unit === undefined ? [] : [`systemd:id:${unit}`]), ...rest])
    })
})

test('a pod is registered by namespace, service account and container, and by nothing of the node', () => {
  const kubernetes = { namespace: 'shop', serviceAccount: 'web' }
  const cgroup = '0::/kubelet.slice/kubepods.slice/kubelet.service'
  assert.deepEqual(selectors({ kubernetes, cgroup }), ['k8s:ns:shop', 'k8s:sa:web', 'k8s:container-name:svidecar'])
})

describe('a shell makes of the command the words that were meant', () => {
  const path = (executable: string) => {
    const line = command({ executable })
    assert.ok(!line.includes('\n'), 'it is one line')
    return words(line).at(-1)
  }
  for (const executable of [
    '/opt/my tools/svidecar',
    "/opt/o'brien/svidecar",
    "/opt/o'brien tools/svidecar",
    '/opt/$HOME/svidecar',
    '/opt/a;b/svidecar',
    '/opt/a&b/(1)/svidecar',
    '/opt/*/svidecar',
    '/opt/"q"/`id`/svidecar',
    '/opt/back\\slash/svidecar',
    '/opt/~/#/svidecar!',
  ])
    test(executable, () => assert.equal(path(executable), `unix:path:${executable}`))

  test('and of a unit whose name is escaped', () => {
    const line = command({ cgroup: '0::/system.slice/dev-disk\\x2dby.service' })
    assert.ok(words(line).includes('systemd:id:dev-disk\\x2dby.service'), line)
  })

  test('for any path', () => {
    const character = fc.constantFrom(...Array.from(' \'"\\$`;&|<>()*?[]{}!#~=%^a/.-'))
    fc.assert(
      fc.property(fc.string({ unit: character, minLength: 1, maxLength: 12 }), (text) => {
        assert.equal(path(`/${text}`), `unix:path:/${text}`)
      }),
      { numRuns: 20 },
    )
  })
})

describe('this very process', () => {
  test('outside Kubernetes is what the system says', () => {
    const facts = inspectProcess({})
    assert.equal(facts.uid, process.getuid?.())
    assert.equal(facts.executable, realpathSync(process.execPath))
    assert.equal(facts.kubernetes, undefined)
    assert.equal(typeof facts.cgroup, 'string')
  })

  test('inside Kubernetes without a token has places to fill in', () => {
    const facts = inspectProcess({ KUBERNETES_SERVICE_HOST: '10.0.0.1' })
    assert.deepEqual(facts.kubernetes, { namespace: '<namespace>', serviceAccount: '<service account>' })
    assert.match(registrationCommand(facts, id), /'k8s:ns:<namespace>' -selector 'k8s:sa:<service account>'/)
  })
})
