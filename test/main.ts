// npm test: checks the runtime, builds the bundles, and runs every suite that needs nothing but npm.
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'

const major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  console.error(`the tests need Node 24 and run on ${process.version}: call them by "npm test", which uses the pinned one`)
  process.exit(1)
}

const begun = Date.now()
const step = (args: readonly string[]): void => {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

// These need Go, Python or Debian packages, and are run by .ci/run.
const elsewhere = /^test\/(spire\/real|sdk\/python|platform|fault)/

const files = globSync('test/**/*.test.ts')
  .filter((file) => !elsewhere.test(file))
  .sort()
step(['build.ts'])
step(['--test', '--test-reporter=dot', '--test-reporter-destination=stdout', ...files])
console.log(`\n${files.length} test files passed in ${Math.round((Date.now() - begun) / 1000)} s`)
