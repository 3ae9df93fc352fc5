// cmd_args against Go's encoding/csv with a space for a comma: the cases of TestGetCmdArgs of spiffe-helper, and odder ones.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { splitArguments } from '../../src/spiffe-helper/cmd-args.ts'
import { table } from './support.ts'

const split = (text: string): string[] | string => {
  try {
    return splitArguments(text)
  } catch (error) {
    return (error as Error).message
  }
}

const stray = 'extraneous or missing " in quoted-field'

// TestGetCmdArgs; there an error need only contain what stands here.
const cases: readonly (readonly [name: string, text: string, expected: string[] | string])[] = [
  ['no arguments', '', []],
  ['arguments without spaces in quotes', '-flag1 value1 -flag2 value2', ['-flag1', 'value1', '-flag2', 'value2']],
  ['arguments with spaces in quotes', '-flag1 "value 1" -flag2 "value 2"', ['-flag1', 'value 1', '-flag2', 'value 2']],
  ['a missing quote', '-flag1 "value 1', 'missing " in quoted-field'],
  ['single quotes in double quotes', `-c "echo 'hello world'"`, ['-c', "echo 'hello world'"]],
  ['an unpaired single quote', "echo Mc'Gougall", ['echo', "Mc'Gougall"]],
  ['single quotes do not protect spaces', "-c 'echo hello world'", ['-c', "'echo", 'hello', "world'"]],
  ['single quotes do not protect quotes', `-c "echo 'hello "cruel" world'"`, stray],
  ['unpaired double quotes in single quotes', `-c "echo 'hello "cruel" world'"`, stray],
  ['a backslash does not escape', '-c "echo \\"hello world\\""', stray],
  ['a quote escapes a quote', '-c "echo ""hello world"""', ['-c', 'echo "hello world"']],
  [
    'metacharacters mean nothing',
    '$$ $var $* ${var} {{var}} $(var) ${{var}} %VAR% %(var)% ${env:VAR}',
    ['$$', '$var', '$*', '${var}', '{{var}}', '$(var)', '${{var}}', '%VAR%', '%(var)%', '${env:VAR}'],
  ],
]
for (const [name, text, expected] of cases)
  test(`TestGetCmdArgs of spiffe-helper holds: ${name}`, () => {
    const got = split(text)
    if (typeof expected === 'string') assert.ok(typeof got === 'string' && got.includes(expected), String(got))
    else assert.deepEqual(got, expected)
  })

table(
  'each further space makes an empty argument',
  [
    ['a  b', ['a', '', 'b']],
    [' a', ['', 'a']],
    ['a ', ['a', '']],
    ['  ', ['', '', '']],
    [' ', ['', '']],
    ['a   b', ['a', '', '', 'b']],
    ['"a"  "b"', ['a', '', 'b']],
    ['"a" ', ['a', '']],
  ],
  split,
)

table(
  'a quoted argument may be empty',
  [
    ['""', ['']],
    ['"" ""', ['', '']],
    ['a "" b', ['a', '', 'b']],
    ['"" a', ['', 'a']],
    [' ""', ['', '']],
  ],
  split,
)

table(
  'only a space separates',
  [
    ['a\tb', ['a\tb']],
    ['\ta', ['\ta']],
    ['a,b', ['a,b']],
    ['a\u00a0b', ['a\u00a0b']],
    ['é日本 x', ['é日本', 'x']],
    ['a;b|c', ['a;b|c']],
    ['\\', ['\\']],
    ['a\\ b', ['a\\', 'b']],
  ],
  split,
)

table(
  'a quote inside an argument is refused at its byte',
  [
    ['x"y', 'parse error on line 1, column 2: bare " in non-quoted-field'],
    ['a"', 'parse error on line 1, column 2: bare " in non-quoted-field'],
    ['é"', 'parse error on line 1, column 3: bare " in non-quoted-field'],
    ['a b"', 'parse error on line 1, column 4: bare " in non-quoted-field'],
    ['é b"c', 'parse error on line 1, column 5: bare " in non-quoted-field'],
    ['a "b" c"d', 'parse error on line 1, column 8: bare " in non-quoted-field'],
  ],
  split,
)

table(
  'whatever follows a quoted argument is refused at the closing quote',
  [
    ['"a"b', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'],
    ['"é"x', 'parse error on line 1, column 4: extraneous or missing " in quoted-field'],
    ['""a', 'parse error on line 1, column 2: extraneous or missing " in quoted-field'],
    ['"a""', 'parse error on line 1, column 5: extraneous or missing " in quoted-field'],
    ['"a"" b"', ['a" b']],
    ['"a" "b"c', 'parse error on line 1, column 7: extraneous or missing " in quoted-field'],
    ['"a"\tb', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'],
    ['"""a"b', 'parse error on line 1, column 5: extraneous or missing " in quoted-field'],
  ],
  split,
)

table(
  'an unclosed quote is refused at the end',
  [
    ['"a', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'],
    ['"', 'parse error on line 1, column 2: extraneous or missing " in quoted-field'],
    ['a "b', 'parse error on line 1, column 5: extraneous or missing " in quoted-field'],
    ['a b" "', 'parse error on line 1, column 4: bare " in non-quoted-field'],
    ['"é', 'parse error on line 1, column 4: extraneous or missing " in quoted-field'],
    ['"a" "', 'parse error on line 1, column 6: extraneous or missing " in quoted-field'],
    ['"""', 'parse error on line 1, column 4: extraneous or missing " in quoted-field'],
  ],
  split,
)

table(
  'only the first line counts, and empty lines in front are none',
  [
    ['a\nb', ['a']],
    ['\na', ['a']],
    ['\n\n\na b\nc', ['a', 'b']],
    ['a\r\nb', ['a']],
    ['\r\na', ['a']],
    ['\r\n\r\n"a" b\r\nc', ['a', 'b']],
    ['a\n"b', ['a']],
    ['"a"\nb"', ['a']],
    ['a \nb', ['a', '']],
    ['\n\nx"y', 'parse error on line 3, column 2: bare " in non-quoted-field'],
    ['\r\n\nx "y"z', 'parse error on line 3, column 5: extraneous or missing " in quoted-field'],
  ],
  split,
)

table(
  'nothing but ends of lines is an error',
  [
    ['\n', 'EOF'],
    ['\n\n', 'EOF'],
    ['\r\n', 'EOF'],
    ['\r\n\n', 'EOF'],
  ],
  split,
)

table(
  'a quoted argument may have several lines',
  [
    ['"a\nb"', ['a\nb']],
    ['"a\r\nb"', ['a\nb']],
    ['"a\nb" c', ['a\nb', 'c']],
    ['x "a\n\nb" y\nz', ['x', 'a\n\nb', 'y']],
    ['"\n"', ['\n']],
  ],
  split,
)

table(
  'a mistake behind an argument of several lines is told by the line of its own',
  [
    ['"a\nb', 'record on line 1; parse error on line 2, column 2: extraneous or missing " in quoted-field'],
    ['"a\nb"c', 'record on line 1; parse error on line 2, column 2: extraneous or missing " in quoted-field'],
    ['"\n\n', 'record on line 1; parse error on line 2, column 2: extraneous or missing " in quoted-field'],
    ['"\n\n"x', 'record on line 1; parse error on line 3, column 1: extraneous or missing " in quoted-field'],
    ['"a\nb\nc"d e', 'record on line 1; parse error on line 3, column 2: extraneous or missing " in quoted-field'],
    ['x "é\né"x', 'record on line 1; parse error on line 2, column 3: extraneous or missing " in quoted-field'],
    ['\n"a\nb', 'record on line 2; parse error on line 3, column 2: extraneous or missing " in quoted-field'],
  ],
  split,
)

table(
  'a carriage return is part of an argument, but not at the end of the text',
  [
    ['a\rb', ['a\rb']],
    ['\ra', ['\ra']],
    ['"a\rb"', ['a\rb']],
    ['a\r', ['a']],
    ['\r', 'EOF'],
    ['"a"\r', ['a']],
    ['"a\r', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'],
    ['a b\r', ['a', 'b']],
    ['"a"\rb', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'],
  ],
  split,
)

/** The arguments as a line that means them. */
const quoted = (words: readonly string[]): string => words.map((word) => `"${word.replaceAll('"', '""')}"`).join(' ')

test('arguments in quotes come back as they were', () => {
  const word = fc.string({ unit: 'binary', maxLength: 12 }).filter((text) => !text.includes('\r'))
  fc.assert(fc.property(fc.array(word, { minLength: 1, maxLength: 6 }), (words) => assert.deepEqual(split(quoted(words)), words)))
})

test('words without quotes come back as they were', () => {
  const word = fc.stringMatching(/^[^\s"]{1,8}$/)
  fc.assert(fc.property(fc.array(word, { minLength: 1, maxLength: 6 }), (words) => assert.deepEqual(split(words.join(' ')), words)))
})

test('any text is split or refused in the words of encoding/csv', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'é', '"', ' ', '\n', '\r\n', '\t', '""'), maxLength: 12 })
  const words = /^(EOF|(record on line \d+; )?parse error on line \d+, column \d+: (bare " in non-quoted-field|extraneous or missing " in quoted-field))$/
  fc.assert(
    fc.property(text, (one) => {
      const got = split(one)
      assert.ok(Array.isArray(got) || words.test(got), String(got))
    }),
  )
})

test('a long line is split within a second', { timeout: 5_000 }, () => {
  const begun = performance.now()
  assert.equal(split('word '.repeat(20_000)).length, 20_001)
  assert.ok(performance.now() - begun < 1_000, `${performance.now() - begun} ms`)
})
