// The conformance scenarios with the dev agent, all at once.
import { describe, test } from 'node:test'
import { openDevWorld } from './dev-world.ts'
import { play } from './scenario.ts'
import { scenarios } from './scenarios.ts'

describe('with the dev agent', { concurrency: true }, () => {
  for (const scenario of scenarios)
    test(`${scenario.number}. ${scenario.promise}`, { skip: scenario.notOnDev ?? false, todo: scenario.todo ?? false, timeout: 120_000 }, (t) =>
      play(t, scenario, () => openDevWorld(scenario.world ?? {}, scenario.speed)),
    )
})
