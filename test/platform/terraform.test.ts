// The Terraform modules, parsed: what their trust policies demand, what is left to SPIRE, and that a module is called with what it declares.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import hcl from 'hcl2-parser'
import { checkout, must, run } from './machine.ts'

type Block = Readonly<Record<string, unknown>>
type Named = Readonly<Record<string, readonly Block[]>>
interface Source {
  readonly resource?: Readonly<Record<string, Named>>
  readonly variable?: Named
  readonly output?: Named
  readonly module?: Named
  readonly terraform?: readonly Block[]
}

const deploy = join(checkout, 'deploy/terraform')

function parse(path: string): Source {
  const [parsed, mistakes] = hcl.parseToObject(readFileSync(path, 'utf8')) as [Source, unknown]
  assert.equal(mistakes, null, path)
  // A text that it cannot read is an empty object to it.
  assert.ok(Object.keys(parsed).length > 0, `${path} does not parse`)
  return parsed
}

const sources = (folder: string) => globSync('*.tf', { cwd: join(deploy, folder) }).map((file) => parse(join(deploy, folder, file)))
const merged = (folder: string, kind: 'variable' | 'output' | 'module'): Named => Object.assign({}, ...sources(folder).map((source) => source[kind] ?? {}))

function resource(folder: string, type: string, name = 'this'): Block {
  const found = sources(folder).flatMap((source) => source.resource?.[type]?.[name] ?? [])
  assert.equal(found.length, 1, `${folder}: ${type}.${name}`)
  return found[0] ?? {}
}

/** An expression without its comments and its spaces. */
const bare = (expression: unknown): string => String(expression).replaceAll(/#.*$/gm, '').replaceAll(/\s+/g, ' ')

const modules = ['rolesanywhere', 'oidc', 'ecs'].map((name) => `modules/${name}`)

test('a role of Roles Anywhere names the SPIFFE IDs and the trust anchor', () => {
  const policy = bare(resource('modules/rolesanywhere', 'aws_iam_role')['assume_role_policy'])
  assert.ok(policy.includes('Principal = { Service = "rolesanywhere.amazonaws.com" }'))
  assert.ok(policy.includes('Action = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]'))
  assert.match(
    policy,
    // biome-ignore format: as it stands there
    /Condition = \{ StringEquals = \{ "aws:PrincipalTag\/x509SAN\/URI" = \[for path in each\.value\.paths : "spiffe:\/\/\$\{var\.trust_domain\}\$\{path\}"\] \} ArnEquals = \{ "aws:SourceArn" = aws_rolesanywhere_trust_anchor\.this\.arn \} \}/,
  )
  assert.equal(policy.match(/Effect/g)?.length, 1)
})

test('a role of a web identity names the subjects and the audience', () => {
  const policy = bare(resource('modules/oidc', 'aws_iam_role')['assume_role_policy'])
  assert.ok(policy.includes('Principal = { Federated = aws_iam_openid_connect_provider.this.arn }'))
  assert.ok(policy.includes('Action = "sts:AssumeRoleWithWebIdentity"'))
  assert.match(
    policy,
    /StringEquals = \{ "\$\{local\.issuer\}:sub" = \[for path in each\.value\.paths : "spiffe:\/\/\$\{var\.trust_domain\}\$\{path\}"\] "\$\{local\.issuer\}:aud" = var\.audience \}/,
  )
  assert.equal(policy.match(/Effect/g)?.length, 1)
})

test('the certificates of the trust anchor are left to SPIRE, and the anchor is never taken away', () => {
  const [lifecycle] = resource('modules/rolesanywhere', 'aws_rolesanywhere_trust_anchor')['lifecycle'] as Block[]
  assert.deepEqual(lifecycle, { ignore_changes: [`\${source}`], prevent_destroy: true })
})

test("SPIRE's publisher may change this trust anchor, and the execution role of ECS may read its parameters, and nothing else", () => {
  const publisher = bare(resource('modules/rolesanywhere', 'aws_iam_role_policy', 'publisher')['policy'])
  assert.ok(publisher.includes('Action = "rolesanywhere:UpdateTrustAnchor", Resource = aws_rolesanywhere_trust_anchor.this.arn'))
  const execution = bare(resource('modules/ecs', 'aws_iam_role_policy', 'execution')['policy'])
  assert.ok(execution.includes('Action = "ssm:GetParameters", Resource = [for parameter in aws_ssm_parameter.this : parameter.arn]'))
  for (const policy of [publisher, execution]) assert.doesNotMatch(policy, /"\*"/)
})

test('the example calls each module with variables that it has, and with all that it needs', () => {
  const called = merged('example', 'module')
  const from = Object.values(called).flatMap((blocks) => blocks.map(({ source }) => String(source)))
  assert.deepEqual(new Set(from), new Set(modules.map((name) => `../${name}`)))
  for (const [block = {}] of Object.values(called)) {
    const { source: from, ...values } = block
    const source = String(from)
    const declared = merged(source.replace('../', ''), 'variable')
    for (const name of Object.keys(values)) assert.ok(name in declared, `${source} has no variable ${name}`)
    for (const [name, [variable = {}]] of Object.entries(declared)) assert.ok(name in values || 'default' in variable, `${source} needs ${name}`)
  }
})

test('what the example takes from a module is an output of it', () => {
  const text = readFileSync(join(deploy, 'example/main.tf'), 'utf8')
  const taken = [...text.matchAll(/\bmodule\.(\w+)\.(\w+)/g)]
  assert.ok(taken.length > 3)
  for (const [, module = '', output = ''] of taken) assert.ok(output in merged(`modules/${module}`, 'output'), `module.${module}.${output}`)
})

test('every variable is explained, and is used', () => {
  for (const folder of modules) {
    const text = globSync('*.tf', { cwd: join(deploy, folder) })
      .map((file) => readFileSync(join(deploy, folder, file), 'utf8'))
      .join('\n')
    for (const [name, [variable = {}]] of Object.entries(merged(folder, 'variable'))) {
      assert.ok(variable['description'], `${folder} ${name}`)
      assert.match(text.replaceAll(/validation \{[^}]*\}/g, ''), new RegExp(`var\\.${name}\\b`), `${folder} ${name}`)
    }
  }
})

test('every file is written as the formatter writes it', async () => {
  const linters = (await must([join(checkout, 'test/platform/runners/linters/build')], { timeoutMs: 10 * 60_000 })).trim()
  const files = globSync('**/*.tf', { cwd: deploy }).map((file) => join(deploy, file))
  assert.ok(files.length > 10)
  const { status, stderr } = await run([join(linters, 'hclfmt'), '-require-no-change', ...files])
  assert.equal(status, 0, stderr)
  assert.notEqual((await run([join(linters, 'hclfmt'), '-require-no-change'], { input: 'a   = 1\nbb = 2\n' })).status, 0)
})

test('the configuration that a module gives has the endpoint that applications are pointed at', () => {
  for (const module of ['rolesanywhere', 'oidc']) {
    const text = readFileSync(join(deploy, 'modules', module, 'outputs.tf'), 'utf8')
    assert.match(text, /^ +container_endpoint += \{\}$/m, module)
  }
})
