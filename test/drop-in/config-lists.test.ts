// The two parts of a configuration that are no plain pairs: jwt_svids and health_checks, in every shape.
import { type Case, compareAll } from './case.ts'
import { address, x509Config } from './configs.ts'

const a = 'jwt_audience = "a"'
const f = 'jwt_svid_file_name = "f"'
const g = 'jwt_svid_file_name = "g"'

const lists: Record<string, string> = {
  'one entry': `jwt_svids = [{ ${a}, ${f} }]`,
  'newlines in an entry': `jwt_svids = [{\n  ${a}\n  ${f}\n}]`,
  'nothing between the pairs': `jwt_svids = [{ ${a} ${f} }]`,
  'commas at the ends': `jwt_svids = [{ ${a}, ${f}, }, ]`,
  'two entries': `jwt_svids = [{ ${a}, ${f} }, { jwt_audience = "b", ${g} }]`,
  'two entries without comma': `jwt_svids = [{ ${a}, ${f} } { jwt_audience = "b", ${g} }]`,
  'two entries on lines without comma': `jwt_svids = [\n{ ${a}, ${f} }\n{ jwt_audience = "b", ${g} }\n]`,
  'two commas': `jwt_svids = [{ ${a}, ${f} },, { jwt_audience = "b", ${g} }]`,
  'a comma first': `jwt_svids = [, { ${a}, ${f} }]`,
  'no end': `jwt_svids = [{ ${a}, ${f} }`,
  'no end of an entry': `jwt_svids = [{ ${a}, ${f} ]`,
  'comments everywhere': `jwt_svids = [ # one\n{ # two\n${a}, // three\n/* four */ ${f} } /* five */, ] # six`,
  'the same file twice': `jwt_svids = [{ ${a}, ${f} }, { ${a}, ${f} }]`,
  'the list twice': `jwt_svids = [{ ${a}, ${f} }]\njwt_svids = [{ jwt_audience = "b", ${g} }]`,
  'an empty list': 'jwt_svids = []',
  'an empty entry': 'jwt_svids = [{}]',
  'an object': `jwt_svids = { ${a}, ${f} }`,
  'a block': `jwt_svids { ${a}\n ${f} }`,
  'two blocks': `jwt_svids { ${a}\n ${f} }\njwt_svids { jwt_audience = "b"\n ${g} }`,
  'a block with a label': `jwt_svids "x" { ${a}\n ${f} }`,
  'two blocks with labels': `jwt_svids "x" { ${a}\n ${f} }\njwt_svids "y" { jwt_audience = "b"\n ${g} }`,
  'two blocks with one label': `jwt_svids "x" { ${a}\n ${f} }\njwt_svids "x" { jwt_audience = "b"\n ${g} }`,
  'a text': 'jwt_svids = "a"',
  'a number': 'jwt_svids = 5',
  'a list of texts': 'jwt_svids = ["a"]',
  'a list of numbers': 'jwt_svids = [1]',
  'a list of lists': `jwt_svids = [[{ ${a}, ${f} }]]`,
  'an entry and a text': `jwt_svids = [{ ${a}, ${f} }, "a"]`,
  'no audience': `jwt_svids = [{ ${f} }]`,
  'an empty audience': `jwt_svids = [{ jwt_audience = "", ${f} }]`,
  'no file': `jwt_svids = [{ ${a} }]`,
  neither: 'jwt_svids = [{ jwt_extra_audiences = ["b"] }]',
  'the second without file': `jwt_svids = [{ ${a}, ${f} }, { ${a} }]`,
  'an audience as a number': `jwt_svids = [{ jwt_audience = 5, ${f} }]`,
  'an audience as a list': `jwt_svids = [{ jwt_audience = ["a"], ${f} }]`,
  'an audience as a truth': `jwt_svids = [{ jwt_audience = true, ${f} }]`,
  'names in upper case': `JWT_SVIDS = [{ JWT_AUDIENCE = "a", Jwt_Svid_File_Name = "f" }]`,
  'names in quotes': `jwt_svids = [{ "jwt_audience" = "a", "jwt_svid_file_name" = "f" }]`,
  'colons for equals signs': `jwt_svids = [{ jwt_audience: "a", jwt_svid_file_name: "f" }]`,
  'an audience twice': `jwt_svids = [{ ${a}, jwt_audience = "b", ${f} }]`,
  'an unknown key': `jwt_svids = [{ ${a}, ${f}, foo = 1 }]`,
  'an unknown key in the second': `jwt_svids = [{ ${a}, ${f} }, { ${a}, ${g}, foo = 1, bar = 2 }]`,
  'an unknown key in quotes': `jwt_svids = [{ ${a}, ${f}, "foo" = 1 }]`,
  'a block in an entry': `jwt_svids = [{ ${a}, ${f}, foo { b = 1 } }]`,
  'the old name of the file': `jwt_svids = [{ ${a}, jwt_file_name = "f" }]`,
  'a mode in an entry': `jwt_svids = [{ ${a}, ${f}, jwt_svid_file_mode = 0644 }]`,
  'no extra audience': `jwt_svids = [{ ${a}, ${f}, jwt_extra_audiences = [] }]`,
  'an extra audience as text': `jwt_svids = [{ ${a}, ${f}, jwt_extra_audiences = "b" }]`,
  'an extra audience as number': `jwt_svids = [{ ${a}, ${f}, jwt_extra_audiences = [5, true] }]`,
  'an extra audience in a list in a list': `jwt_svids = [{ ${a}, ${f}, jwt_extra_audiences = [["b"]] }]`,
  'an extra audience as an object': `jwt_svids = [{ ${a}, ${f}, jwt_extra_audiences = [{ b = 1 }] }]`,
  'extra audiences without comma': `jwt_svids = [{ ${a}, ${f}, jwt_extra_audiences = ["b" "c"] }]`,
  'an escape in an audience': `jwt_svids = [{ jwt_audience = "a\\u00e9\\n", ${f} }]`,
  'an interpolation in an audience': `jwt_svids = [{ jwt_audience = "\${a}", ${f} }]`,
  'a heredoc in an entry': `jwt_svids = [{ jwt_audience = <<EOF\na\nEOF\n ${f} }]`,
}

const blocks: Record<string, string> = {
  'a block': 'health_checks { listener_enabled = false }',
  'an empty block': 'health_checks {}',
  'an object': 'health_checks = { listener_enabled = false, bind_port = 1 }',
  'an empty object': 'health_checks = {}',
  'a list': 'health_checks = [{ listener_enabled = false }]',
  'an empty list': 'health_checks = []',
  'a text': 'health_checks = "a"',
  'a truth': 'health_checks = true',
  'two blocks': 'health_checks { listener_enabled = true }\nhealth_checks { bind_port = -1 }',
  'two blocks, the second undoing': 'health_checks { listener_enabled = true\n bind_port = -1 }\nhealth_checks { listener_enabled = false }',
  'a label': 'health_checks "x" { listener_enabled = true\n bind_port = -1 }',
  'an unknown key': 'health_checks { foo = 1 }',
  'an unknown key in quotes': 'health_checks { "foo" = 1 }',
  'names in upper case': 'HEALTH_CHECKS { LISTENER_ENABLED = true\n BIND_PORT = -1 }',
  'names in quotes': '"health_checks" { "listener_enabled" = true\n "bind_port" = -1 }',
  'enabled as text': 'health_checks { listener_enabled = "true" }',
  'enabled as number': 'health_checks { listener_enabled = 1 }',
  'a port as text': 'health_checks { listener_enabled = true\n bind_port = "-1" }',
  'a port as other text': 'health_checks { bind_port = "http" }',
  'a port as a fraction': 'health_checks { bind_port = 80.5 }',
  'a port as truth': 'health_checks { bind_port = true }',
  'an octal port': 'health_checks { listener_enabled = true\n bind_port = 017\n}',
  'a huge port': 'health_checks { bind_port = 99999999999999999999 }',
  'a path as a number': 'health_checks { liveness_path = 5 }',
  'a path as a list': 'health_checks { liveness_path = ["/a"] }',
  'pairs on one line': 'health_checks { listener_enabled = false bind_port = 1 liveness_path = "/a" readiness_path = "/b" }',
  'pairs with commas': 'health_checks { listener_enabled = false, bind_port = 1, }',
  'no end': 'health_checks { listener_enabled = false',
  'a block in the block': 'health_checks { inner { a = 1 } }',
}

const cases: Case[] = [
  ...Object.entries(lists).map(
    ([name, text]): Case => ({ name: `jwt_svids: ${name}`, config: `${address}jwt_bundle_file_name = "bundle.json"\n${text}\n`, oneShot: true }),
  ),
  ...Object.entries(lists)
    .slice(0, 2)
    .map(([name, text]): Case => ({ name: `jwt_svids alone: ${name}`, config: `${address}${text}\n`, oneShot: true })),
  ...Object.entries(blocks).map(([name, text]): Case => ({ name: `health_checks: ${name}`, config: `${x509Config}${text}\n`, oneShot: true })),
]

compareAll('config-lists', cases, 4)
