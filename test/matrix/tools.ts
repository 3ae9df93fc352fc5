// Where the SDKs of the matrix are installed.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { pythonFolder } from '../sdk/moto.ts'
import type { Tools } from './clients.ts'

/** Installs them the first time. */
export function findTools(): Tools {
  const [npm = '', go = '', cli = ''] = execFileSync(join(import.meta.dirname, 'build'), { encoding: 'utf8' })
    .trim()
    .split('\n')
  return { npm, go, cli, python: pythonFolder() }
}
