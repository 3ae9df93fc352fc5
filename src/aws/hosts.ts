// Which host serves which service in which region and partition.
// Suffixes: the endpoint rule sets of AWS's own clients (partitions.json).

const suffixes: Readonly<Record<string, string>> = {
  aws: 'amazonaws.com',
  'aws-us-gov': 'amazonaws.com',
  'aws-cn': 'amazonaws.com.cn',
  'aws-iso': 'c2s.ic.gov',
  'aws-iso-b': 'sc2s.sgov.gov',
  'aws-iso-e': 'cloud.adc-e.uk',
  'aws-iso-f': 'csp.hci.ic.gov',
}

/** The public endpoint of a service. STS is asked in the region, never at the global host. */
export const serviceUrl = (service: 'rolesanywhere' | 'sts', region: string, partition: string): URL =>
  new URL(`https://${service}.${region}.${suffixes[partition] ?? suffixes['aws']}/`)
