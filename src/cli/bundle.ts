// svidecar bundle: the trust bundles that the agent gives.
import { failure } from '../core/errors.ts'
import { agentOptions, openAgent } from './agent.ts'
import { type Command, outputOption, textOf } from './command.ts'

export const bundle: Command = {
  summary: 'print the trust bundles that the agent gives',
  usage: '[options]',
  options: {
    ...agentOptions,
    output: outputOption('pem: the X.509 authorities; json: the JWT keys, a JWKS for each trust domain. Default pem.'),
    'trust-domain': { type: 'string', value: 'NAME', help: 'Only this trust domain. Default: all, each under a comment.' },
  },
  positionals: { names: [] },
  details: 'Bundles of different trust domains are never to be merged: each vouches for its own.',
  example: 'svidecar bundle --trust-domain example.org > bundle.pem',
  async run(values, _positionals, io) {
    const output = textOf(values, 'output') ?? 'pem'
    const wanted = textOf(values, 'trust-domain')
    const agent = await openAgent(values, io)
    const select = <B>(bundles: ReadonlyMap<string, B>): [string, B][] => {
      const chosen = [...bundles].filter(([name]) => wanted === undefined || name === wanted)
      if (chosen.length === 0)
        throw failure('usage', `the agent gives no bundle of ${wanted ?? 'any trust domain'}`, {
          remedy: `It gives ${[...bundles.keys()].join(', ') || 'none'}.`,
        })
      return chosen
    }
    if (output === 'pem') {
      for (const [name, { authorities }] of select(await agent.x509Bundles()))
        io.out(`${wanted === undefined ? `# ${name}\n` : ''}${authorities.map((authority) => authority.toString()).join('')}`)
    } else if (output === 'json')
      io.out(
        `${JSON.stringify(Object.fromEntries(select(await agent.jwtBundles()).map(([name, { canonical }]) => [name, JSON.parse(canonical) as unknown])), undefined, 2)}\n`,
      )
    else throw failure('usage', `there is no output ${JSON.stringify(output)}`, { remedy: 'There are pem and json.' })
    return 0
  },
}
