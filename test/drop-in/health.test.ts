// The health endpoint: its paths, its answers before, after and without a write, and what else it is asked.

import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type Case, compareAll, type Places, type Steps } from './case.ts'
import { address, healthConfig, jwtBundleConfig, jwtEntry, x509Config } from './configs.ts'
import { denied, tokens, x509 } from './material.ts'
import type { Run } from './run.ts'

const health = (more = ''): string => `health_checks {\n  listener_enabled = true\n  bind_port = {port}\n${more}}\n`
const jwts = `jwt_bundle_file_name = "bundle.json"\njwt_svids = [${jwtEntry('a', 'token')}, ${jwtEntry('b', 'tokens/b')}]\n`

const anyToken = tokens()

/** Waits until the endpoint answers at all, without a note. */
const up = (run: Run): Promise<void> =>
  run.until('the health endpoint answers', () =>
    fetch(`http://127.0.0.1:${run.port}/`).then(
      () => true,
      () => false,
    ),
  )
const both = async (run: Run, live = '/live', ready = '/ready'): Promise<void> => {
  await run.get(live)
  await run.get(ready)
}
const written = async (run: Run): Promise<void> => {
  await run.logged(/X\.509 certificates updated/)
  await up(run)
}
const stop = (run: Run): void => run.signal('SIGTERM')

const asking =
  (...questions: readonly (readonly [path: string, method?: string])[]): Steps =>
  async (run) => {
    await written(run)
    for (const [path, method] of questions) await run.get(path, method)
    stop(run)
  }

const paths: Readonly<Record<string, readonly (readonly [string, string?])[]>> = {
  'the defaults': [['/live'], ['/ready']],
  'other methods on live': ['HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'FOO'].map((method) => ['/live', method]),
  'other methods on ready': ['HEAD', 'POST', 'OPTIONS'].map((method) => ['/ready', method]),
  'other paths': [['/'], ['/live/'], ['/ready/x'], ['/healthz'], ['/LIVE'], ['/metrics'], ['/status']],
  'paths with a query': [['/live?a=b'], ['/ready?']],
  'paths with dots and slashes': [['/./live'], ['/a/../live'], ['//live'], ['/live//'], ['/%6cive'], ['/live%2f'], ['/live;a']],
  'other paths with HEAD': [['/', 'HEAD']],
}

const custom: Readonly<Record<string, { config: string; questions: readonly (readonly [string, string?])[] }>> = {
  'own paths': { config: '  liveness_path = "/a"\n  readiness_path = "/b/c"\n', questions: [['/a'], ['/b/c'], ['/live'], ['/ready'], ['/b']] },
  'empty paths': { config: '  liveness_path = ""\n  readiness_path = ""\n', questions: [['/live'], ['/ready']] },
  'a path that ends with a slash': { config: '  liveness_path = "/a/"\n', questions: [['/a/'], ['/a/b'], ['/a'], ['/ready']] },
  'the root': { config: '  liveness_path = "/"\n', questions: [['/'], ['/anything'], ['/ready']] },
  'a path with a query': { config: '  liveness_path = "/a?b"\n', questions: [['/a?b'], ['/a']] },
  'a path with an escape': { config: '  liveness_path = "/a%20b"\n', questions: [['/a%20b'], ['/a%2520b']] },
  'a path with a wildcard': { config: '  liveness_path = "/{a}"\n', questions: [['/x'], ['/ready'], ['/x/y']] },
  'a path with a method': { config: '  liveness_path = "GET /a"\n', questions: [['/a'], ['/a', 'POST'], ['/a', 'HEAD']] },
  'a path with a host': { config: '  liveness_path = "127.0.0.1/a"\n', questions: [['/a']] },
  'names in upper case': { config: '  LIVENESS_PATH = "/a"\n', questions: [['/a']] },
}

/** Somebody else listens on every address. */
const holdPort = async ({ port }: Places): Promise<() => void> => {
  const server = createServer().listen(port)
  await once(server, 'listening')
  return () => void server.close()
}

/** These end the program, or not. */
const odd: Readonly<Record<string, string>> = {
  'equal paths': '  liveness_path = "/a"\n  readiness_path = "/a"\n',
  'the readiness path for both': '  liveness_path = "/ready"\n',
  'a path without slash': '  liveness_path = "live"\n',
  'a path with an open brace': '  liveness_path = "/{a"\n',
  'a path with a space': '  liveness_path = "/a b"\n',
  'a port that is too big': '  bind_port = 70000\n',
}

const cases: readonly Case[] = [
  ...Object.entries(paths).map(([name, questions]): Case => ({ name: `asked: ${name}`, config: healthConfig, unordered: true, steps: asking(...questions) })),
  ...Object.entries(custom).map(
    ([name, { config, questions }]): Case => ({
      name: `configured: ${name}`,
      config: x509Config + health(config),
      unordered: true,
      steps: asking(...questions),
    }),
  ),
  ...Object.entries(odd).map(
    ([name, config]): Case => ({
      name: `odd: ${name}`,
      config: x509Config + health(config),
      unordered: true,
      steps: async (run) => {
        await run.logged(/X\.509 certificates updated|Error starting/)
        await run.ended(300)
        if (run.running) stop(run)
      },
    }),
  ),
  {
    name: 'before the agent has answered',
    config: healthConfig,
    unordered: true,
    serve: async () => ({ x509: 'silent' }),
    steps: async (run) => {
      await up(run)
      await both(run)
      run.agent.serve({ x509: await x509({}) })
      await written(run)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'while the agent has no identity',
    config: healthConfig,
    unordered: true,
    collapse: true,
    serve: async () => ({ x509: denied }),
    steps: async (run) => {
      await up(run)
      await run.logged(/Error while watching/)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'without an agent',
    config: healthConfig,
    unordered: true,
    collapse: true,
    agent: 'down',
    steps: async (run) => {
      await up(run)
      await run.logged(/Error while watching/)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'a failed write',
    config: `cert_dir = "sub"\n${healthConfig}`,
    unordered: true,
    steps: async (run) => {
      await run.logged(/Unable to dump bundle/)
      await up(run)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'a failed write, and then one that succeeds',
    config: `cert_dir = "sub"\n${healthConfig}`,
    unordered: true,
    steps: async (run) => {
      await run.logged(/Unable to dump bundle/)
      await up(run)
      mkdirSync(join(run.dir, 'sub'))
      run.agent.serve({ x509: await x509({ number: 2 }) })
      await written(run)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'a write that fails later',
    config: `hint = "internal"\n${healthConfig}`,
    unordered: true,
    serve: async () => ({ x509: await x509({ hint: 'internal' }) }),
    steps: async (run) => {
      await written(run)
      run.agent.serve({ x509: await x509({ number: 2, hint: 'else' }) })
      await run.logged(/Unable to dump bundle/)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'the identity is withdrawn after a write',
    config: healthConfig,
    unordered: true,
    collapse: true,
    steps: async (run) => {
      await written(run)
      run.agent.serve({ x509: denied })
      await run.logged(/Error while watching/)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'the agent goes after a write',
    config: healthConfig,
    unordered: true,
    collapse: true,
    steps: async (run) => {
      await written(run)
      await run.agent.stop()
      await run.logged(/Error while watching/)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'a broken message after a write',
    config: healthConfig,
    unordered: true,
    collapse: true,
    steps: async (run) => {
      await written(run)
      run.agent.serve({ x509: { svids: [], federated: {} } })
      await run.logged(/Error while watching/)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'tokens and JWT bundles',
    config: `${x509Config}${jwts}${health()}`,
    unordered: true,
    setup: ({ dir }) => mkdirSync(join(dir, 'tokens')),
    steps: async (run) => {
      await written(run)
      await run.logged(/JWT SVID updated/, 2)
      await run.logged(/JWT bundle updated/)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'tokens and JWT bundles in cert_dir',
    config: `cert_dir = ".//sub/"\n${x509Config}${jwts}${health()}`,
    unordered: true,
    setup: ({ dir }) => mkdirSync(join(dir, 'sub/tokens'), { recursive: true }),
    steps: async (run) => {
      await written(run)
      await run.logged(/JWT SVID updated/, 2)
      await run.logged(/JWT bundle updated/)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'a JWT bundle alone',
    config: jwtBundleConfig + health(),
    unordered: true,
    steps: async (run) => {
      await run.logged(/JWT bundle updated/)
      await up(run)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'a token that cannot be written',
    config: `${address}jwt_svids = [${jwtEntry('a', 'missing/token')}]\n${health()}`,
    unordered: true,
    collapse: true,
    steps: async (run) => {
      await run.logged(/Unable to update JWT SVID/)
      await up(run)
      await both(run)
      mkdirSync(join(run.dir, 'missing'))
      await run.logged(/JWT SVID updated/)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'a token that is refused',
    config: `${address}jwt_svids = [${jwtEntry('a', 'token')}]\n${health()}`,
    unordered: true,
    collapse: true,
    serve: async () => ({ jwt: async () => denied }),
    steps: async (run) => {
      await run.logged(/Unable to update JWT SVID/)
      await up(run)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'one token of two is refused',
    config: `${address}${jwts.replace('tokens/b', 'b')}${health()}`,
    unordered: true,
    collapse: true,
    serve: async () => ({ jwt: (asked, nth) => (asked.includes('b') ? Promise.resolve(denied) : anyToken(asked, nth)) }),
    steps: async (run) => {
      await run.logged(/JWT SVID updated/)
      await run.logged(/JWT bundle updated/)
      await run.logged(/Unable to update JWT SVID/)
      await up(run)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'a JWT bundle that cannot be written',
    config: `${x509Config}jwt_bundle_file_name = "missing/b"\n${health()}`,
    unordered: true,
    steps: async (run) => {
      await written(run)
      await run.logged(/Error writing JWT Bundle/)
      await both(run)
      stop(run)
    },
  },
  {
    name: 'a port in use',
    config: healthConfig,
    unordered: true,
    prepare: holdPort,
    steps: async (run) => {
      await run.logged(/X\.509 certificates updated/)
      await run.logged(/Error serving health checks/)
      stop(run)
    },
  },
  {
    name: 'not enabled',
    config: healthConfig.replace('true', 'false'),
    steps: async (run) => {
      await run.logged(/X\.509 certificates updated/)
      await run.get('/live')
      stop(run)
    },
  },
  {
    name: 'a one-shot has none',
    config: healthConfig,
    oneShot: true,
    serve: async () => ({ x509: 'silent' }),
    steps: async (run) => {
      await run.until('the agent is asked', () => run.agent.watchers > 0)
      await run.get('/live')
      run.signal('SIGTERM')
    },
  },
  {
    name: 'the port is closed at the end',
    config: healthConfig,
    unordered: true,
    steps: async (run) => {
      await written(run)
      stop(run)
      await run.ended()
      await run.get('/live')
    },
  },
]
compareAll('health', cases, 4)
