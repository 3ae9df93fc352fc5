// Which certificates go into which file: chains, bundles, federation, expiry, several SVIDs; and what agents send that is wrong.
import { randomBytes } from 'node:crypto'
import { type Case, compareAll, type Steps } from './case.ts'
import { x509Config } from './configs.ts'
import { denied, handmade, ordinary, rootOf, type Serving, type SvidRequest, svid, trustDomain, unavailable, type X509Svid, x509 } from './material.ts'
import type { Run } from './run.ts'

type Message = Serving['x509']
const message =
  (...requests: readonly SvidRequest[]) =>
  (): Promise<Message> =>
    x509(...requests)
const raw =
  (make: () => Promise<readonly X509Svid[]>, federated: () => Promise<Record<string, Buffer>> = async () => ({})) =>
  async (): Promise<Message> => ({ svids: await make(), federated: await federated() })
const withFederated = (svids: readonly SvidRequest[], federated: () => Promise<Record<string, Buffer>>) =>
  raw(() => Promise.all(svids.map((one) => svid(one))), federated)

const foreign = async (): Promise<Record<string, Buffer>> => ({
  'spiffe://zzz.test': await rootOf('plain', 'zzz.test'),
  'spiffe://aaa.test': Buffer.concat([await rootOf('plain', 'aaa.test'), await rootOf('rsa', 'aaa.test')]),
  'spiffe://Mmm.test': await rootOf('plain', 'mmm.test'),
})
const lowerForeign = async () => Object.fromEntries(Object.entries(await foreign()).filter(([name]) => name === name.toLowerCase()))

/** The bundle has two roots of ours, one of which has expired. */
const twoRoots = async (request: SvidRequest = {}): Promise<X509Svid> => {
  const one = await svid(request)
  return { ...one, bundle: Buffer.concat([await rootOf('expired'), one.bundle, await rootOf('plain')]) }
}
/** A chain whose intermediate has expired. */
const now = Math.floor(Date.now() / 1000) * 1000
const hours = 3_600_000
const oldMiddle = () => handmade({}, { notBefore: now - 48 * hours, notAfter: now - hours })

const messages: Readonly<Record<string, () => Promise<Message>>> = {
  'one root': message({}),
  'an intermediate': message({ kind: 'intermediate' }),
  'an RSA key': message({ keyType: 'rsa-2048' }),
  'an RSA authority': message({ kind: 'rsa' }),
  'a P-384 key': message({ keyType: 'ec-p384' }),
  'an expired leaf': message({ ttlSeconds: 60, ageSeconds: 3600 }),
  'an expired leaf and an intermediate': message({ kind: 'intermediate', ttlSeconds: 60, ageSeconds: 3600 }),
  'an expired intermediate': raw(async () => [await oldMiddle()]),
  'an expired root': message({ kind: 'expired' }),
  'an expired root among others': raw(async () => [await twoRoots()]),
  'a leaf of the future': message({ ageSeconds: -3600 }),
  'foreign trust domains': withFederated([{}], lowerForeign),
  'foreign trust domains and an intermediate': withFederated([{ kind: 'intermediate' }], lowerForeign),
  'a foreign trust domain with an expired root': withFederated([{}], async () => ({ 'spiffe://old.test': await rootOf('expired', 'old.test') })),
  'a foreign trust domain without roots': withFederated([{}], async () => ({ 'spiffe://empty.test': Buffer.alloc(0) })),
  'our own trust domain among the foreign': withFederated([{}], async () => ({ [`spiffe://${trustDomain}`]: await rootOf('plain') })),
  'two SVIDs': message({}, { path: '/other' }),
}

const options: Readonly<Record<string, string>> = {
  '': '',
  ', intermediates in the bundle': 'add_intermediates_to_bundle = true\n',
  ', foreign roots in the bundle': 'include_federated_domains = true\n',
  ', without what has expired': 'omit_expired = true\n',
  ', all of it': 'add_intermediates_to_bundle = true\ninclude_federated_domains = true\nomit_expired = true\n',
}

const contents = Object.entries(messages).flatMap(([name, make]) =>
  Object.entries(options).map(
    ([words, config]): Case => ({ name: name + words, config: x509Config + config, oneShot: true, serve: async () => ({ x509: await make() }) }),
  ),
)

const hints: Readonly<Record<string, readonly SvidRequest[]>> = {
  'the second': [{ hint: 'a' }, { path: '/b', hint: 'internal' }],
  'the first of two': [
    { path: '/b', hint: 'internal' },
    { path: '/c', hint: 'internal' },
  ],
  none: [{ hint: 'a' }, { path: '/b', hint: 'b' }],
  'no hints at all': [{}],
  'another case': [{ hint: 'Internal' }],
  'a part': [{ hint: 'internal-2' }],
}

const hinted = Object.entries(hints).flatMap(([name, svids]): Case[] => {
  const shared = { config: `${x509Config}hint = "internal"\n`, serve: async () => ({ x509: await x509(...svids) }) }
  return [
    { name: `hint: ${name}`, oneShot: true, ...shared },
    { name: `hint, as a daemon: ${name}`, unordered: true, ...shared },
  ]
})

const change = (changes: Partial<X509Svid>) => raw(async () => [{ ...(await svid()), ...changes }])
const broken: Readonly<Record<string, () => Promise<Message>>> = {
  'no SVID': raw(async () => []),
  'no SVID but foreign roots': raw(async () => [], lowerForeign),
  'an empty chain': change({ x509_svid: Buffer.alloc(0) }),
  'garbage for a chain': change({ x509_svid: Buffer.from('garbage') }),
  'garbage after the chain': raw(async () => [{ ...(await svid()), x509_svid: Buffer.concat([(await svid()).x509_svid, Buffer.from([1, 2, 3])]) }]),
  'an empty key': change({ x509_svid_key: Buffer.alloc(0) }),
  'garbage for a key': change({ x509_svid_key: randomBytes(32) }),
  'the key of another': raw(async () => [{ ...(await svid()), x509_svid_key: (await svid({ number: 7 })).x509_svid_key }]),
  'an empty bundle': change({ bundle: Buffer.alloc(0) }),
  'garbage for a bundle': change({ bundle: Buffer.from('garbage') }),
  'an empty SPIFFE ID': change({ spiffe_id: '' }),
  'another SPIFFE ID': change({ spiffe_id: 'spiffe://other.test/x' }),
  'the leaf is an authority': raw(async () => [await handmade({ ca: true, usages: ['digitalSignature'] })]),
  'the leaf signs certificates': raw(async () => [await handmade({ usages: ['digitalSignature', 'keyCertSign'] })]),
  'the leaf signs revocations': raw(async () => [await handmade({ usages: ['digitalSignature', 'cRLSign'] })]),
  'the leaf does not sign': raw(async () => [await handmade({ usages: ['keyAgreement'] })]),
  'the leaf has no name': raw(async () => [await handmade({ uris: [] })]),
  'the leaf has two names': raw(async () => [await handmade({ uris: [`spiffe://${trustDomain}/a`, `spiffe://${trustDomain}/b`] })]),
  'the leaf has no path': raw(async () => [await handmade({ uris: [`spiffe://${trustDomain}`] })]),
  'the leaf has another scheme': raw(async () => [await handmade({ uris: [`https://${trustDomain}/a`] })]),
  'the leaf has upper case': raw(async () => [await handmade({ uris: ['spiffe://Example.org/a'] })]),
  'the leaf has a query': raw(async () => [await handmade({ uris: [`spiffe://${trustDomain}/a?b=c`] })]),
  'the leaf has a slash too many': raw(async () => [await handmade({ uris: [`spiffe://${trustDomain}/a/`] })]),
  'the leaf has dots': raw(async () => [await handmade({ uris: [`spiffe://${trustDomain}/a/../b`] })]),
  'the leaf is of another trust domain': raw(async () => [await handmade({ uris: ['spiffe://other.test/a'] })]),
  'the intermediate is none': raw(async () => [await handmade({}, { ca: false })]),
  'the intermediate does not sign': raw(async () => [await handmade({}, { usages: ['cRLSign'] })]),
  'the second SVID is broken': raw(async () => [await svid(), { ...(await svid()), x509_svid: Buffer.from('garbage') }]),
  'a foreign trust domain with garbage': withFederated([{}], async () => ({ 'spiffe://bad.test': Buffer.from('garbage') })),
  'a foreign trust domain that is no ID': withFederated([{}], async () => ({ 'not a name': await rootOf('plain') })),
  'a foreign trust domain without scheme': withFederated([{}], async () => ({ 'bare.test': await rootOf('plain', 'bare.test') })),
  'a foreign trust domain in upper case': withFederated([{}], foreign),
}

const refused = Object.entries(broken).flatMap(([name, make]): Case[] => {
  const serve = async () => ({ x509: await make() })
  const steps = async (run: Run) => {
    await run.logged(/X\.509 certificates updated|Unable to dump bundle|Error while watching/)
    run.signal('SIGTERM')
  }
  return [
    { name: `wrong: ${name}`, config: x509Config, oneShot: true, serve },
    { name: `wrong, as a daemon: ${name}`, config: x509Config, serve, steps },
  ]
})

/** A daemon gets one message after the other. */
const story =
  (...changes: readonly (() => Promise<Partial<Serving>>)[]): Steps =>
  async (run) => {
    let events = 1
    await run.logged(/X\.509 certificates updated|Unable to dump bundle|Error while watching/)
    for (const next of changes) {
      run.agent.serve(await next())
      await run.until(
        `word number ${++events}`,
        () => [...run.stderr.matchAll(/X\.509 certificates updated|Unable to dump bundle|Error while watching/g)].length >= events,
        2_000,
      )
    }
    run.signal('SIGTERM')
  }

const stories: readonly Case[] = [
  { name: 'story: a rotation', config: x509Config, steps: story(async () => ({ x509: await x509({ number: 2 }) })) },
  {
    name: 'story: a broken message changes nothing',
    config: x509Config,
    steps: story(async () => ({ x509: (await broken['garbage for a chain']?.()) ?? denied })),
  },
  { name: 'story: broken, then good', config: x509Config, serve: async () => ({ x509: { svids: [], federated: {} } }), steps: story(async () => ordinary()) },
  { name: 'story: another root', config: x509Config, steps: story(async () => ({ x509: { svids: [await twoRoots()], federated: {} } })) },
  { name: 'story: another identity', config: x509Config, steps: story(async () => ({ x509: await x509({ path: '/other' }) })) },
  {
    name: 'story: the hinted one goes and comes',
    config: `${x509Config}hint = "internal"\n`,
    serve: async () => ({ x509: await x509({ hint: 'internal' }) }),
    steps: story(
      async () => ({ x509: await x509({ number: 2, hint: 'else' }) }),
      async () => ({ x509: await x509({ number: 3, hint: 'internal' }) }),
    ),
  },
  {
    name: 'story: a foreign bundle that is not used',
    config: x509Config,
    steps: story(async () => ({ x509: await (messages['foreign trust domains'] as () => Promise<Message>)() })),
  },
  {
    name: 'story: a foreign bundle that is used',
    config: `${x509Config}include_federated_domains = true\n`,
    steps: story(async () => ({ x509: await (messages['foreign trust domains'] as () => Promise<Message>)() })),
  },
  { name: 'story: the identity is withdrawn', config: x509Config, steps: story(async () => ({ x509: denied })), collapse: true },
  { name: 'story: the agent ends the stream', config: x509Config, steps: story(async () => ({ x509: unavailable })), collapse: true },
]

compareAll('x509', [...contents, ...hinted, ...refused, ...stories], 6)
