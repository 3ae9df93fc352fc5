// The text of page.html. The build replaces this module by the text itself, so the bundle reads no file.
import { readFileSync } from 'node:fs'

export const pageText: string = readFileSync(new URL('page.html', import.meta.url), 'utf8')
