// The text of workload.proto. The build replaces this module by the text itself, so the bundle reads no file.
import { readFileSync } from 'node:fs'

export const workloadProto: string = readFileSync(new URL('workload.proto', import.meta.url), 'utf8')
