// Keys, lists, blocks and objects of HCL1, and how they become the keys of helper.conf: labels, duplicates, unknown keys.
import { table, valueOf } from './support.ts'

table(
  'pairs need nothing between them but may have one comma',
  [
    ['cmd = "x" hint = "h"', ['x']],
    ['cmd = "x", hint = "h"', ['x']],
    ['cmd = "x",', ['x']],
    ['cmd = "x",\n', ['x']],
    ['cmd="x"hint="h"', ['x']],
    ['cmd = "x",,', 'At 1:11: expected: IDENT | STRING | ASSIGN | LBRACE got: COMMA'],
    [',', 'At 1:1: expected: IDENT | STRING | ASSIGN | LBRACE got: COMMA'],
    ['cmd = "x",\n,\n', 'At 2:1: expected: IDENT | STRING | ASSIGN | LBRACE got: COMMA'],
  ],
  valueOf('cmd'),
)
table(
  'keys do not know capitals, and may be in quotes',
  [
    ['CMD = "x"', ['x']],
    ['Cmd = "x"', ['x']],
    ['"cmd" = "x"', ['x']],
    ['"CMD" = "x"', ['x']],
    ['"c\\u006dd" = "x"', ['x']],
  ],
  valueOf('cmd'),
)
table(
  'of equal keys the last one counts',
  [
    ['cmd = "a" cmd = "b"', ['b']],
    ['CMD = "a" cmd = "b"', ['b']],
    ['cmd = "a" CMD = "b"', ['b']],
    ['"cmd" = "a" cmd = 5', ['5']],
    ['cmd = "a" cmd = ""', ['']],
  ],
  valueOf('cmd'),
)
table(
  'keys are compared as Unicode folds letters',
  [
    ['hint = "h" \u212aey_file_mode = 4', ['']],
    ['h\u0131nt = "h"', { unknown: ['h\u0131nt'] }],
    ['h\u0130nt = "h"', { unknown: ['h\u0130nt'] }],
  ],
  valueOf('cmd'),
)
table(
  'a text is made of a string, a heredoc or an integer, and of nothing else',
  [
    ['cmd = true', 'At 1:7: root.cmd: unknown type for string *ast.LiteralType'],
    ['cmd = 1.5', 'At 1:7: root.cmd: unknown type for string *ast.LiteralType'],
    ['cmd = []', 'At 1:7: root.cmd: unknown type for string *ast.ListType'],
    ['cmd = ["a"]', 'At 1:7: root.cmd: unknown type for string *ast.ListType'],
    ['cmd = {}', 'At -: root.cmd: unknown type for string *ast.ObjectList'],
    ['cmd = { a = 1 }', 'At 1:9: root.cmd: unknown type for string *ast.ObjectList'],
    ['cmd { a = 1 }', 'At 1:7: root.cmd: unknown type for string *ast.ObjectList'],
    ['cmd {}', 'At -: root.cmd: unknown type for string *ast.ObjectList'],
    ['cmd "a" {}', 'At 1:5: root.cmd: unknown type for string *ast.ObjectList'],
    ['hint = "h"\ncmd "a" { b = 1 }', 'At 2:5: root.cmd: unknown type for string *ast.ObjectList'],
    ['hint = "h" cmd "a" {} cmd = "b"', 'At 1:16: root.cmd: unknown type for string *ast.ObjectList'],
    ['cmd [1]', 'At 1:5: expected: IDENT | STRING | ASSIGN | LBRACE got: LBRACK'],
  ],
  valueOf('cmd'),
)
table(
  'the first mistake in the order of the keys of the original is told, wherever it stands',
  [
    ['hint = true\ncmd = true', 'At 2:7: root.cmd: unknown type for string *ast.LiteralType'],
    ['omit_expired = 1\ncert_dir = []\ncmd = {}', 'At -: root.cmd: unknown type for string *ast.ObjectList'],
    ['jwt_svids = 1 hint = true', 'At 1:22: root.hint: unknown type for string *ast.LiteralType'],
    ['hint = true foo = 1', 'At 1:8: root.hint: unknown type for string *ast.LiteralType'],
    ['cert_file_mode = "x" add_intermediates_to_bundle = 1', 'At 1:52: root.add_intermediates_to_bundle: unknown type *ast.LiteralType'],
  ],
  valueOf('cmd'),
)
table(
  'what cannot be read is told before what is wrong with what can',
  [
    ['cmd = true\n@', 'At 2:1: illegal char'],
    ['@ cmd = true', 'At 1:1: illegal char'],
    ['cmd = @\nhint = "a', 'At 1:7: illegal char'],
    ['= 1 @', 'At 1:1: no object keys found!'],
  ],
  valueOf('cmd'),
)
table(
  'an equals sign needs exactly one key',
  [
    ['= 1', 'At 1:1: no object keys found!'],
    ['a b = 1', 'At 1:5: nested object expected: LBRACE got: ASSIGN'],
    ['a "b" = 1', 'At 1:7: nested object expected: LBRACE got: ASSIGN'],
    ['"a" "b" "c" = 1', 'At 1:13: nested object expected: LBRACE got: ASSIGN'],
    ['a = = 1', 'At 1:5: Unknown token: 1:5 ASSIGN ='],
    ['a = b = 1', 'At 1:5: Unknown token: 1:5 IDENT b'],
  ],
  valueOf('cmd'),
)
table(
  'a block needs a key',
  [
    ['hint = "h" {}', 'At 1:12: expected: IDENT | STRING got: LBRACE'],
    ['hint = "h" {{}}', 'At 1:12: expected: IDENT | STRING got: LBRACE'],
    ['} ', 'At 1:1: expected: IDENT | STRING | ASSIGN | LBRACE got: RBRACE'],
    ['hint = "h" }', 'At 1:12: expected: IDENT | STRING | ASSIGN | LBRACE got: RBRACE'],
    ['hint = "h" ]', 'At 1:12: expected: IDENT | STRING | ASSIGN | LBRACE got: RBRACK'],
    ['a { b } ', "At 1:7: key 'b' expected start of object ('{') or assignment ('=')"],
    ['a { b = }', 'At 1:9: Unknown token: 1:9 RBRACE }'],
    ['a { "b" }', "At 1:9: key '\"b\"' expected start of object ('{') or assignment ('=')"],
    ['a { {} }', 'At 1:5: expected: IDENT | STRING got: LBRACE'],
    ['a { = }', 'At 1:5: no object keys found!'],
    ['a { 1 }', 'At 1:5: expected: IDENT | STRING | ASSIGN | LBRACE got: NUMBER'],
    ['a { ] }', 'At 1:5: expected: IDENT | STRING | ASSIGN | LBRACE got: RBRACK'],
    ['a { , }', 'At 1:5: expected: IDENT | STRING | ASSIGN | LBRACE got: COMMA'],
    ['a { b = 1,, }', 'At 1:11: expected: IDENT | STRING | ASSIGN | LBRACE got: COMMA'],
  ],
  valueOf('cmd'),
)
table(
  'a block has to end',
  [
    ['a {\n', 'At 2:2: object expected closing RBRACE got: EOF'],
    ['a { b = 1\n', 'At 2:2: object expected closing RBRACE got: EOF'],
    ['a {\n b = 1\n}\nc {\n', 'At 5:2: object expected closing RBRACE got: EOF'],
    ['a = {\n', 'At 2:2: object expected closing RBRACE got: EOF'],
    ['a { b {\n}\n', 'At 3:2: object expected closing RBRACE got: EOF'],
    ['a {', 'At 1:5: object expected closing RBRACE got: EOF'],
    ['a { b = 1', 'At 1:13: object expected closing RBRACE got: EOF'],
    ['a { b = 1 ', 'At 1:12: object expected closing RBRACE got: EOF'],
    ['a { b', "At 1:7: key 'b' expected start of object ('{') or assignment ('=')"],
    ['a { b =', 'At 1:9: object expected closing RBRACE got: EOF'],
    ['a = { b = {', 'At 1:13: object expected closing RBRACE got: EOF'],
  ],
  valueOf('cmd'),
)
table(
  'a list has commas between its elements, and may have more',
  [
    ['foo = [1 2]', 'At 1:10: error parsing list, expected comma or list end, got: NUMBER'],
    ['foo = ["a" "b"]', 'At 1:12: error parsing list, expected comma or list end, got: STRING'],
    ['foo = [1, 2', 'At 1:14: error parsing list, expected comma or list end, got: EOF'],
    ['foo = [1,\n', 'At 2:1: unexpected token while parsing list: EOF'],
    ['foo = [', 'At 1:8: unexpected token while parsing list: EOF'],
    ['foo = [a]', 'At 1:8: unexpected token while parsing list: IDENT'],
    ['foo = [=]', 'At 1:8: unexpected token while parsing list: ASSIGN'],
    ['foo = [}]', 'At 1:8: unexpected token while parsing list: RBRACE'],
    ['foo = [1]]', 'At 1:10: expected: IDENT | STRING | ASSIGN | LBRACE got: RBRACK'],
    ['foo = [1,,2]', { unknown: ['foo'] }],
    ['foo = [,]', { unknown: ['foo'] }],
    ['foo = [,1]', { unknown: ['foo'] }],
    ['foo = [1,]', { unknown: ['foo'] }],
    ['foo = [[1] [2]]', { unknown: ['foo'] }],
    ['foo = [[1] {}]', { unknown: ['foo'] }],
    ['foo = [{} [1]]', 'At 1:11: error parsing list, expected comma or list end, got: LBRACK'],
    ['foo = [{} {}]', 'At 1:11: error parsing list, expected comma or list end, got: LBRACE'],
    ['foo = [#a\n1 #b\n, /* c */ 2]', { unknown: ['foo'] }],
    ['foo = [<<E\nx\nE\n, 1]', { unknown: ['foo'] }],
    ['foo = [<<E\nx\nE\n]', { unknown: ['foo'] }],
    ['foo = []', { unknown: ['foo'] }],
    ['foo = [true, 1.5, "x", -1]', { unknown: ['foo'] }],
    ['foo = [.]', 'At 1:8: unexpected token while parsing list: PERIOD'],
    ['foo = [-]', 'At 1:8: unexpected token while parsing list: SUB'],
  ],
  valueOf('cmd'),
)
table(
  'a mistake inside a list is told with the place of the list and its own',
  [
    ['foo = [{a = }]', 'At 1:8: error while trying to parse object within list: At 1:13: Unknown token: 1:13 RBRACE }'],
    ['foo = [{a}]', "At 1:8: error while trying to parse object within list: At 1:10: key 'a' expected start of object ('{') or assignment ('=')"],
    ['foo = [{a b}]', "At 1:8: error while trying to parse object within list: At 1:12: key 'a b' expected start of object ('{') or assignment ('=')"],
    ['foo = [[1 2]]', 'At 1:8: error while trying to parse list within list: At 1:11: error parsing list, expected comma or list end, got: NUMBER'],
    [
      'foo = [[[1 2]]]',
      'At 1:8: error while trying to parse list within list: At 1:9: error while trying to parse list within list: At 1:12: error parsing list, expected comma or list end, got: NUMBER',
    ],
    ['foo = [{a = [1 2]}]', 'At 1:8: error while trying to parse object within list: At 1:16: error parsing list, expected comma or list end, got: NUMBER'],
    [
      'foo = [[{a = [{b = ]}]]',
      'At 1:8: error while trying to parse list within list: At 1:9: error while trying to parse object within list: At 1:15: error while trying to parse object within list: At 1:20: Unknown token: 1:20 RBRACK ]',
    ],
    ['foo = [{1}]', 'At 1:8: error while trying to parse object within list: At 1:9: expected: IDENT | STRING | ASSIGN | LBRACE got: NUMBER'],
    ['foo = [{{}}]', 'At 1:8: error while trying to parse object within list: At 1:9: expected: IDENT | STRING got: LBRACE'],
    ['foo = [{=}]', 'At 1:8: error while trying to parse object within list: At 1:9: no object keys found!'],
    ['foo = [[a]]', 'At 1:8: error while trying to parse list within list: At 1:9: unexpected token while parsing list: IDENT'],
    ['foo = [{a = 1', 'At 1:8: error while trying to parse object within list: At 1:17: object expected closing RBRACE got: EOF'],
  ],
  valueOf('cmd'),
)
table(
  'unknown keys are named, in order, once',
  [
    ['foo = 1', { unknown: ['foo'] }],
    ['foo = 1 bar = 2', { unknown: ['bar', 'foo'] }],
    ['b = 1 a = 1 B = 1', { unknown: ['B', 'a', 'b'] }],
    ['foo = 1 foo = 2', { unknown: ['foo'] }],
    ['FOO = 1 foo = 2', { unknown: ['FOO', 'foo'] }],
    ['foo {}', { unknown: ['foo'] }],
    ['foo { bar = 1 }', { unknown: ['foo'] }],
    ['foo = [{ bar = 1 }]', { unknown: ['foo'] }],
    ['a.b = 1', { unknown: ['a.b'] }],
    ['health_checks.listener_enabled = true', { unknown: ['health_checks.listener_enabled'] }],
    ['agentAddress = "x"', { unknown: ['agentAddress'] }],
    ['log_level = "x"', { unknown: ['log_level'] }],
    ['timeout = "1"', { unknown: ['timeout'] }],
  ],
  valueOf('cmd'),
)
table(
  'an unknown key in quotes is not looked at',
  [
    ['"foo" = 1', ['']],
    ['"foo" {}', ['']],
    ['"foo" = [1]', ['']],
    ['"foo" = { bar = 1 }', ['']],
    ['"aws" { a = 1 }', ['']],
    ['cmd = "x" "foo" = 1', ['x']],
  ],
  valueOf('cmd'),
)
table(
  'an unknown block with labels is looked at in the first place only',
  [
    ['foo "x" {}', { unknown: ['foo'] }],
    ['foo "x" {}\ncmd = "y"', { unknown: ['foo'] }],
    ['foo x {}', { unknown: ['foo', 'x'] }],
    ['"foo" x {}', { unknown: ['x'] }],
    ['foo "x" y "z" {}', { unknown: ['foo', 'y'] }],
    ['cmd = "y"\nfoo "x" {}', ['y']],
    ['cmd = "y"\nfoo x {}', ['y']],
    ['cmd = "y"\nfoo "x" {} bar {}', { unknown: ['bar'] }],
    ['cmd = "y" foo "x" {} foo {}', { unknown: ['foo'] }],
  ],
  valueOf('cmd'),
)
table(
  'letters are lowered, which differs from the folding of the original by the long s',
  [['hint = "h" \u017fvid_file_name = "x"', { unknown: ['\u017fvid_file_name'] }]],
  valueOf('cmd'),
)
