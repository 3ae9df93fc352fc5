// svidecar jwt: a JWT-SVID, from the agent, or from the daemon as a consumer.
import { failure } from '../core/errors.ts'
import { agentOptions, openAgent, outputOf } from './agent.ts'
import { askConsumer } from './client.ts'
import { type Command, outputOption, runtimeDirOption, textOf } from './command.ts'
import { pretty } from './render.ts'

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
  async run(values, _positionals, io) {
    const audience = textOf(values, 'audience')
    if (audience === undefined)
      throw failure('usage', 'svidecar jwt needs --audience', { remedy: 'Name whom the token is for, such as --audience sts.amazonaws.com.' })
    const output = outputOf(values, ['token', 'json'])
    if (textOf(values, 'consumer') !== undefined) {
      if (output === 'json') throw failure('usage', '--output json asks the agent; leave --consumer out', { remedy: '' })
      io.out(`${await askConsumer(values, io, `/v1/jwt?audience=${encodeURIComponent(audience)}`)}\n`)
      return 0
    }
    const agent = await openAgent(values, io)
    const token = (await agent.jwtSvid([audience])).compact.reveal()
    io.out(output === 'json' ? pretty(await agent.claims(audience, token)) : `${token}\n`)
    return 0
  },
}
