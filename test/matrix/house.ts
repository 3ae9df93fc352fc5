// What the tests of the matrix share: a world, a daemon in a process of its own, and what an SDK's environment has to say.
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { systemClock } from '../../src/core/clock.ts'
import { checkout, freePorts, launch, must, node } from '../platform/machine.ts'
import type { Environment } from '../sdk/support.ts'
import { startWorld } from '../support/dev/world.ts'
import { eventually } from '../support/eventually.ts'
import { type Place, type Surface, type SurfaceName, surfaces } from './surfaces.ts'

export type House = Awaited<ReturnType<typeof openHouse>>

const main = join(checkout, 'dist/svidecar.cjs')
const path = '/usr/local/bin:/usr/bin:/bin'

/** What every program gets: no file and no variable of whoever runs the tests. */
const bare = (home: string): Environment => ({ HOME: home, PATH: path, AWS_REGION: 'us-east-1', AWS_DEFAULT_REGION: 'us-east-1' })

interface Options {
  readonly sessionSeconds: number
  readonly jwtTtlSeconds?: number
  /** AWS issues nothing from the start. */
  readonly silent?: boolean
}

/** The daemon is the bundle that ships; AWS and the agent are in this process, where they can be taken away. */
export async function openHouse({ sessionSeconds, jwtTtlSeconds = 3600, silent = false }: Options) {
  const folder = await mkdtemp(join(tmpdir(), 'matrix-'))
  const home = join(folder, 'home')
  const runtime = join(folder, 'run')
  await mkdir(home)
  const world = await startWorld({ directory: folder, clock: systemClock, x509TtlSeconds: 86_400, jwtTtlSeconds, sessionSeconds })
  if (silent) await world.aws.closeIssuing()
  const [container = 0, imds = 0, metrics = 0] = await freePorts(3)
  const { arns, audience } = world
  const jwtFile = join(folder, 'aws.jwt')
  const credentialsFile = join(folder, 'home-of-file/.aws/credentials')
  const configuration = {
    profiles: {
      app: { endpoint: world.aws.issuingUrl, roles_anywhere: { trust_anchor_arn: arns.trustAnchor, profile_arn: arns.profile, role_arn: arns.role } },
    },
    consumers: { app: { profiles: ['app'] } },
    container_endpoint: { listen: `127.0.0.1:${container}` },
    imds_endpoints: [{ listen: `127.0.0.1:${imds}`, profile: 'app' }],
    metrics_endpoint: { listen: `127.0.0.1:${metrics}` },
    files: [{ jwt: { audience: [audience], path: jwtFile } }, { credentials: { profile: 'app', path: credentialsFile } }],
    runtime_dir: runtime,
  }
  const environment = { ...bare(home), SVIDECAR_CONFIG_YAML: JSON.stringify(configuration), SPIFFE_ENDPOINT_SOCKET: world.socket }
  const daemon = launch([node, main, 'run'], environment)
  const stop = async () => {
    daemon.kill('SIGTERM')
    await daemon.ended
    await world.stop()
    await rm(folder, { recursive: true, force: true })
  }
  /** Runs a command of svidecar; what it printed. */
  const svidecar = (...words: string[]) => must([node, main, ...words, '--runtime-dir', runtime], { env: bare(home) })
  try {
    await eventually('a daemon', async () => {
      daemon.check()
      return (await fetch(`http://127.0.0.1:${metrics}/livez`)).ok
    })
    if (!silent) await svidecar('wait')
  } catch (error) {
    await stop()
    throw error
  }
  const place: Place = {
    socketDirectory: runtime,
    containerUrl: `http://127.0.0.1:${container}/v1/credentials`,
    tokenFile: join(runtime, 'app.token'),
    imdsUrl: `http://127.0.0.1:${imds}`,
    jwtFile,
    credentialsFile,
    roleArn: arns.webIdentityRole,
    folder,
    svidecar: `${node} ${main}`,
  }
  return {
    world,
    place,
    /** The end of what the daemon has said. */
    log: daemon.said,
    svidecar,
    /** Runs a program under `svidecar exec`; what it printed. */
    exec: (command: readonly string[], change: Environment) =>
      must([node, main, 'exec', '--profile', 'app', '--', ...command], { env: { ...environment, ...change } }),
    /** What points an SDK at a surface, and at an AWS that tells its calls from those of others by the path. */
    environment: async (name: SurfaceName, cell: string): Promise<Environment> => {
      const surface: Surface = surfaces[name]
      const own = join(folder, cell)
      await mkdir(own, { recursive: true })
      const here = { ...place, folder: own }
      const config = name === 'curl' ? await svidecar('env', '--format', 'aws-config', '--consumer', 'app', '--profile', 'app') : surface.configFile?.(here)
      if (config !== undefined) await writeFile(join(own, 'config'), config)
      return {
        ...bare(home),
        // An SDK that tries again would hide a refusal of AWS.
        AWS_MAX_ATTEMPTS: '1',
        AWS_ENDPOINT_URL_STS: `${world.aws.checkingUrl}/${cell}`,
        ...surface.environment(here),
      }
    },
    /** The access key that is served now. */
    currentKey: async () => {
      const asked = request({ socketPath: join(runtime, 'app.sock'), path: '/v1/credential-process', headers: { host: 'localhost' } }).end()
      const [reply] = await once(asked, 'response')
      return (JSON.parse(await text(reply)) as { AccessKeyId?: string }).AccessKeyId ?? ''
    },
    stop,
  }
}
