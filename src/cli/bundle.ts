// svidecar bundle: the trust bundles that the agent gives.
import { failure } from '../core/errors.ts'
import { agentOptions, openAgent, outputOf } from './agent.ts'
import { type Command, outputOption, textOf } from './command.ts'
import { pretty } from './render.ts'

export const bundle: Command = {
  options: {
    ...agentOptions,
    output: outputOption('pem: the X.509 authorities; json: the JWT keys, a JWKS for each trust domain. Default pem.'),
    'trust-domain': { type: 'string', value: 'NAME', help: 'Only this trust domain. Default: all, each under a comment.' },
  },
  details: 'Bundles of different trust domains are never to be merged: each vouches for its own.',
  example: 'svidecar bundle --trust-domain example.org > bundle.pem',
  async run(values, _positionals, io) {
    const output = outputOf(values, ['pem', 'json'])
    const wanted = textOf(values, 'trust-domain')
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
    return 0
  },
}
