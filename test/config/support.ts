// What the tests of the configuration share: one that is right, and a way to load any text.
import assert from 'node:assert/strict'
import type { Config } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { isFailure } from '../../src/core/errors.ts'

export const anchorArn = 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/00000000-0000-4000-8000-000000000001'
export const profileArn = 'arn:aws:rolesanywhere:eu-central-1:111122223333:profile/00000000-0000-4000-8000-000000000002'
export const roleArn = 'arn:aws:iam::111122223333:role/team/app'

/** Every key that there is. */
export const whole = `identities:
  default: { workload_api: "unix:///run/spire/sockets/agent.sock", spiffe_id: spiffe://example.org/web, hint: internal }
  other: { workload_api: "tcp://127.0.0.1:8081", choose: first }
profiles:
  app:
    identity: default
    roles_anywhere:
      trust_anchor_arn: ${anchorArn}
      profile_arn: ${profileArn}
      role_arn: ${roleArn}
      session_duration: 1h
  reports:
    required: false
    web_identity: { role_arn: ${roleArn}, audience: sts.amazonaws.com, session_duration: 90m }
    region: eu-west-1
    endpoint: https://sts.internal/base
    session_name: reports@web
    allow_plaintext: false
consumers:
  app: { profiles: [app, reports], audiences: [sts.amazonaws.com], owner: root, group: "0", mode: "0440", uids: [0, 1000] }
container_endpoint: { listen: 127.0.0.1:9912, host_names: [Pod.internal] }
imds_endpoints: [ { listen: "[::1]:9911", profile: app, host_names: [], availability_zone: eu-central-1a, uids: [1000] } ]
metrics_endpoint: { listen: 0.0.0.0:9913, host_names: [metrics.internal] }
status_endpoint: { listen: 127.0.0.1:9914 }
runtime_dir: /run/svidecar
on_identity_withdrawn: keep
reload: watch
shutdown_grace: 5s
stop_timeout: 7s
files:
  - x509:
      identity: other
      directory: /run/svid
      certificate: tls.crt
      key: tls.key
      bundle: ca.crt
      combined: all.pem
      mode: "0640"
      key_mode: "0400"
      intermediates: bundle
      federated: merged
      omit_expired: true
      owner: root
      group: "0"
      remove_at_stop: true
  - jwt: { identity: default, audience: [a, b], path: /run/token, mode: "0400", owner: root, group: "0", remove_at_stop: false }
  - jwt_bundle: { identity: other, path: /run/jwks, format: spiffe-helper, trust_domain: example.org, mode: "0600", owner: root, group: "0" }
hooks:
  - { on: [x509, credentials], run: [/bin/reload, now], timeout: 5s }
  - { on: [jwt], signal: { pid_file: /run/app.pid, name: SIGHUP } }
  - { on: [jwt_bundle], child: { command: [/bin/app], signal: SIGUSR1 } }
log: { level: info, format: json }
`

/** A configuration of one profile by web identity, one key a line, so that lines are easy to count. */
export const small = `identities:
  default:
    workload_api: unix:///agent.sock
profiles:
  app:
    web_identity:
      role_arn: ${roleArn}
      audience: sts.amazonaws.com
    region: eu-west-1
consumers:
  app:
    profiles: [app]
container_endpoint:
  listen: 127.0.0.1:9912
`

export const load = (env: NodeJS.ProcessEnv, file?: string): Promise<Config> => loadConfig(file, { env, uid: 1000, terminal: false })

export const loadText = (text: string, env: NodeJS.ProcessEnv = {}): Promise<Config> => load({ ...env, SVIDECAR_CONFIG_YAML: text })

/** The lines of the one Failure that loading ends with; anything else that is thrown is a defect. */
export async function mistakes(loading: Promise<unknown>): Promise<string[]> {
  try {
    await loading
  } catch (error) {
    if (!isFailure(error)) throw error
    assert.equal(error.code, 'config_invalid')
    assert.notEqual(error.remedy, '')
    return error.message.split('\n')
  }
  throw assert.fail('it was accepted')
}

/** The mistakes of a text, without the name of its origin: "3:5: profiles.app: …". */
export const mistakesOf = async (text: string, env?: NodeJS.ProcessEnv): Promise<string[]> =>
  (await mistakes(loadText(text, env))).map((line) => line.replace(/^SVIDECAR_CONFIG_YAML:/, '').trim())
