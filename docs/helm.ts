// The schema of the Helm chart's values, with that of the configuration in it: a mistake in `config` is found before anything reaches a cluster.
import { jsonSchema } from '../src/config/schema.ts'

const text = (description: string, pattern?: string) => ({ type: 'string', description, ...(pattern === undefined ? {} : { pattern }) })

/** values.schema.json of deploy/kubernetes/helm/svidecar. */
export function helmValuesSchema(): string {
  const { $schema, ...config } = jsonSchema() as { $schema: string }
  const schema = {
    $schema,
    type: 'object',
    properties: {
      image: {
        type: 'object',
        description: 'The image of svidecar.',
        properties: {
          repository: text('Its name in your registry.', '.'),
          tag: text("Default: the chart's appVersion."),
          digest: text('sha256:… of the image; goes before the tag.', '^(sha256:[0-9a-f]{64})?$'),
        },
        additionalProperties: false,
      },
      config: { ...config, description: "svidecar's configuration.", required: ['profiles', 'consumers', 'container_endpoint', 'metrics_endpoint'] },
      consumer: text("The consumer whose token the application's SDK sends.", '.'),
      region: text('The AWS region where the application works.', '^[a-z]{2}(-[a-z]+)+-[0-9]$'),
      resources: { type: 'object', description: "Those of svidecar's container." },
      global: { type: 'object', description: "Helm's own." },
    },
    required: ['image', 'config', 'consumer', 'region'],
    additionalProperties: false,
  }
  return `${JSON.stringify(schema, undefined, 2)}\n`
}
