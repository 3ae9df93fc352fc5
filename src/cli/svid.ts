// svidecar svid: the X.509-SVIDs that the agent gives this process.
import { agentOptions, openAgent, outputOf } from './agent.ts'
import { type Command, outputOption } from './command.ts'
import { pretty, span, table } from './render.ts'

export const svid: Command = {
  options: { ...agentOptions, output: outputOption('text, json, or pem (certificates only, never a key). Default text.') },
  details: 'The agent attests the process that asks: what this command gets is not what a service of another user gets.',
  example: 'svidecar svid --socket unix:///run/spire/sockets/agent.sock',
  async run(values, _positionals, io) {
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
    return 0
  },
}
