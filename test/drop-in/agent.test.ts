// Agents that are late, absent, replaced, silent, or refuse: what is said, what is tried again, what ends the program.
import { type Case, compareAll } from './case.ts'
import { jwtBundleConfig, jwtConfig, jwtEntry, x509Config } from './configs.ts'
import { denied, jwtBundles, ordinary, type Refusal, unavailable, x509 } from './material.ts'
import type { Run } from './run.ts'

const all = `${x509Config}jwt_bundle_file_name = "bundle.json"\njwt_svids = [${jwtEntry('a', 'token')}]\n`
const stop = (run: Run): void => run.signal('SIGTERM')

/** gRPC's codes; after 3 and 1 the original ends. */
const codes: Readonly<Record<string, number>> = {
  Canceled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
}

const refusing = Object.entries(codes).flatMap(([name, code]): Case[] => {
  const refusal: Refusal = { code, details: 'for a test' }
  // The word for the first is said, then the second is tried a second later.
  const recover = async (run: Run): Promise<void> => {
    await run.logged(/Error while watching/)
    await run.ended(100)
    if (!run.running) return
    run.agent.serve(await ordinary())
    await run.logged(/X\.509 certificates updated|JWT bundle updated/)
    stop(run)
  }
  return [
    { name: `${name} for X.509-SVIDs, as a daemon`, config: x509Config, collapse: true, serve: async () => ({ x509: refusal }), steps: recover },
    { name: `${name} for JWT bundles, as a daemon`, config: jwtBundleConfig, collapse: true, serve: async () => ({ jwtBundles: refusal }), steps: recover },
    ...(name === 'PermissionDenied'
      ? []
      : [
          { name: `${name} for X.509-SVIDs, once`, config: x509Config, oneShot: true, serve: async () => ({ x509: refusal }) },
          { name: `${name} for JWT bundles, once`, config: jwtBundleConfig, oneShot: true, serve: async () => ({ jwtBundles: refusal }) },
          { name: `${name} for tokens, once`, config: jwtConfig(jwtEntry('a', 'token')), oneShot: true, serve: async () => ({ jwt: async () => refusal }) },
        ]),
  ]
})

const daemons: readonly Case[] = [
  {
    name: 'no agent, and then there is one',
    config: x509Config,
    agent: 'down',
    collapse: true,
    steps: async (run) => {
      await run.logged(/Error while watching/)
      await run.agent.start()
      await run.logged(/X\.509 certificates updated/)
      stop(run)
    },
  },
  {
    name: 'no agent for tokens, and then there is one',
    config: jwtConfig(jwtEntry('a', 'token')),
    agent: 'down',
    collapse: true,
    steps: async (run) => {
      await run.logged(/Launching daemon/)
      await new Promise((resolve) => setTimeout(resolve, 200))
      await run.agent.start()
      await run.logged(/JWT SVID updated/)
      stop(run)
    },
  },
  {
    name: 'no agent for anything, and then there is one',
    config: all,
    agent: 'down',
    collapse: true,
    unordered: true,
    steps: async (run) => {
      await run.logged(/Launching daemon/)
      await new Promise((resolve) => setTimeout(resolve, 200))
      await run.agent.start()
      await run.logged(/JWT SVID updated/)
      await run.logged(/JWT bundle updated/)
      await run.logged(/X\.509 certificates updated/)
      stop(run)
    },
  },
  {
    name: 'the agent is replaced, and has news',
    config: x509Config,
    collapse: true,
    steps: async (run) => {
      await run.logged(/X\.509 certificates updated/)
      await run.agent.stop()
      await run.logged(/Error while watching/)
      run.agent.serve({ x509: await x509({ number: 2 }) })
      await run.agent.start()
      await run.logged(/X\.509 certificates updated/, 2)
      stop(run)
    },
  },
  {
    name: 'the agent is replaced, and has news of JWT bundles',
    config: jwtBundleConfig,
    collapse: true,
    steps: async (run) => {
      await run.logged(/JWT bundle updated/)
      await run.agent.stop()
      await run.logged(/Error while watching/)
      run.agent.serve({ jwtBundles: await jwtBundles('example.org', 'new.test') })
      await run.agent.start()
      await run.logged(/JWT bundle updated/, 2)
      stop(run)
    },
  },
  {
    name: 'the agent ends the stream and goes on',
    config: x509Config,
    collapse: true,
    steps: async (run) => {
      await run.logged(/X\.509 certificates updated/)
      run.agent.serve({ x509: unavailable })
      await run.logged(/Error while watching/)
      run.agent.serve({ x509: await x509({ number: 2 }) })
      await run.logged(/X\.509 certificates updated/, 2)
      stop(run)
    },
  },
  {
    name: 'an identity that is withdrawn and comes back',
    config: x509Config,
    collapse: true,
    steps: async (run) => {
      await run.logged(/X\.509 certificates updated/)
      run.agent.serve({ x509: denied })
      await run.logged(/Error while watching/)
      run.agent.serve({ x509: await x509({ number: 2 }) })
      await run.logged(/X\.509 certificates updated/, 2)
      stop(run)
    },
  },
  {
    name: 'one of two streams fails',
    config: `${x509Config}jwt_bundle_file_name = "bundle.json"\n`,
    collapse: true,
    unordered: true,
    serve: async () => ({ jwtBundles: denied }),
    steps: async (run) => {
      await run.logged(/X\.509 certificates updated/)
      await run.logged(/Error while watching JWT bundles/)
      stop(run)
    },
  },
  {
    name: 'one of two streams ends the program',
    config: `${x509Config}jwt_bundle_file_name = "bundle.json"\n`,
    collapse: true,
    unordered: true,
    steps: async (run) => {
      await run.logged(/X\.509 certificates updated/)
      await run.logged(/JWT bundle updated/)
      run.agent.serve({ jwtBundles: { code: 3, details: 'for a test' } })
      await run.ended()
    },
  },
]

const once: readonly Case[] = [
  {
    name: 'once, and the agent is late to know',
    config: x509Config,
    oneShot: true,
    serve: async () => ({ x509: denied }),
    steps: async (run) => {
      await run.until('it has asked', () => run.agent.calls > 0)
      run.agent.serve({ x509: await x509({}) })
      await run.ended()
    },
  },
  {
    name: 'once for a JWT bundle, and the agent is late to know',
    config: jwtBundleConfig,
    oneShot: true,
    serve: async () => ({ jwtBundles: denied }),
    steps: async (run) => {
      await run.until('it has asked', () => run.agent.calls > 0)
      run.agent.serve({ jwtBundles: await jwtBundles() })
      await run.ended()
    },
  },
  {
    name: 'once for a token, and the agent is late to know',
    config: jwtConfig(jwtEntry('a', 'token')),
    oneShot: true,
    serve: async () => ({ jwt: async () => denied }),
    steps: async (run) => {
      await run.until('it has asked', () => run.agent.calls > 0)
      run.agent.serve(await ordinary().then(({ jwtBundles: bundles }) => ({ jwtBundles: bundles })))
      await run.ended(300)
      run.signal('SIGKILL')
    },
  },
  {
    name: 'once for a token, and the agent comes late',
    config: jwtConfig(jwtEntry('a', 'token')),
    oneShot: true,
    agent: 'down',
    steps: async (run) => {
      await run.logged(/Daemon mode disabled/)
      await new Promise((resolve) => setTimeout(resolve, 200))
      await run.agent.start()
      await run.ended()
    },
  },
]

compareAll('agent', [...refusing, ...daemons, ...once], 8)
