// The task definitions that are shipped, and the configuration that goes with each.
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { ContainerDefinition, RegisterTaskDefinitionCommandInput } from '@aws-sdk/client-ecs'
import { checkout } from '../machine.ts'

export type TaskDefinition = RegisterTaskDefinitionCommandInput

export const folder = join(checkout, 'deploy/ecs')

const read = (name: string): unknown => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'))

export const names = ['ec2', 'ec2-task-role', 'ec2-task-role-files', 'fargate', 'fargate-task-role'] as const
export type Name = (typeof names)[number]

/** Every file of JSON there, so that one that is added is a definition or known as something else. */
export const files: readonly string[] = globSync('*.json', { cwd: folder })
  .map((file) => basename(file, '.json'))
  .sort()

export const definitionOf = (name: Name): TaskDefinition => read(name) as TaskDefinition

export const executionPolicy = read('execution-policy') as { Statement: readonly { Effect: string; Action: string; Resource: string }[] }

export function container(definition: TaskDefinition, name: string): ContainerDefinition {
  const found = definition.containerDefinitions?.find((one) => one.name === name)
  if (found === undefined) throw new Error(`${definition.family} has no container ${name}`)
  return found
}

/** The environment of a container, without its secrets. */
export const environmentOf = ({ environment = [] }: ContainerDefinition): Record<string, string> =>
  Object.fromEntries(environment.map(({ name = '', value = '' }) => [name, value]))
