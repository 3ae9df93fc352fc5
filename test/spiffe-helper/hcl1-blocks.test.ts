// jwt_svids and health_checks in every shape that HCL1 has for them: lists, blocks, labels, merging, and what is refused.
import { enough, read, table, verdict } from './support.ts'

/** What the original reads from a text that has a key in front and a line behind that makes it complete. */
const reading =
  (what: (helper: ReturnType<typeof read>['helper']) => unknown) =>
  (text: string): unknown => {
    const whole = `hint = "h" ${text}\n${enough.trimEnd()}`
    const said = verdict(whole)
    return said === 'ok' ? what(read(whole).helper) : said
  }
const tokens = reading(({ jwtSvids }) => jwtSvids.map(({ audience, extraAudiences, fileName }) => [audience, extraAudiences, fileName]))
const health = reading(({ health: one }) => (one === undefined ? [] : [one.port, one.livenessPath, one.readinessPath]))

table(
  'jwt_svids is a list of objects, with commas or lines between their keys',
  [
    ['jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f"}]', [['a', [], 'f']]],
    ['jwt_svids = [{jwt_audience="a"\njwt_svid_file_name="f"\n}]', [['a', [], 'f']]],
    ['jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f",},]', [['a', [], 'f']]],
    [
      'jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f"}, {jwt_audience="b", jwt_svid_file_name="g"}]',
      [
        ['a', [], 'f'],
        ['b', [], 'g'],
      ],
    ],
    ['jwt_svids = [\n  # one\n  {\n    jwt_audience = "a" # of it\n    jwt_svid_file_name = "f"\n  },\n]', [['a', [], 'f']]],
    ['jwt_svids = []', []],
    ['jwt_svids = [{JWT_AUDIENCE="a", "jwt_svid_file_name"="f"}]', [['a', [], 'f']]],
    ['jwt_svids = [{jwt_audience=1, jwt_svid_file_name=2}]', [['1', [], '2']]],
    ['jwt_svids = [,{jwt_audience="a", jwt_svid_file_name="f"},,]', [['a', [], 'f']]],
  ],
  tokens,
)
table(
  'two lists of jwt_svids are one',
  [
    [
      'jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f"}] jwt_svids = [{jwt_audience="b", jwt_svid_file_name="g"}]',
      [
        ['a', [], 'f'],
        ['b', [], 'g'],
      ],
    ],
    [
      'jwt_svids "x" {jwt_audience="a" jwt_svid_file_name="f"} jwt_svids "y" {jwt_audience="b" jwt_svid_file_name="g"}',
      [
        ['a', [], 'f'],
        ['b', [], 'g'],
      ],
    ],
    [
      'jwt_svids = [{jwt_audience="b", jwt_svid_file_name="g"}] jwt_svids "x" {jwt_audience="a" jwt_svid_file_name="f"}',
      [
        ['a', [], 'f'],
        ['b', [], 'g'],
      ],
    ],
  ],
  tokens,
)
table(
  'a block of jwt_svids with one label is one entry',
  [
    ['jwt_svids "x" { jwt_audience="a" jwt_svid_file_name="f" }', [['a', [], 'f']]],
    ['jwt_svids x { jwt_audience="a" jwt_svid_file_name="f" }', [['a', [], 'f']]],
    ['jwt_svids "x" { jwt_audience="a" jwt_svid_file_name="f" foo=1 }', 'unknown key(s) in jwt_svids[0]: foo'],
  ],
  tokens,
)
table(
  'a block of jwt_svids with more labels is refused',
  [
    ['jwt_svids "x" "y" { jwt_audience="a" jwt_svid_file_name="f" }', "'jwt_file_name' is required in 'jwt_svids'"],
    ['jwt_svids x "y" { jwt_audience="a" jwt_svid_file_name="f" }', "'jwt_file_name' is required in 'jwt_svids'"],
    ['jwt_svids "x" "y" "z" { jwt_audience="a" jwt_svid_file_name="f" }', [['a', [], 'f']]],
    ['jwt_svids { x "y" { jwt_audience="a" jwt_svid_file_name="f" } }', "'jwt_file_name' is required in 'jwt_svids'"],
    ['jwt_svids "x" "y" { omit_expired = 1 }', "'jwt_file_name' is required in 'jwt_svids'"],
  ],
  tokens,
)
table(
  'a block of jwt_svids without label is taken apart',
  [
    ['jwt_svids { jwt_audience="a" jwt_svid_file_name="f" }', "'jwt_file_name' is required in 'jwt_svids'"],
    ['jwt_svids = { jwt_audience="a" jwt_svid_file_name="f" }', "'jwt_file_name' is required in 'jwt_svids'"],
    ['jwt_svids {}', []],
    ['jwt_svids = {}', []],
    ['jwt_svids { x { jwt_audience="a" jwt_svid_file_name="f" } }', [['a', [], 'f']]],
    ['jwt_svids { jwt_svid_file_name="f" }', "'jwt_audience' is required in 'jwt_svids'"],
    ['jwt_svids { x = [1] }', 'At 1:28: root.jwt_svids[0]: not an object type for struct (*ast.ListType)'],
  ],
  tokens,
)
table(
  'an entry of jwt_svids is an object',
  [
    ['jwt_svids = 1', 'At 1:24: unknown slice type: *ast.LiteralType'],
    ['jwt_svids = "a"', 'At 1:24: unknown slice type: *ast.LiteralType'],
    ['jwt_svids = true', 'At 1:24: unknown slice type: *ast.LiteralType'],
    ['jwt_svids = [1]', 'At 1:25: root.jwt_svids[0]: not an object type for struct (*ast.LiteralType)'],
    ['jwt_svids = ["a"]', 'At 1:25: root.jwt_svids[0]: not an object type for struct (*ast.LiteralType)'],
    ['jwt_svids = [[]]', 'At 1:25: root.jwt_svids[0]: not an object type for struct (*ast.ListType)'],
    ['jwt_svids = [{}]', "'jwt_file_name' is required in 'jwt_svids'"],
    ['jwt_svids = [{} {}]', 'At 1:28: error parsing list, expected comma or list end, got: LBRACE'],
    ['jwt_svids = [[{}]]', 'At 1:25: root.jwt_svids[0]: not an object type for struct (*ast.ListType)'],
  ],
  tokens,
)
table(
  'further audiences are a list of texts',
  [
    ['jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f", jwt_extra_audiences=["b","c"]}]', [['a', ['b', 'c'], 'f']]],
    ['jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f", jwt_extra_audiences=[]}]', [['a', [], 'f']]],
    ['jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f", jwt_extra_audiences=["b", 1]}]', [['a', ['b', '1'], 'f']]],
    ['jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f", jwt_extra_audiences="b"}]', 'At 1:88: unknown slice type: *ast.LiteralType'],
    [
      'jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f", jwt_extra_audiences=["b", true]}]',
      'At 1:94: root.jwt_svids[0].jwt_extra_audiences[1]: unknown type for string *ast.LiteralType',
    ],
    [
      'jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f", jwt_extra_audiences=[["b"]]}]',
      'At 1:89: root.jwt_svids[0].jwt_extra_audiences[0]: unknown type for string *ast.ListType',
    ],
    [
      'jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f", jwt_extra_audiences=[{}]}]',
      'At 1:89: root.jwt_svids[0].jwt_extra_audiences[0]: unknown type for string *ast.ObjectType',
    ],
    ['jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f", jwt_extra_audiences=["b"], jwt_extra_audiences=["c"]}]', [['a', ['b', 'c'], 'f']]],
  ],
  tokens,
)
table(
  'further audiences are no object',
  [
    [
      'jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f", jwt_extra_audiences={b="c"}}]',
      'At 1:89: root.jwt_svids[0].jwt_extra_audiences[0]: unknown type for string *ast.ObjectItem',
    ],
    [
      'jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f", jwt_extra_audiences { b = 1 }}]',
      'At 1:90: root.jwt_svids[0].jwt_extra_audiences[0]: unknown type for string *ast.ObjectItem',
    ],
    [
      'jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f", jwt_extra_audiences "l" { b = 1 }}]',
      'At 1:88: root.jwt_svids[0].jwt_extra_audiences[0]: unknown type for string *ast.ObjectItem',
    ],
  ],
  tokens,
)
table(
  'health_checks is a block or an object',
  [
    ['health_checks { listener_enabled = true }', [8081, '/live', '/ready']],
    ['health_checks = { listener_enabled = true }', [8081, '/live', '/ready']],
    ['health_checks { listener_enabled = true, bind_port = 1, liveness_path = "/l", readiness_path = "/r" }', [1, '/l', '/r']],
    ['health_checks {\n  listener_enabled = true\n  bind_port = "8082"\n}', [8082, '/live', '/ready']],
    ['health_checks { Listener_Enabled = true "bind_port" = 0x10 }', [16, '/live', '/ready']],
    ['health_checks {}', []],
    ['health_checks = {}', []],
    ['health_checks "x" { listener_enabled = true }', []],
    ['health_checks = [{listener_enabled = true}]', 'At 1:28: root.health_checks: not an object type for struct (*ast.ListType)'],
    ['health_checks = []', 'At 1:28: root.health_checks: not an object type for struct (*ast.ListType)'],
    ['health_checks = 5', 'At 1:28: root.health_checks: not an object type for struct (*ast.LiteralType)'],
    ['health_checks = "x"', 'At 1:28: root.health_checks: not an object type for struct (*ast.LiteralType)'],
    ['health_checks = true', 'At 1:28: root.health_checks: not an object type for struct (*ast.LiteralType)'],
  ],
  health,
)
table(
  'two blocks of health_checks are one',
  [
    ['health_checks { listener_enabled = true } health_checks { bind_port = 7 }', [7, '/live', '/ready']],
    ['health_checks { listener_enabled = true bind_port = 5 } health_checks { bind_port = 7 }', [7, '/live', '/ready']],
    ['health_checks { listener_enabled = true } health_checks { listener_enabled = false }', []],
    ['health_checks { listener_enabled = true } health_checks {}', [8081, '/live', '/ready']],
    ['health_checks = { listener_enabled = true } health_checks { liveness_path = "/x" } HEALTH_CHECKS { readiness_path = "/y" }', [8081, '/x', '/y']],
  ],
  health,
)
table(
  'unknown keys of health_checks are not looked at',
  [
    ['health_checks { foo = 1 listener_enabled = true }', [8081, '/live', '/ready']],
    ['health_checks { foo { bar = 1 } }', []],
    ['health_checks { listener_enabled = true, health_checks = 5 }', [8081, '/live', '/ready']],
  ],
  health,
)
table(
  'types are looked at in health_checks, too',
  [
    ['health_checks { listener_enabled = "true" }', 'At 1:47: root.health_checks.listener_enabled: unknown type *ast.LiteralType'],
    ['health_checks { listener_enabled = 1 }', 'At 1:47: root.health_checks.listener_enabled: unknown type *ast.LiteralType'],
    ['health_checks { bind_port = "x" }', 'strconv.ParseInt: parsing "x": invalid syntax'],
    ['health_checks { bind_port = true }', 'At 1:40: root.health_checks.bind_port: unknown type *ast.LiteralType'],
    ['health_checks { bind_port = 1.5 }', 'At 1:40: root.health_checks.bind_port: unknown type *ast.LiteralType'],
    ['health_checks { liveness_path = true }', 'At 1:44: root.health_checks.liveness_path: unknown type for string *ast.LiteralType'],
    ['health_checks { listener_enabled = true liveness_path = 5 }', [8081, '5', '/ready']],
    ['health_checks { readiness_path = ["/x"] }', 'At 1:45: root.health_checks.readiness_path: unknown type for string *ast.ListType'],
    ['health_checks { bind_port {} }', 'At -: root.health_checks.bind_port: unknown type *ast.ObjectList'],
  ],
  health,
)
