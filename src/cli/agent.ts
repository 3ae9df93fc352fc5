// The commands that look at an agent, with or without a configuration: svid, jwt and bundle.
import { loadConfig } from '../config/load.ts'
import { failure, isFailure } from '../core/errors.ts'
import { parseSocketAddress } from '../spiffe/socket-address.ts'
import { askConsumer } from './client.ts'
import { type Command, configOption, type Io, outputOption, runtimeDirOption, type Values } from './command.ts'
import { surroundings } from './configuration.ts'
import { pretty, span, table } from './render.ts'

const agentOptions: Command['options'] = {
  config: configOption,
  socket: { type: 'string', value: 'ADDRESS', help: 'Address of the Workload API. Default: the configuration, else SPIFFE_ENDPOINT_SOCKET.' },
  identity: { type: 'string', value: 'NAME', help: 'Identity of the configuration. Default: default.' },
}

/** Looks at the agent that the options, the configuration or the environment name. Throws a Failure. */
async function openAgent({ config: path, socket, identity: name = 'default' }: Values, io: Io) {
  const { inspect } = await import('../daemon/agent.ts')
  const address = socket ?? (path === undefined ? io.env['SPIFFE_ENDPOINT_SOCKET'] : undefined)
  if (address !== undefined) return inspect({ name: 'default', workloadApi: parseSocketAddress(address) }, io.clock)
  const config = await loadConfig(path, surroundings(io)).catch((error: unknown) => {
    if (!isFailure(error) || path !== undefined) throw error
    throw Object.assign(error, { remedy: 'Set SPIFFE_ENDPOINT_SOCKET, or name the agent with --socket.' })
  })
  const identity = config.identities.find((one) => one.name === name)
  if (identity !== undefined) return inspect(identity, io.clock)
  throw failure('config_invalid', `there is no identity ${JSON.stringify(name)}; there is ${config.identities.map((one) => one.name).join(', ')}`)
}

/** What --output names, the first of the formats without it. Throws usage. */
function outputOf<F extends string>(values: Values, formats: readonly [F, ...F[]]): F {
  const wanted = values['output'] ?? formats[0]
  const output = formats.find((one) => one === wanted)
  if (output !== undefined) return output
  throw failure('usage', `there is no output ${JSON.stringify(wanted)}`, { remedy: `There are ${formats.slice(0, -1).join(', ')} and ${formats.at(-1)}.` })
}

export const svid: Command = {
  options: { ...agentOptions, output: outputOption('text, json, or pem (certificates only, never a key). Default text.') },
  details: 'The agent attests the process that asks: what this command gets is not what a service of another user gets.',
  example: 'svidecar svid --socket unix:///run/spire/sockets/agent.sock',
  async run(values, io) {
    const output = outputOf(values, ['text', 'json', 'pem'])
    const { svids, bundles } = await (await openAgent(values, io)).x509Context()
    const rows = svids.map((one) => ({
      spiffeId: one.spiffeId,
      hint: one.hint,
      key: one.privateKey.asymmetricKeyDetails?.namedCurve ?? one.privateKey.asymmetricKeyType ?? '',
      serial: one.serial,
      intermediates: one.intermediates.length,
      notBefore: new Date(one.notBefore).toISOString(),
      notAfter: new Date(one.notAfter).toISOString(),
    }))
    const left = (end: string) => span((Date.parse(end) - io.clock.now()) / 1000)
    const print = {
      text: () =>
        table([
          ['SPIFFE ID', 'HINT', 'KEY', 'ENDS IN', 'CHAIN', 'SERIAL'],
          ...rows.map((row) => [row.spiffeId, row.hint || '-', row.key, left(row.notAfter), String(row.intermediates + 1), row.serial]),
        ]),
      json: () => pretty({ svids: rows, bundles: [...bundles].map(([trustDomain, { authorities }]) => ({ trustDomain, authorities: authorities.length })) }),
      pem: () => svids.flatMap((one) => [one.leaf, ...one.intermediates]).join(''),
    }
    io.out(print[output]())
  },
}

export const jwt: Command = {
  usage: '--audience AUDIENCE [options]',
  options: {
    ...agentOptions,
    audience: { type: 'string', value: 'AUDIENCE', help: 'Whom the token is for.' },
    consumer: { type: 'string', value: 'NAME', help: 'Ask the running daemon as this consumer instead of the agent.' },
    'runtime-dir': runtimeDirOption,
    output: outputOption('token, or json: the claims as the agent verifies them, without the token. Default token.'),
  },
  details: 'The token goes to stdout: it is a secret until it expires.',
  example: 'svidecar jwt --audience sts.amazonaws.com --output json',
  async run(values, io) {
    const { audience, consumer } = values
    if (audience === undefined)
      throw failure('usage', 'svidecar jwt needs --audience', { remedy: 'Name whom the token is for, such as --audience sts.amazonaws.com.' })
    const output = outputOf(values, ['token', 'json'])
    if (consumer !== undefined) {
      if (output === 'json') throw failure('usage', '--output json asks the agent; leave --consumer out', { remedy: '' })
      io.out(`${await askConsumer(values, io, `/v1/jwt?audience=${encodeURIComponent(audience)}`)}\n`)
      return
    }
    const agent = await openAgent(values, io)
    const token = (await agent.jwtSvid([audience])).compact.reveal()
    io.out(output === 'json' ? pretty(await agent.claims(audience, token)) : `${token}\n`)
  },
}

export const bundle: Command = {
  options: {
    ...agentOptions,
    output: outputOption('pem: the X.509 authorities; json: the JWT keys, a JWKS for each trust domain. Default pem.'),
    'trust-domain': { type: 'string', value: 'NAME', help: 'Only this trust domain. Default: all, each under a comment.' },
  },
  details: 'Bundles of different trust domains are never to be merged: each vouches for its own.',
  example: 'svidecar bundle --trust-domain example.org > bundle.pem',
  async run(values, io) {
    const output = outputOf(values, ['pem', 'json'])
    const wanted = values['trust-domain']
    const agent = await openAgent(values, io)
    const select = <B>(bundles: ReadonlyMap<string, B>): [string, B][] => {
      const chosen = [...bundles].filter(([name]) => wanted === undefined || name === wanted)
      if (chosen.length > 0) return chosen
      const given = [...bundles.keys()].join(', ') || 'none'
      throw failure('usage', `the agent gives no bundle of ${wanted ?? 'any trust domain'}`, { remedy: `It gives ${given}.` })
    }
    if (output === 'pem')
      for (const [name, { authorities }] of select(await agent.x509Bundles())) io.out(`${wanted === undefined ? `# ${name}\n` : ''}${authorities.join('')}`)
    else {
      const keys = select(await agent.jwtBundles()).map(([name, { canonical }]) => [name, JSON.parse(canonical) as unknown])
      io.out(pretty(Object.fromEntries(keys)))
    }
  },
}
