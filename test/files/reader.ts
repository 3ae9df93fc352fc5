// A thread that reads files as fast as it can, and notes whatever no reader may ever see.
import { closeSync, fstatSync, openSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { versionText } from './support.ts'

const { kind, paths, shared } = workerData as { kind: 'plain' | 'in place' | 'generation'; paths: readonly string[]; shared: Int32Array }
const versions = new Set<number>()
const wrong = new Set<string>()
let reads = 0

const versionOf = (data: Buffer): number => Number(data.subarray(0, 8).toString('latin1'))
const texts = new Map<number, Buffer>()
const expected = (version: number): Buffer => {
  const text = texts.get(version) ?? versionText(version)
  texts.set(version, text)
  return text
}

function check(path: string, data: Buffer): number {
  if (data.length === 0) wrong.add(`${path} is empty`)
  const version = versionOf(data)
  versions.add(version)
  if (kind !== 'in place' && !data.equals(expected(version))) wrong.add(`${path} has ${data.length} bytes that begin as version ${version}`)
  // Old and new side by side is all that there may be: whole lines, and never fewer than the shorter one has.
  if (kind === 'in place' && data.length < 9 * 200) wrong.add(`${path} has only ${data.length} bytes`)
  return version
}

function readPlain(): void {
  for (const path of paths) {
    const descriptor = openSync(path, 'r')
    if (fstatSync(descriptor).size === 0) wrong.add(`${path} is empty when it is opened`)
    check(path, readFileSync(descriptor))
    closeSync(descriptor)
  }
}

/** Opens ..data once, as a careful reader does, and reads all files of that generation. */
function readGeneration([directory = '', ...names]: readonly string[]): void {
  const generation = join(directory, readlinkSync(join(directory, '..data')))
  const found = new Set(names.map((name) => check(name, readFileSync(join(generation, name)))))
  if (found.size !== 1) wrong.add(`versions ${[...found].join(' and ')} in one generation`)
  // A careless one reads by name: whole files all the same.
  for (const name of names) check(name, readFileSync(join(directory, name)))
}

while (Atomics.load(shared, 0) === 0 && wrong.size < 10) {
  try {
    if (kind === 'generation') readGeneration(paths)
    else readPlain()
  } catch (error) {
    wrong.add(String(error))
  }
  reads++
  Atomics.store(shared, 1, reads)
}
parentPort?.postMessage({ reads, versions: versions.size, wrong: [...wrong] })
