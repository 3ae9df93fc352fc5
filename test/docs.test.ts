// The documentation says the truth: generated pages are current, links resolve, commands are the real ones.
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { pages } from '../docs/generate.ts'
import { commands } from '../src/cli/cli.ts'
import { failures } from '../src/core/failures.ts'
import { anchorsOf } from './docs/blocks.ts'

const documents = [...globSync('*.md'), ...globSync('docs/**/*.md'), ...globSync('deploy/**/*.md')]

test('generated pages are what the generator writes: run `node docs/generate.ts`', () => {
  for (const [path, text] of Object.entries(pages())) assert.equal(readFileSync(path, 'utf8'), text, path)
})

test('every link to a file leads to one, and to a heading that it has', () => {
  const dead = documents.flatMap((document) =>
    [...readFileSync(document, 'utf8').matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].flatMap(([, path = '', anchor]) => {
      const target = path === '' ? document : join(dirname(document), path)
      const found = existsSync(target) && (anchor === undefined || !target.endsWith('.md') || anchorsOf(target).has(anchor))
      return found ? [] : [`${document} → ${target}${anchor === undefined ? '' : `#${anchor}`}`]
    }),
  )
  assert.deepEqual(dead, [])
})

test('every file of the project that a text or a file of deploy/ names is there', () => {
  const texts = [
    ...documents,
    ...globSync('deploy/**/*', { withFileTypes: true }).flatMap((one) => (one.isFile() ? [join(one.parentPath, one.name)] : [])),
    'Dockerfile',
  ]
  const missing = texts.flatMap((text) =>
    [...readFileSync(text, 'utf8').matchAll(/(?<![\w./-])(?:test|docs|deploy|tools|bench)\/[\w./-]+\.(?:ts|md|yaml|sh|conf|json|tf|service|socket)\b/g)]
      .map(([path]) => path)
      .filter((path) => !existsSync(path))
      .map((path) => `${text}: ${path}`),
  )
  assert.deepEqual(missing, [])
})

test('the index of docs/ names every page', () => {
  const index = readFileSync('docs/README.md', 'utf8')
  const missing = globSync('docs/*.md').filter((page) => page !== 'docs/README.md' && !index.includes(`](${page.slice('docs/'.length)})`))
  assert.deepEqual(missing, [])
})

test('every failure has an anchor that the status page can point at', () => {
  const page = readFileSync('docs/errors.md', 'utf8')
  for (const code of Object.keys(failures)) assert.ok(page.includes(`\n## ${code}\n`), code)
})

test('the commands and scripts that the README names exist', () => {
  const readme = readFileSync('README.md', 'utf8')
  for (const [, name = ''] of readme.matchAll(/\bsvidecar (run|[a-z]+(?:-[a-z]+)?)(?= --|\)|`|\s+#)/g)) assert.ok(name in commands, `svidecar ${name}`)
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> }
  for (const [, script = ''] of `${readme}${readFileSync('CONTRIBUTING.md', 'utf8')}`.matchAll(/\bnpm (?:run )?(demo|test|check|format|build)\b/g))
    assert.ok(script in scripts, script)
  assert.match(readme, /^npm ci && npm run demo$/m)
  assert.match(readme, /^npm ci && npm test$/m)
})

test('the project speaks of itself alone', () => {
  const files = [
    ...documents,
    ...globSync('{src,test,proto,deploy,docs,bench}/**/*.{ts,sh,yaml,proto,service,conf}'),
    'package.json',
    'package-lock.json',
    'Dockerfile',
  ].filter((file) => existsSync(file) && file !== 'test/docs.test.ts')
  const named = files.filter((file) => /\bregistry\.(npmjs|yarnpkg)|proxy\.golang\.org|\/work\/main|\.\.\/shared/.test(readFileSync(file, 'utf8')))
  assert.deepEqual(named, [])
})
