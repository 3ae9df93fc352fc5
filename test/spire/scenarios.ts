// Every conformance scenario, in the order of its number. The same list is played with the dev agent and with SPIRE.
// Very large answers (14), clocks that disagree (15) and an agent in another PID namespace (18) are not among them:
// they need more than an agent and its entries.
import type { Scenario } from './scenario.ts'
import { agentScenarios } from './scenarios/agent.ts'
import { authorityScenarios } from './scenarios/authorities.ts'
import { entryScenarios } from './scenarios/entries.ts'
import { tokenScenarios } from './scenarios/tokens.ts'

export const scenarios: readonly Scenario[] = [...agentScenarios, ...authorityScenarios, ...entryScenarios, ...tokenScenarios].toSorted(
  (one, other) => one.number - other.number,
)
