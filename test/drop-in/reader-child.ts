// A thread that reads files as fast as it can, and counts what it saw: whole ones, empty ones, cut ones.
import { closeSync, openSync, readSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'

export interface Seen {
  reads: number
  missing: number
  empty: number
  cut: number
}

const { files, stop } = workerData as { files: readonly string[]; stop: SharedArrayBuffer }
const stopped = new Int32Array(stop)
const seen = Object.fromEntries(files.map((file): [string, Seen] => [file, { reads: 0, missing: 0, empty: 0, cut: 0 }]))
const buffer = Buffer.alloc(65_536)

parentPort?.postMessage('ready')
while (Atomics.load(stopped, 0) === 0)
  for (const file of files) {
    const counts = seen[file] as Seen
    counts.reads++
    let descriptor: number
    try {
      descriptor = openSync(file, 'r')
    } catch {
      counts.missing++
      continue
    }
    const length = readSync(descriptor, buffer)
    closeSync(descriptor)
    const text = buffer.toString('latin1', 0, length)
    if (length === 0) counts.empty++
    else if (!text.startsWith('-----BEGIN ') || !text.endsWith('-----\n')) counts.cut++
  }
parentPort?.postMessage(seen)
