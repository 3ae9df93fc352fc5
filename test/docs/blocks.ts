// The fenced blocks of the documentation, and what the word after their language says about how they are proven.
//
//   ```sh                              run by commands.test.ts, page by page, in the order of the page
//   ```sh cloud                        needs AWS, a cluster or a machine of one's own: only its syntax is checked
//   ```sh test/platform/x.test.ts      run by that test
//   <!-- commands: test/… -->          on a line of its own: the same for every block of the page that says nothing itself
//   ```yaml                            a whole configuration if its keys are; a first line "# /path" says where it is to be saved
//   ```yaml part                       a part of one: its keys are checked
import { globSync, readFileSync } from 'node:fs'

export interface Block {
  readonly page: string
  readonly line: number
  readonly language: string
  readonly note: string
  readonly text: string
}

export const pages: readonly string[] = [...globSync('*.md'), ...globSync('docs/**/*.md')].sort()

export const blocksOf = (page: string): Block[] => {
  const text = readFileSync(page, 'utf8')
  const [, ofPage = ''] = /^<!-- commands: (\S+) -->$/m.exec(text) ?? []
  return [...text.matchAll(/^```(\w*) ?(.*)\n([^]*?)^```$/gm)].map(({ 1: language = '', 2: note = '', 3: body = '', index }) => ({
    page,
    line: text.slice(0, index).split('\n').length,
    language,
    note: note === '' && language === 'sh' ? ofPage : note,
    text: body,
  }))
}

/** For messages. */
export const placeOf = ({ page, line }: Block): string => `${page}:${line}`

/** The anchors of a page, as GitHub makes them of its headings. */
export function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>()
  const text = readFileSync(page, 'utf8').replaceAll(/^```[^]*?^```$/gm, '')
  for (const [, heading = ''] of text.matchAll(/^#{1,6} (.*)$/gm)) {
    const words = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .trim()
      .toLowerCase()
    const slug = words.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(/\s/g, '-')
    let anchor = slug
    for (let n = 1; anchors.has(anchor); n++) anchor = `${slug}-${n}`
    anchors.add(anchor)
  }
  for (const [, name = ''] of text.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(name)
  return anchors
}
