// Tokens and JWT bundles: what is asked for, what is written, what is refused, when it is renewed.
import { type Case, compareAll, type Steps } from './case.ts'
import { jwtBundleConfig, jwtConfig, jwtEntry, x509Config } from './configs.ts'
import { denied, jwtBundles, type Refusal, type Serving, type TokenRequest, tokens, trustDomain, x509 } from './material.ts'
import type { Run } from './run.ts'

/** The same tokens for both, whatever a case makes of them. */
const plain = tokens()
const one = jwtConfig(jwtEntry('a', 'token'))
const everything = `${x509Config}jwt_bundle_file_name = "bundle.json"\njwt_svids = [${jwtEntry('a', 'token')}, ${jwtEntry('b', 'other')}]\n`

/** Stops a daemon after so many words about tokens or JWT bundles. */
const after =
  (pattern: RegExp, times = 1): Steps =>
  async (run) => {
    await run.logged(pattern, times)
    run.note('asked for', [...new Set(run.agent.asked.map((one) => JSON.stringify(one)))].toSorted().join(' '))
    run.signal('SIGTERM')
  }
const token = /JWT SVID updated|Unable to update JWT SVID/
const bundle = /JWT bundle updated|Error writing JWT Bundle|Error while watching JWT bundles/

const audiences: Readonly<Record<string, string>> = {
  'one audience': jwtConfig(jwtEntry('a', 'token')),
  'two tokens': jwtConfig(jwtEntry('a', 'token'), jwtEntry('b', 'other')),
  'two tokens for one audience': jwtConfig(jwtEntry('a', 'token'), jwtEntry('a', 'other')),
  'an extra audience': jwtConfig(jwtEntry('a', 'token', ', jwt_extra_audiences = ["b"]')),
  'two extra audiences': jwtConfig(jwtEntry('z', 'token', ', jwt_extra_audiences = ["c", "b"]')),
  'an extra audience that is the audience': jwtConfig(jwtEntry('a', 'token', ', jwt_extra_audiences = ["a"]')),
  'an empty extra audience': jwtConfig(jwtEntry('a', 'token', ', jwt_extra_audiences = [""]')),
  'an audience with spaces': jwtConfig(jwtEntry(' a b ', 'token')),
  'an audience that is an address': jwtConfig(jwtEntry('https://sts.amazonaws.com/?a=b&c', 'token')),
}

const asking = Object.entries(audiences).flatMap(([name, config]): Case[] => [
  { name: `audiences: ${name}`, config, oneShot: true },
  { name: `audiences, as a daemon: ${name}`, config, unordered: true, steps: after(token, name.startsWith('two tokens') ? 2 : 1) },
])

const answers: Readonly<Record<string, readonly TokenRequest[] | Serving['jwt']>> = {
  'two tokens': [{}, { path: '/other' }],
  'a token for somebody else': [{ audience: ['z'] }],
  'a token for more': [{ audience: ['z', 'a'] }],
  'a token of a foreign key': [{ signer: 'foreign.test' }],
  'the second token of a foreign key': [{}, { signer: 'foreign.test' }],
  'an expired token': [{ ttlSeconds: -120 }],
  garbage: async () => [{ spiffe_id: `spiffe://${trustDomain}/web`, svid: 'garbage', hint: '' }],
  'an empty token': async () => [{ spiffe_id: `spiffe://${trustDomain}/web`, svid: '', hint: '' }],
  'an empty SPIFFE ID': async (asked, nth) =>
    ((await plain(asked, nth)) as { spiffe_id: string; svid: string; hint: string }[]).map((each) => ({ ...each, spiffe_id: '' })),
  'no token': async () => [],
  'a refusal': async () => ({ code: 3, details: 'audience is not for you' }),
  'an internal error': async () => ({ code: 13, details: 'no' }),
}

const makeJwt = (answer: readonly TokenRequest[] | Serving['jwt']): Serving['jwt'] => (typeof answer === 'function' ? answer : tokens(...answer))
const answered = Object.entries(answers).flatMap(([name, answer]): Case[] => [
  { name: `answer: ${name}`, config: one, oneShot: true, serve: async () => ({ jwt: makeJwt(answer) }) },
  { name: `answer to a daemon: ${name}`, config: one, serve: async () => ({ jwt: makeJwt(answer) }), steps: after(token) },
])

const hints: Readonly<Record<string, readonly TokenRequest[]>> = {
  'the second': [{ hint: 'a' }, { path: '/b', hint: 'internal' }],
  'the first of two': [
    { path: '/b', hint: 'internal' },
    { path: '/c', hint: 'internal' },
  ],
  none: [{ hint: 'a' }, { path: '/b' }],
}
const hinted = Object.entries(hints).flatMap(([name, requests]): Case[] => [
  { name: `hint: ${name}`, config: `${one}hint = "internal"\n`, oneShot: true, serve: async () => ({ jwt: tokens(...requests) }) },
  { name: `hint to a daemon: ${name}`, config: `${one}hint = "internal"\n`, serve: async () => ({ jwt: tokens(...requests) }), steps: after(token) },
])

const jwks = (text: string) => async (): Promise<Record<string, Buffer>> => ({ [`spiffe://${trustDomain}`]: Buffer.from(text) })
const bundles: Readonly<Record<string, () => Promise<Record<string, Buffer> | Refusal>>> = {
  ours: () => jwtBundles(),
  'ours and others': () => jwtBundles(trustDomain, 'zzz.test', 'aaa.test', 'm-m.test'),
  'others only': () => jwtBundles('zzz.test'),
  none: async () => ({}),
  'an empty key set': jwks('{"keys":[]}'),
  'a key set without keys': jwks('{}'),
  'a key set that is null': jwks('null'),
  garbage: jwks('garbage'),
  'no text': jwks(''),
  'a key without kid': async () => ({
    [`spiffe://${trustDomain}`]: Buffer.from(String((await jwtBundles())[`spiffe://${trustDomain}`]).replace(/,"kid":"[^"]*"/, '')),
  }),
  'a key with use and alg': async () => ({
    [`spiffe://${trustDomain}`]: Buffer.from(String((await jwtBundles())[`spiffe://${trustDomain}`]).replace('"kid"', '"use":"jwt-svid","alg":"ES256","kid"')),
  }),
  'a sequence number': async () => ({
    [`spiffe://${trustDomain}`]: Buffer.from(
      String((await jwtBundles())[`spiffe://${trustDomain}`]).replace('{', '{"spiffe_sequence":5,"spiffe_refresh_hint":300,'),
    ),
  }),
  'a key of an unknown kind': jwks('{"keys":[{"kty":"XX","kid":"a"}]}'),
  'a key that is symmetric': jwks('{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}'),
  'an Ed25519 key': jwks('{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'),
  'a name that is no trust domain': async () => ({ 'not a name': Buffer.from('{"keys":[]}') }),
  'a name without scheme': async () => ({ 'bare.test': Buffer.from('{"keys":[]}') }),
  denied: async () => ({ code: 13, details: 'no bundles' }),
}
const bundled = Object.entries(bundles).flatMap(([name, make]): Case[] => [
  { name: `bundle: ${name}`, config: jwtBundleConfig, oneShot: true, serve: async () => ({ jwtBundles: await make() }) },
  { name: `bundle to a daemon: ${name}`, config: jwtBundleConfig, serve: async () => ({ jwtBundles: await make() }), steps: after(bundle), collapse: true },
])

/** Life of two seconds and what a renewal needs more: asked for again at half of it and a second. */
const renewals: readonly Case[] = [
  { name: 'a token is renewed at half its life and a second', config: one, serve: async () => ({ jwt: tokens({ ttlSeconds: 3 }) }), steps: after(token, 3) },
  {
    name: 'the first token says when, also when the hint chose another',
    config: `${one}hint = "internal"\n`,
    serve: async () => ({ jwt: tokens({ ttlSeconds: 3 }, { hint: 'internal' }) }),
    steps: after(token, 2),
  },
  {
    name: 'a failure is followed by another try after a second',
    config: one,
    serve: async () => ({ jwt: async (asked, nth) => (nth < 1 ? denied : plain(asked, 0)) }),
    steps: after(token, 2),
  },
]

const stages: Readonly<Record<string, Partial<Serving>>> = {
  'no X.509-SVID': { x509: { code: 13, details: 'no SVIDs' } },
  'no JWT bundle': { jwtBundles: { code: 13, details: 'no bundles' } },
  'no token': { jwt: async () => ({ code: 13, details: 'no tokens' }) },
  'no token for b': { jwt: async (asked, nth) => (asked.includes('b') ? { code: 13, details: 'no tokens' } : plain(asked, nth)) },
}
const staged = Object.entries(stages).map(
  ([name, serve]): Case => ({
    name: `stages: ${name}`,
    config: everything.replace(/jwt_bundle.*\n/, name === 'no JWT bundle' ? '' : '$&'),
    oneShot: true,
    serve: async () => serve,
  }),
)

const untilAll = async (run: Run): Promise<void> => {
  await run.logged(/X\.509 certificates updated/)
  await run.logged(/JWT bundle updated/)
  await run.logged(/JWT SVID updated/, 2)
  run.agent.serve({ x509: await x509({ number: 2 }) })
  await run.logged(/X\.509 certificates updated/, 2)
  run.agent.serve({ jwtBundles: await jwtBundles(trustDomain, 'more.test') })
  await run.logged(/JWT bundle updated/, 2)
  run.signal('SIGTERM')
}

compareAll(
  'jwt',
  [
    ...asking,
    ...answered,
    ...hinted,
    ...bundled,
    ...renewals,
    ...staged.filter(({ name }) => !name.endsWith('no JWT bundle')),
    { name: 'all outputs at once', config: everything, oneShot: true },
    { name: 'all outputs at once, as a daemon', config: everything, unordered: true, steps: untilAll },
  ],
  4,
)
