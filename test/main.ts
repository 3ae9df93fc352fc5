// npm test: checks the runtime, builds the bundles, and runs every suite that needs nothing but npm.
import { spawn, spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'

const major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  console.error(`the tests need Node 24 and run on ${process.version}: call them by "npm test", which uses the pinned one`)
  process.exit(1)
}

// These need Go, Python or Debian packages, and are run by .ci/run.
const elsewhere = /^test\/(spire\/real|sdk\/python|matrix|platform|fault|drop-in)/
// Pure functions and fake clocks: one process for all of them is many times faster than one each.
const together =
  /^test\/(architecture|aws|config|core\/(core|signals)|credentials|dev\/a|dev\/w|docs\.|endpoints\/(?!server)|exchange|identity|spiffe\/|spiffe-helper\/(?!process|hcl1-p)|telemetry)/

const begun = Date.now()
const built = spawnSync(process.execPath, ['build.ts'], { stdio: 'inherit' })
if (built.status !== 0) process.exit(built.status ?? 1)

const files = globSync('test/**/*.test.ts')
  .filter((file) => !elsewhere.test(file))
  .sort()
const reports = mkdtempSync(join(tmpdir(), 'svidecar-test-'))

/** Runs some files; what failed is told at the end, by the one of the two that has something to tell. */
function run(name: string, some: readonly string[], options: readonly string[]): Promise<number> {
  const report = ['--test-reporter=dot', '--test-reporter-destination=stdout', '--test-reporter=tap', `--test-reporter-destination=${join(reports, name)}`]
  const child = spawn(process.execPath, ['--test', ...options, ...report, ...some], { stdio: 'inherit' })
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)))
}

const codes = await Promise.all([
  run(
    'together',
    files.filter((file) => together.test(file)),
    ['--test-isolation=none'],
  ),
  run(
    'apart',
    files.filter((file) => !together.test(file)),
    [`--test-concurrency=${availableParallelism()}`],
  ),
])
const tap = ['together', 'apart'].map((name) => readFileSync(join(reports, name), 'utf8'))
const count = (what: string): number => tap.reduce((sum, text) => sum + Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(text)?.[1] ?? 0), 0)
const totals = ['pass', 'fail', 'skipped'].map((what) => [what, count(what)] as const)
// For whoever counts the tests of several suites.
const summary = process.env['SVIDECAR_TEST_TAP']
if (summary !== undefined)
  writeFileSync(
    summary,
    `${tap.join('\n').replaceAll(/^# (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) .*\n/gm, '')}\n${totals.map(([what, number]) => `# ${what} ${number}\n`).join('')}`,
  )
for (const [, reason] of tap.join('\n').matchAll(/^\s*ok \d+ - .* # (SKIP.*)$/gm)) console.log(reason)
rmSync(reports, { recursive: true, force: true })
console.log(`\n${files.length} test files: ${totals.map(([what, number]) => `${number} ${what}`).join(', ')}, in ${Math.round((Date.now() - begun) / 1000)} s`)
process.exit(codes.find((code) => code !== 0) ?? 0)
