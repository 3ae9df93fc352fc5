// The tokens of HCL1, with line and column in characters.

export interface Place {
  readonly line: number
  readonly column: number
}

export interface Token {
  /** As hashicorp/hcl calls it: IDENT, STRING, LBRACE, EOF … */
  readonly type: string
  readonly at: Place
  readonly text: string
  /** Without quotes, escapes and indentation. */
  readonly value: string
}

const punctuation = '[LBRACK ]RBRACK {LBRACE }RBRACE ,COMMA =ASSIGN .PERIOD +ADD -SUB'.split(' ')

const skipped = /(?:[ \t\n\r]|#[^\n]*|\/\/[^\n]*|\/\*[^]*?\*\/)*/y
const identifier = /[\p{L}_][\p{L}\p{Nd}_.-]*/uy
const number = /-?(?:0[xX][0-9a-fA-F]*|\d+(?:\.\d*)?(?:[eE][+-]?\d*)?)|\.\d+/y
const heredoc = /<<(-?)([\p{L}\p{Nd}_]*)(?:\r(?=\n))?/uy
const escape = /\\(?:[abfnrtv\\"]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})/y
const halfEscape = /\\(?:[0-7]{1,2}|x[0-9a-fA-F]?|u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,8})?/y

/** Reads tokens until EOF, which repeats. `problem` is the last thing that could not be read; scanning goes on after it. */
export function scan(text: string) {
  let offset = 0
  let problem: { readonly at: Place; readonly message: string } | undefined
  let known = { index: 0, line: 1, column: 1 }

  /** Columns count characters, and one more for each step beyond the end. Asked in order, it goes through the text once. */
  const placeOf = (index: number): Place => {
    let { index: at, line, column } = index < known.index ? { index: 0, line: 1, column: 1 } : known
    while (at < index) {
      const step = String.fromCodePoint(text.codePointAt(at) ?? 0)
      if (step === '\n') line++
      column = step === '\n' ? 1 : column + 1
      at += step.length
    }
    known = { index: at, line, column }
    return { line, column }
  }
  const wrong = (index: number, message: string) => {
    problem = { at: placeOf(index), message }
  }
  const match = (pattern: RegExp, at = offset): RegExpExecArray | null => {
    pattern.lastIndex = at
    return pattern.exec(text)
  }
  /** `looks`: how often hashicorp/hcl looks at the end of the text, if the token is there; each time counts for a column. */
  const take = (type: string, end: number, value = text.slice(offset, end), looks = 0): Token => {
    const token = { type, at: placeOf(offset), text: text.slice(offset, end), value }
    offset = end === text.length ? end + looks : end
    return token
  }

  /** From the quote at `offset` to its end; inside ${…} quotes count for nothing and lines may end. */
  function string(): Token {
    let braces = 0
    for (let index = offset + 1; ; index++) {
      const character = text[index]
      if (character === undefined || (character === '\n' && braces === 0)) {
        wrong(index, 'literal not terminated')
        return take('STRING', index + 1)
      }
      if (character === '"' && braces === 0) return take('STRING', index + 1, unquote(text.slice(offset + 1, index)))
      if (character === '{' && (braces > 0 || (text[index - 1] === '$' && index > offset + 1))) braces++
      else if (character === '}' && braces > 0) braces--
      else if (character === '\\') {
        const whole = match(escape, index)?.[0]
        const half = match(halfEscape, index)?.[0] ?? ''
        if (whole === undefined) wrong(index + half.length, 'illegal char escape')
        // Where no digit follows, the next character counts for one.
        index += (whole?.length ?? (/[xuU]$/.test(half) ? 3 : 2)) - 1
      }
    }
  }

  function numberToken(found: string): Token {
    const end = offset + found.length
    const hex = /^-?0[xX]/.test(found)
    const float = !hex && /[.eE]/.test(found)
    if (/[xX]$/.test(found)) wrong(end, 'illegal hexadecimal number')
    else if (!hex && !float && /^-?0\d+[89]/.test(found)) wrong(end, 'illegal octal number')
    return take(float ? 'FLOAT' : 'NUMBER', end, found, float || /^-?0/.test(found) ? 1 : 2)
  }

  function heredocToken(): Token {
    const [opening = '', dash = '', anchor = ''] = match(heredoc) ?? []
    const after = offset + Math.max(1, opening.length)
    const refused = (why: string, end = after): Token => {
      wrong(end, why)
      return take('HEREDOC', end)
    }
    if (opening === '') return refused("heredoc expected second '<', didn't see it")
    if (text[after] === undefined) return refused('heredoc not terminated')
    if (text[after] !== '\n') return refused('invalid characters in heredoc anchor')
    if (anchor === '') return refused('zero-length heredoc anchor')
    const start = after + 1
    for (let line = start; ; ) {
      const end = text.indexOf('\n', line)
      if (end < 0) return refused('heredoc not terminated', text.length)
      const [, indentation = '', word] = /^(\s*)(.*?)\r*$/.exec(text.slice(line, end)) ?? []
      const body = text.slice(start, line)
      // The dash counts for the length that the last line must have.
      if (word === anchor && end - line >= dash.length + anchor.length)
        return take('HEREDOC', end + 1, dash === '' ? body + indentation : unindent(body, indentation))
      line = end + 1
    }
  }

  return {
    placeOf,
    get problem() {
      return problem
    },
    next(): Token {
      offset += match(skipped)?.[0].length ?? 0
      const first = text[offset]
      if (first === undefined) return take('EOF', offset + 1, '')
      const word = match(identifier)?.[0]
      if (word !== undefined) return take(word === 'true' || word === 'false' ? 'BOOL' : 'IDENT', offset + word.length, word, 1)
      const digits = match(number)?.[0]
      if (digits !== undefined) return numberToken(digits)
      if (first === '"') return string()
      if (first === '<') return heredocToken()
      const type = punctuation.find((name) => name.startsWith(first))?.slice(1)
      if (type !== undefined) return take(type, offset + 1)
      const open = text.startsWith('/*', offset)
      if (open) wrong(text.length, 'comment not terminated')
      else wrong(offset, first === '/' ? "expected '/' for comment" : 'illegal char')
      return open ? take('EOF', text.length) : take('ILLEGAL', offset + String.fromCodePoint(text.codePointAt(offset) ?? 0).length)
    },
  }
}

const simpleEscapes: Readonly<Record<string, string>> = { a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

/** What a string in quotes means: escapes resolved, but nothing inside ${…}. */
function unquote(raw: string): string {
  let braces = 0
  return raw.replaceAll(/\$\{|[{}]|(?:\\(?:[0-7]{3}|x[0-9a-fA-F]{2}))+|\\(?:u(.{4})|U(.{8})|(.))/gs, (whole, short, long, simple) => {
    if (whole.startsWith('\\') && braces === 0) {
      if (simple !== undefined) return simpleEscapes[simple] ?? simple
      const point = Number.parseInt(short ?? long, 16)
      if (!Number.isNaN(point)) return String.fromCodePoint(Math.min(point, 0x10ffff)).toWellFormed()
      // Bytes, of which several may be one character.
      const codes = whole.split('\\').slice(1) as string[]
      return Buffer.from(codes.map((code) => Number(code.startsWith('x') ? `0${code}` : `0o${code}`))).toString()
    }
    if (whole === '${' || (whole === '{' && braces > 0)) braces++
    else if (whole === '}' && braces > 0) braces--
    return whole
  })
}

/** Takes the indentation of the closing anchor from every line, if every line has it. */
function unindent(body: string, indentation: string): string {
  const lines = body.split('\n').slice(0, -1)
  return lines.every((line) => line.startsWith(indentation)) ? lines.map((line) => `${line.slice(indentation.length)}\n`).join('') : body
}
