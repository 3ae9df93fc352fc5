// The ECS task definitions, as files: the API takes them, the variants differ in what they say, and nothing is asked for that is not allowed.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, matchesGlob } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse } from 'yaml'
import { pythonFolder } from '../sdk/moto.ts'
import { container, definitionOf, environmentOf, executionPolicy, files, folder, type Name, names, type TaskDefinition } from './ecs/definitions.ts'
import { checkout, must, node, run } from './machine.ts'

/** One change of ec2.json that the API would refuse, and what is said of it. */
const neighbours: Readonly<Record<string, { change: (definition: TaskDefinition) => unknown; tsc: RegExp; botocore: RegExp }>> = {
  'an unknown key of a task': {
    change: (definition) => Object.assign(definition, { taskRole: 'app' }),
    tsc: /taskRole"?' does not exist/,
    botocore: /Unknown parameter in input: "taskRole"/,
  },
  'an unknown key of a container': {
    change: (definition) => Object.assign(container(definition, 'app'), { volumeMounts: [] }),
    tsc: /volumeMounts"?' does not exist/,
    botocore: /Unknown parameter in containerDefinitions\[1\]: "volumeMounts"/,
  },
  'a condition that there is not': {
    change: (definition) => Object.assign(container(definition, 'app').dependsOn?.[0] ?? {}, { condition: 'READY' }),
    tsc: /"READY"' is not assignable/,
    botocore: /condition is READY, which is none of START, COMPLETE, SUCCESS, HEALTHY/,
  },
  'a number in place of a text': {
    change: (definition) => Object.assign(definition, { memory: 512 }),
    tsc: /'number' is not assignable to type 'string'/,
    botocore: /Invalid type for parameter memory/,
  },
}

const bad = (name: string) => {
  const definition = definitionOf('ec2')
  neighbours[name]?.change(definition)
  return definition
}

describe('the ECS API', () => {
  let space: string
  before(() => {
    // Below the checkout, from where the types are found.
    mkdirSync(join(checkout, 'node_modules/.cache'), { recursive: true })
    space = mkdtempSync(join(checkout, 'node_modules/.cache/ecs-'))
  })
  after(() => rmSync(space, { recursive: true, force: true }))

  test('takes every definition by the types of its client, and none of their neighbours', async () => {
    const header = "import type { RegisterTaskDefinitionCommandInput } from '@aws-sdk/client-ecs'\n"
    const all = [...names.map((name) => [name, definitionOf(name)] as const), ...Object.keys(neighbours).map((name) => [name, bad(name)] as const)]
    for (const [index, [, definition]] of all.entries())
      writeFileSync(
        join(space, `${index}.ts`),
        `${header}export const definition = ${JSON.stringify(definition, null, 2)} satisfies RegisterTaskDefinitionCommandInput\n`,
      )
    const options = { strict: true, noEmit: true, skipLibCheck: true, module: 'nodenext', target: 'esnext', types: [] }
    writeFileSync(join(space, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['*.ts'] }))
    const { stdout } = await run([node, join(checkout, 'node_modules/typescript/bin/tsc'), '--pretty', 'false', '-p', '.'], { cwd: space })
    for (const [index, [name]] of all.entries()) {
      const said = stdout.split('\n').filter((line) => line.startsWith(`${index}.ts`))
      const expected = neighbours[name]?.tsc
      if (expected === undefined) assert.deepEqual(said, [], name)
      else assert.match(said.join('\n'), expected, name)
    }
  })

  test("takes every definition by botocore's model and by moto, and none of their neighbours", async () => {
    const written = Object.keys(neighbours).map((name, index) => {
      const path = join(space, `${index}.json`)
      writeFileSync(path, JSON.stringify(bad(name)))
      return path
    })
    const paths = [...names.map((name) => join(folder, `${name}.json`)), ...written]
    const python = join(pythonFolder(), 'bin/python')
    const found = (await must([python, join(import.meta.dirname, 'ecs/validate.py'), ...paths])).trim().split('\n')
    const expected = Object.values(neighbours)
    assert.equal(found.length, paths.length)
    for (const name of names) assert.equal(found.shift(), '[]', name)
    for (const { botocore } of expected) assert.match((JSON.parse(found.shift() ?? '[]') as string[]).join('\n'), botocore)
  })
})

test('every file of JSON is a definition that is tried, or the policy of the execution role', () => {
  assert.deepEqual(files, [...names, 'execution-policy'].sort())
})

test('each configuration is one that svidecar takes, and fits a standard SSM parameter', async () => {
  for (const name of ['config', 'config-files']) {
    const path = join(folder, `${name}.yaml`)
    const env = { SPIFFE_ENDPOINT_SOCKET: 'unix:///run/spire/sockets/agent.sock', SVIDECAR_CONFIG_YAML: readFileSync(path, 'utf8') }
    assert.match(await must([node, 'src/main.ts', 'check'], { cwd: checkout, env }), /role\/app\b/)
  }
  for (const name of ['config.yaml', 'config-files.yaml', 'metrics.yaml', 'spire-agent.conf'])
    assert.ok(readFileSync(join(folder, name), 'utf8').length <= 4096, name)
})

test('the execution role may read each parameter and secret that a definition names, and no other', () => {
  const allowed = (action: string, arn: string) =>
    executionPolicy.Statement.some(({ Effect, Action, Resource }) => Effect === 'Allow' && Action === action && matchesGlob(arn, Resource))
  for (const name of names)
    for (const { secrets = [] } of definitionOf(name).containerDefinitions ?? [])
      for (const { valueFrom = '' } of secrets) {
        // A key of the secret follows its ARN.
        const [arn = ''] = valueFrom.split(/:(?:certificate|key)::$/)
        assert.ok(allowed(arn.includes(':ssm:') ? 'ssm:GetParameters' : 'secretsmanager:GetSecretValue', arn), arn)
      }
  assert.ok(!allowed('ssm:GetParameters', 'arn:aws:ssm:us-east-1:111122223333:parameter/other/svidecar'))
  assert.ok(!allowed('secretsmanager:GetSecretValue', 'arn:aws:ssm:us-east-1:111122223333:parameter/app/svidecar'))
})

test('a variant differs from the definition without a task role in what its name says, and nowhere else', () => {
  const without = (name: Name, change: (definition: TaskDefinition) => void) => {
    const definition = definitionOf(name)
    change(definition)
    return definition
  }
  const relative = 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'
  const withoutMetrics = (definition: TaskDefinition) => {
    delete definition.taskRoleArn
    definition.containerDefinitions = definition.containerDefinitions?.filter(({ name }) => name !== 'metrics')
  }
  for (const base of ['ec2', 'fargate'] as const) {
    const app = container(definitionOf(`${base}-task-role`), 'app')
    assert.deepEqual(app.entryPoint, ['env', '-u', relative])
    // ECS drops the command of an image whose entry point it replaces.
    assert.ok((app.command?.length ?? 0) > 0)
    const variant = without(`${base}-task-role`, (definition) => {
      assert.match(definition.taskRoleArn ?? '', /^arn:aws:iam::\d{12}:role\//)
      withoutMetrics(definition)
      delete container(definition, 'app').entryPoint
      delete container(definition, 'app').command
    })
    assert.deepEqual(variant, without(base, withoutMetrics), base)
    assert.equal(definitionOf(base).taskRoleArn, undefined)
  }
  const inFiles = without('ec2-task-role-files', (definition) => {
    withoutMetrics(definition)
    definition.family = 'app'
    assert.deepEqual(environmentOf(container(definition, 'app')), { AWS_REGION: 'us-east-1', AWS_SHARED_CREDENTIALS_FILE: '/run/svidecar/credentials' })
    container(definition, 'app').environment = container(definitionOf('ec2'), 'app').environment
  })
  assert.deepEqual(inFiles, without('ec2', withoutMetrics))
  // The collector has no env to start it, and the task role's credentials will do for it.
  for (const name of names) {
    const { AWS_CONTAINER_CREDENTIALS_FULL_URI: full } = environmentOf(container(definitionOf(name), 'metrics'))
    assert.equal(full === undefined, name.includes('task-role'), name)
  }
})

test("the collector scrapes svidecar's address in the task, and its pipeline has only what is defined", () => {
  const read = (name: string) => parse(readFileSync(join(folder, name), 'utf8'))
  const collector = read('metrics.yaml') as Record<string, Record<string, unknown>> & {
    receivers: { prometheus: { config: { scrape_configs: { static_configs: { targets: string[] }[] }[] } } }
    service: { extensions: string[]; pipelines: Record<string, Record<string, string[]>> }
  }
  const { metrics_endpoint: endpoint } = read('config.yaml') as { metrics_endpoint: { listen: string } }
  const [scrape] = collector.receivers.prometheus.config.scrape_configs
  assert.deepEqual(scrape?.static_configs, [{ targets: [endpoint.listen] }])
  const { extensions, pipelines } = collector.service
  for (const [kind, used] of [['extensions', extensions] as const, ...Object.values(pipelines).flatMap((pipeline) => Object.entries(pipeline))])
    for (const name of used) assert.ok(collector[kind]?.[name], `${kind}: ${name}`)
})

test('no definition opens a port, and each keeps the sidecar from what it does not need', () => {
  for (const name of names) {
    const definition = definitionOf(name)
    assert.equal(definition.networkMode, 'awsvpc')
    for (const { portMappings } of definition.containerDefinitions ?? []) assert.equal(portMappings, undefined)
    const sidecar = container(definition, 'svidecar')
    assert.equal(sidecar.readonlyRootFilesystem, true)
    assert.deepEqual(sidecar.linuxParameters?.capabilities, { drop: ['ALL'] })
    assert.equal(sidecar.healthCheck?.command?.[0], 'CMD')
    // Fargate takes 2 to 120.
    for (const seconds of [sidecar.startTimeout, sidecar.stopTimeout]) assert.ok((seconds ?? 0) >= 2 && (seconds ?? 0) <= 120)
    assert.ok((sidecar.restartPolicy?.restartAttemptPeriod ?? 0) >= 60)
    // A configuration that is wrong stays wrong.
    assert.deepEqual(sidecar.restartPolicy?.ignoredExitCodes, [2])
  }
})
