// svidecar svid: the X.509-SVIDs that the agent gives this process.
import { failure } from '../core/errors.ts'
import { agentOptions, openAgent } from './agent.ts'
import { type Command, outputOption, textOf } from './command.ts'
import { span, table } from './render.ts'

export const svid: Command = {
  summary: 'show the X.509-SVIDs that the agent gives',
  usage: '[options]',
  options: { ...agentOptions, output: outputOption('text, json, or pem (certificates only, never a key). Default text.') },
  positionals: { names: [] },
  details: 'The agent attests the process that asks: what this command gets is not what a service of another user gets.',
  example: 'svidecar svid --socket unix:///run/spire/sockets/agent.sock',
  async run(values, _positionals, io) {
    const output = textOf(values, 'output') ?? 'text'
    if (!['text', 'json', 'pem'].includes(output))
      throw failure('usage', `there is no output ${JSON.stringify(output)}`, { remedy: 'There are text, json and pem.' })
    const { svids, bundles } = await (await openAgent(values, io)).x509Context()
    if (output === 'pem') io.out(svids.flatMap((one) => [one.leaf, ...one.intermediates].map((certificate) => certificate.toString())).join(''))
    else {
      const now = io.clock.now()
      const rows = svids.map((one) => ({
        spiffeId: one.spiffeId,
        hint: one.hint,
        key: one.privateKey.asymmetricKeyDetails?.namedCurve ?? one.privateKey.asymmetricKeyType ?? '',
        serial: one.serial,
        intermediates: one.intermediates.length,
        notBefore: new Date(one.notBefore).toISOString(),
        notAfter: new Date(one.notAfter).toISOString(),
      }))
      if (output === 'json')
        io.out(
          `${JSON.stringify({ svids: rows, bundles: [...bundles].map(([trustDomain, { authorities }]) => ({ trustDomain, authorities: authorities.length })) }, undefined, 2)}\n`,
        )
      else
        io.out(
          table([
            ['SPIFFE ID', 'HINT', 'KEY', 'ENDS IN', 'CHAIN', 'SERIAL'],
            ...rows.map((row) => [
              row.spiffeId,
              row.hint || '-',
              row.key,
              span((Date.parse(row.notAfter) - now) / 1000),
              String(row.intermediates + 1),
              row.serial,
            ]),
          ]),
        )
    }
    return 0
  },
}
