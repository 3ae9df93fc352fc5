// The command line of spiffe-helper, read as Go's flag package reads it: -x is --x, a flag takes its value from =, and the first other word ends it.
import { goQuote } from './go-quote.ts'

export type Flags =
  | { readonly kind: 'run'; readonly config: string; readonly daemonMode: boolean | undefined }
  | { readonly kind: 'version' }
  /** Told on stderr. */
  | { readonly kind: 'usage'; readonly text: string; readonly status: 0 | 2 }

const usageOf = (program: string): string => `Usage of ${program}:
  -config string
    \t<configFile> Configuration file path (default "helper.conf")
  -daemon-mode
    \tToggle running as a daemon to rotate X.509/JWT or just fetch and exit (default true)
  -version
    \tprint version
`

const [yes, no] = ['1 t T true TRUE True', '0 f F false FALSE False'].map((words) => words.split(' '))

/** Parses the arguments of `program`; whatever follows the first that is no flag is ignored, as the original does. */
export function parseFlags(args: readonly string[], program: string): Flags {
  const usage = usageOf(program)
  let config = 'helper.conf'
  let daemonMode: boolean | undefined
  let version = false
  const wrong = (message: string): Flags => ({ kind: 'usage', text: `${message}\n${usage}`, status: 2 })
  for (let index = 0; index < args.length; index++) {
    const word = args[index] ?? ''
    if (!word.startsWith('-') || word === '-' || word === '--') break
    const [, name = '', value] = /^--?([^=]*)(?:=(.*))?$/s.exec(word) ?? []
    if (name === '' || name.startsWith('-')) return wrong(`bad flag syntax: ${word}`)
    if (name === 'help' || name === 'h') return { kind: 'usage', text: usage, status: 0 }
    if (name === 'config') {
      const given = value ?? args[++index]
      if (given === undefined) return wrong('flag needs an argument: -config')
      config = given
    } else if (name === 'daemon-mode' || name === 'version') {
      const given = yes?.includes(value ?? 'true') ? true : no?.includes(value ?? 'true') ? false : undefined
      if (given === undefined) return wrong(`invalid boolean value ${goQuote(value ?? '')} for -${name}: parse error`)
      if (name === 'version') version = given
      else daemonMode = given
    } else return wrong(`flag provided but not defined: -${name}`)
  }
  return version ? { kind: 'version' } : { kind: 'run', config, daemonMode }
}
