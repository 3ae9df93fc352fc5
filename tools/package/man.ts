// Manual pages from what is there already: the commands' own help, and the pages of docs/. Nothing is written for them alone, so they cannot drift.
import { readFileSync } from 'node:fs'
import { commands } from '../../src/cli/cli.ts'

const escaped = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replaceAll(/[^ -\u007f\n]/gu, (sign) => `\\[u${sign.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}]`)
/** A line that begins with a dot would be an instruction. */
const line = (text: string): string => (text.startsWith('.') ? `\\&${text}` : text)

/** A sentence of Markdown: code and strong words are bold, links are their text, with the address of those that leave the site. */
function sentence(markdown: string): string {
  const linked = markdown.replaceAll(/\[([^\]]+)\]\(([^)]+)\)/g, (_, text: string, target: string) => (/^https?:/.test(target) ? `${text} (${target})` : text))
  const parts = linked.split(/(`[^`]+`|\*\*[^*]+\*\*)/)
  const shown = parts.map((part, index) => (index % 2 === 0 ? escaped(part) : `\\fB${escaped(part.replaceAll(/^(`|\*\*)|(`|\*\*)$/g, ''))}\\fR`))
  return line(shown.join('').replaceAll(/\s+/g, ' ').trim())
}

const cells = (row: string): string[] =>
  row
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'))

/** A row is a term, what stands between in brackets, and a sentence. A cell that only says yes is told by the head of its column. */
function table([head = '', , ...rows]: readonly string[]): string[] {
  const names = cells(head)
  return rows.flatMap((row) => {
    const [term = '', ...rest] = cells(row)
    const between = rest.slice(0, -1).flatMap((cell, index) => (cell === '' ? [] : cell === 'yes' ? (names[index + 1] ?? '') : cell))
    return ['.TP', sentence(term), sentence(`${between.length === 0 ? '' : `(${between.join('; ')}) `}${rest.at(-1) ?? ''}`)]
  })
}

/** A page of docs/ in the language of manual pages: its first heading is left out, the others are sections. */
export function fromMarkdown(markdown: string): string {
  const blocks = markdown.replaceAll(/<!--.*?-->\n*/gs, '').match(/^```[^]*?^```|(?:^(?!```).+\n)+/gm) ?? []
  return blocks
    .flatMap((block) => {
      const lines = block.trimEnd().split('\n')
      const [first = ''] = lines
      if (first.startsWith('# ')) return []
      if (first.startsWith('#')) return [`.SH ${sentence(first.replace(/^#+ /, ''))}`]
      if (first.startsWith('```')) return ['.PP', '.nf', '.RS', ...lines.slice(1, -1).map((one) => line(escaped(one))), '.RE', '.fi']
      if (first.startsWith('|')) return table(lines)
      if (first.startsWith('- '))
        return block
          .split(/^- /m)
          .slice(1)
          .flatMap((item) => ['.IP \\(bu 2', sentence(item)])
      return ['.PP', sentence(block)]
    })
    .join('\n')
}

async function commandPages(): Promise<string> {
  const all = await Promise.all(
    Object.entries(commands).map(async ([name, { summary, load }]) => {
      const { usage = '[options]', details, options, example } = await load()
      const rows = Object.entries(options).flatMap(([option, { value, help }]) => [
        '.TP',
        `\\fB${escaped(`--${option}`)}\\fR${value === undefined ? '' : ` \\fI${escaped(value)}\\fR`}`,
        sentence(help),
      ])
      return [
        `.SS svidecar ${escaped(`${name} ${usage}`)}`,
        `${sentence(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)}`,
        sentence(details),
        ...rows,
        '.PP',
        'Example:',
        `.B ${escaped(example)}`,
      ]
    }),
  )
  return all.flat().join('\n')
}

const docs = (page: string): string => readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8')
const also = (...pages: readonly string[]): string => `.SH SEE ALSO\n${pages.map((page) => `.BR ${page.replace(/\((\d)\)/, ' ($1)')}`).join(',\n')}`

/** The manual pages by file name. `date` is of the release, as 2026-11-30. */
export async function manual(version: string, date: string): Promise<Readonly<Record<string, string>>> {
  const page = (name: string, section: number, what: string, body: string): string =>
    // A section begins with a paragraph of its own accord.
    `.TH ${name} ${section} ${date} "svidecar ${version}" "svidecar"\n.SH NAME\n${name} \\- ${what}\n${body}\n`.replaceAll(/^(\.SH .*\n)\.PP\n/gm, '$1')
  const overview = '.SH SYNOPSIS\n.B svidecar\n.I COMMAND\n[options]\n.SH COMMANDS'
  const statuses = '.SH EXIT STATUS\n0: done. 2: wrong usage or a wrong configuration. 1: anything else.'
  return {
    'svidecar.1': page(
      'svidecar',
      1,
      'SPIFFE identities in, AWS credentials out',
      `${overview}\n${await commandPages()}\n${statuses}\n${also('svidecar.yaml(5)', 'svidecar.service(8)')}`,
    ),
    'svidecar.yaml.5': page(
      'svidecar.yaml',
      5,
      'configuration of svidecar',
      `.SH DESCRIPTION\n${fromMarkdown(docs('configuration.md'))}\n${also('svidecar(1)', 'svidecar.service(8)')}`,
    ),
    'svidecar.service.8': page(
      'svidecar.service',
      8,
      'svidecar under systemd',
      `.SH DESCRIPTION\n${fromMarkdown(docs('systemd.md'))}\n${also('svidecar(1)', 'svidecar.yaml(5)')}`,
    ),
  }
}
