// cmd_args as spiffe-helper reads it: one line of CSV whose separator is a space.

/**
 * Splits the arguments. Quotes group and "" inside them is one; every further space makes an empty argument; the first line that
 * is not empty counts. Throws an Error in the words of Go's encoding/csv.
 */
export function splitArguments(text: string): string[] {
  if (text === '') return []
  const lines = text.replaceAll('\r\n', '\n').replace(/\r$/, '')
  const line = lines.replace(/^\n+/, '')
  if (line === '') throw new Error('EOF')
  const firstLine = lines.length - line.length + 1
  const words: string[] = []
  const wrong = (at: number, what: string): Error => {
    // The end of the text belongs to the last line that has something, be it its end alone.
    const start = line.lastIndexOf('\n', at === line.length ? at - 2 : at - 1) + 1
    const inLine = firstLine + line.slice(0, start).split('\n').length - 1
    const record = inLine === firstLine ? '' : `record on line ${firstLine}; `
    return new Error(`${record}parse error on line ${inLine}, column ${Buffer.byteLength(line.slice(start, at)) + 1}: ${what}`)
  }
  for (let at = 0; ; ) {
    let word = ''
    if (line[at] === '"') {
      // In quotes a line may end without the argument ending.
      for (at++; ; at++) {
        if (line[at] === undefined) throw wrong(at, 'extraneous or missing " in quoted-field')
        if (line[at] !== '"') word += line[at]
        else if (line[at + 1] === '"') {
          word += '"'
          at++
        } else break
      }
      at++
      if (![undefined, ' ', '\n'].includes(line[at])) throw wrong(at - 1, 'extraneous or missing " in quoted-field')
    } else {
      word = /[^ \n]*/y.exec(line.slice(at))?.[0] ?? ''
      if (word.includes('"')) throw wrong(at + word.indexOf('"'), 'bare " in non-quoted-field')
      at += word.length
    }
    words.push(word)
    if (line[at] !== ' ') return words
    at++
  }
}
