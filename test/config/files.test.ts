// The keys of files and hooks: every accepted value beside a rejected neighbour, and every mistake at its place.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loadText, mistakesOf, small } from './support.ts'

const base = 'identities: { default: { workload_api: unix:///agent.sock }, other: { workload_api: unix:///other.sock } }\n'
const withFiles = (...files: string[]) => `${base}files:\n${files.map((file) => `  - ${file}\n`).join('')}`
const profile = '{ web_identity: { role_arn: "arn:aws:iam::111122223333:role/app", audience: a }, region: eu-central-1 }'
const jwt = 'jwt: { audience: [a], path: /run/token }'
const withHooks = (...hooks: string[]) => `${withFiles(jwt)}hooks:\n${hooks.map((hook) => `  - ${hook}\n`).join('')}`

const files = async (...of: string[]) => (await loadText(withFiles(...of))).files
const hooks = async (...of: string[]) => (await loadText(withHooks(...of))).hooks
/** The one mistake of one file, or hook: its place and its words. */
const wrongFile = async (...of: string[]) => (await mistakesOf(withFiles(...of))).join('\n')
const wrongHook = async (...of: string[]) => (await mistakesOf(withHooks(...of))).join('\n')
const one = async (told: Promise<string>, words: RegExp) => {
  const text = await told
  assert.equal(text.split('\n').length, 1, text)
  assert.match(text, words)
}

describe('files', () => {
  test('every key of x509 has its meaning, and its default', async () => {
    assert.deepEqual(await files('x509: { directory: /run/svid, certificate: c }'), [
      {
        name: 'x509 /run/svid',
        identity: 'default',
        owner: undefined,
        group: undefined,
        removeAtStop: false,
        kind: 'x509',
        directory: '/run/svid',
        names: { certificate: 'c', key: undefined, bundle: undefined, combined: undefined },
        mode: 0o644,
        keyMode: 0o600,
        intermediates: 'certificate',
        federated: 'none',
        omitExpired: false,
      },
    ])
    const all = `x509: { identity: other, directory: /run/svid/, certificate: c, key: k, bundle: b, combined: a, mode: "0444", key_mode: "0440",
      intermediates: bundle, federated: files, omit_expired: true, owner: root, group: "0", remove_at_stop: true }`
    assert.deepEqual(await files(all), [
      {
        name: 'x509 /run/svid',
        identity: 'other',
        owner: 'root',
        group: '0',
        removeAtStop: true,
        kind: 'x509',
        directory: '/run/svid',
        names: { certificate: 'c', key: 'k', bundle: 'b', combined: 'a' },
        mode: 0o444,
        keyMode: 0o440,
        intermediates: 'bundle',
        federated: 'files',
        omitExpired: true,
      },
    ])
  })

  test('every key of credentials has its meaning, and its default; one file has room for several sections', async () => {
    const profiles = `profiles:\n  app: ${profile}\n  web: ${profile}\n`
    const of = async (...given: string[]) => (await loadText(profiles + withFiles(...given))).files
    const common = { kind: 'credentials', path: '/c', owner: undefined, group: undefined }
    assert.deepEqual(
      await of('credentials: { profile: app, path: /c }', 'credentials: { profile: web, path: /c, section: "a b", mode: "0640", remove_at_stop: true }'),
      [
        { ...common, name: 'credentials /c [app]', profile: 'app', section: 'app', mode: 0o600, removeAtStop: false },
        { ...common, name: 'credentials /c [a b]', profile: 'web', section: 'a b', mode: 0o640, removeAtStop: true },
      ],
    )
    const wrong = async (...given: string[]) => (await mistakesOf(profiles + withFiles(...given))).join('\n')
    await one(
      wrong('credentials: { profile: app, path: /c }', 'credentials: { profile: web, path: /c, section: app }'),
      /files\[0\] writes to \/c \[app\] already/,
    )
    await one(wrong('jwt: { audience: [a], path: /c }', 'credentials: { profile: web, path: /c }'), /files\[0\] writes to \/c already/)
    await one(wrong('credentials: { profile: nope, path: /c }'), /there is no profile "?nope/)
    await one(wrong('credentials: { profile: app, path: ~/.aws/credentials }'), /HOME is not set/)
    for (const section of ['a]', ' a', 'a ', '#', ';a', 'a[', 'ключ', 'é', 'a\\n'])
      await one(wrong(`credentials: { profile: app, path: /c, section: "${section}" }`), /section/)
  })

  test('every key of jwt and jwt_bundle has its meaning, and its default', async () => {
    const common = { identity: 'default', owner: undefined, group: undefined, removeAtStop: false }
    const given = { identity: 'other', owner: '1', group: 'root', removeAtStop: true }
    const more = 'identity: other, owner: "1", group: root, remove_at_stop: true'
    assert.deepEqual(
      await files(
        jwt,
        `jwt: { audience: [b, c], path: /t, mode: "0640", ${more} }`,
        'jwt_bundle: { path: /j }',
        `jwt_bundle: { path: /k, format: spiffe-helper, trust_domain: a.org, mode: "0400", ${more} }`,
      ),
      [
        { ...common, name: 'jwt /run/token', kind: 'jwt', audience: ['a'], path: '/run/token', mode: 0o600, removeExpired: true },
        { ...given, name: 'jwt /t', kind: 'jwt', audience: ['b', 'c'], path: '/t', mode: 0o640, removeExpired: true },
        { ...common, name: 'jwt_bundle /j', kind: 'jwt_bundle', path: '/j', format: 'jwks', trustDomain: undefined, mode: 0o644 },
        { ...given, name: 'jwt_bundle /k', kind: 'jwt_bundle', path: '/k', format: 'spiffe-helper', trustDomain: 'a.org', mode: 0o400 },
      ],
    )
  })

  test('only files and no profile is fine, and only profiles is; neither is a mistake', async () => {
    assert.equal((await loadText(withFiles(jwt))).profiles.length, 0)
    assert.equal((await loadText(small)).files.length, 0)
    await one(
      mistakesOf(base).then((lines) => lines.join('\n')),
      /profiles: there is no profile, and there are no files/,
    )
    assert.match((await mistakesOf(`${base}files: []\n`)).join('\n'), /there is no profile, and there are no files/)
  })

  test('a file that is wrong is one mistake: that there is none is not said besides', async () => {
    await one(wrongFile('{ jwtt: { audience: [a], path: /t } }'), /files\[0\]\.jwtt: there is no such key; did you mean jwt\?/)
    await one(wrongFile('jwt: { audience: [a] }'), /files\[0\]\.jwt\.path: is missing/)
    await one(wrongFile('jwt: { audience: [a], path: "" }'), /path: is empty/)
  })

  test('an output is exactly one of the three', async () => {
    await one(wrongFile('{}'), /^3:5: files\[0\]: say what: one of x509, jwt, jwt_bundle/)
    await one(wrongFile(`{ ${jwt}, jwt_bundle: { path: /j } }`), /files\[0\]: say only one of jwt, jwt_bundle/)
  })

  test('modes are octal, in quotes, and let nobody but the owner write or execute', async () => {
    for (const mode of ['0600', '0640', '0644', '0440', '0400', '0404', '0700'])
      assert.equal((await files(`jwt: { audience: [a], path: /t, mode: "${mode}" }`))[0]?.mode, Number.parseInt(mode, 8), mode)
    for (const mode of ['"0660"', '"0602"', '"0601"', '"0200"', '"600"', '"00600"', '"4600"', '"0x180"', '"rw-------"', '384', '0600', '""'])
      await one(wrongFile(`jwt: { audience: [a], path: /t, mode: ${mode} }`), /files\[0\]\.jwt\.mode: expected (an octal mode|string)/)
    await one(wrongFile('x509: { directory: /d, key: k, key_mode: "0660" }'), /files\[0\]\.x509\.key_mode: expected an octal mode/)
  })

  test('names are plain file names, however odd; paths, dots in front and nothing at all are mistakes', async () => {
    for (const name of ['tls.crt', 'a b', 'ü證🔐', '-rf', '~', 'a..b', 'a.', '$HOME', 'c:\\x'])
      assert.equal((await files(`x509: { directory: /d, certificate: ${JSON.stringify(name)} }`)).length, 1, name)
    for (const name of ['/etc/x', 'a/b', '../x', './x', '.', '..', '..data', '.hidden', 'a/'])
      await one(
        wrongFile(`x509: { directory: /d, certificate: "${name}" }`),
        /files\[0\]\.x509\.certificate: "[^"]+" is not a plain file name; the directory is said by directory/,
      )
    await one(wrongFile('x509: { directory: /d, certificate: "" }'), /certificate: is empty/)
    await one(wrongFile('x509: { directory: /d }'), /files\[0\]\.x509: name a file: certificate, key, bundle or combined/)
  })

  test('two names of one directory differ', async () => {
    await one(wrongFile('x509: { directory: /d, certificate: a, key: a }'), /files\[0\]\.x509\.key: another file of this directory is called a already/)
    assert.equal((await files('x509: { directory: /d, certificate: a, key: A }')).length, 1)
  })

  test('two outputs with one target are a mistake, however the path is written', async () => {
    for (const [first, second] of [
      ['jwt: { audience: [a], path: /run/t }', 'jwt: { audience: [b], path: /run/t }'],
      ['jwt: { audience: [a], path: /run/t }', 'jwt_bundle: { path: /run/./x/../t }'],
      ['x509: { directory: /run/t, key: k }', 'x509: { directory: /run/t/, key: l }'],
      ['x509: { directory: /run/t, key: k }', 'jwt_bundle: { path: //run/t }'],
    ] as const)
      await one(wrongFile(first, second), /^4:\d+: files\[1\]\.\w+\.(path|directory): files\[0\] writes to \/run\/t already/)
    assert.equal((await files('jwt: { audience: [a], path: /run/t }', 'jwt: { audience: [a], path: /run/T }')).length, 2)
  })

  test('a path that is one of the names of another output’s directory is the same target', async () => {
    await one(wrongFile('x509: { directory: /run/t, key: k }', 'jwt: { audience: [b], path: /run/t/k }'), /files\[1\]\.jwt\.path: files\[0\] writes to/)
    await one(wrongFile('jwt: { audience: [b], path: /run/t/k }', 'x509: { directory: /run/t, key: k }'), /files\[1\]\.x509/)
    assert.equal((await files('x509: { directory: /run/t, key: k }', 'jwt: { audience: [b], path: /run/t/token }')).length, 2)
  })

  test('relative paths are from here, since the daemon may be asked from elsewhere', async () => {
    const [file] = await files('jwt: { audience: [a], path: run/token }')
    assert.equal(file?.name, `jwt ${process.cwd()}/run/token`)
  })

  test('an identity that is not there is a mistake, with the nearest one; so is default where there is none', async () => {
    await one(wrongFile('jwt: { identity: othr, audience: [a], path: /t }'), /files\[0\]\.jwt\.identity: there is no identity "othr"; did you mean other\?/)
    const text = 'identities: { mine: { workload_api: unix:///agent.sock } }\nfiles: [ { jwt_bundle: { path: /t } } ]\n'
    assert.match((await mistakesOf(text)).join('\n'), /files\[0\]: there is no identity "default"/)
  })

  test('audiences, choices and switches have their own rejected neighbours', async () => {
    for (const [file, words] of [
      ['jwt: { audience: [], path: /t }', /files\[0\]\.jwt\.audience: is empty/],
      ['jwt: { audience: [""], path: /t }', /files\[0\]\.jwt\.audience\[0\]: is empty/],
      ['jwt: { audience: a, path: /t }', /files\[0\]\.jwt\.audience: expected array/],
      ['x509: { directory: /d, key: k, federated: all }', /files\[0\]\.x509\.federated: .*"none"\|"merged"\|"files"/],
      ['x509: { directory: /d, key: k, intermediates: none }', /files\[0\]\.x509\.intermediates: .*"certificate"\|"bundle"/],
      ['x509: { directory: /d, key: k, omit_expired: "yes" }', /files\[0\]\.x509\.omit_expired: expected boolean/],
      ['x509: { directory: /d, key: k, remove_at_stop: 1 }', /files\[0\]\.x509\.remove_at_stop: expected boolean/],
      ['jwt_bundle: { path: /t, format: pem }', /files\[0\]\.jwt_bundle\.format: .*"jwks"\|"spiffe-helper"/],
      ['jwt_bundle: { path: /t, trust_domain: "" }', /files\[0\]\.jwt_bundle\.trust_domain: is empty/],
      ['jwt: { audience: [a], path: /t, owner: 0 }', /files\[0\]\.jwt\.owner: expected string/],
    ] as const)
      await one(wrongFile(file), words)
  })
})

describe('hooks', () => {
  test('every key has its meaning, and its default', async () => {
    const made = await hooks(
      '{ on: [x509, jwt, jwt_bundle, credentials], run: [systemctl, reload, nginx] }',
      '{ on: [jwt], run: [a], timeout: 5m }',
      '{ on: [x509], signal: { pid_file: /run/nginx.pid, name: SIGHUP } }',
      '{ on: [x509], child: { command: [envoy] } }',
      '{ on: [x509], child: { command: [envoy, -c], signal: SIGUSR1 } }',
    )
    assert.deepEqual(made, [
      {
        name: 'systemctl',
        on: ['x509', 'jwt', 'jwt_bundle', 'credentials'],
        action: { kind: 'run', command: ['systemctl', 'reload', 'nginx'], timeoutMs: 30_000 },
      },
      { name: 'a', on: ['jwt'], action: { kind: 'run', command: ['a'], timeoutMs: 300_000 } },
      { name: '/run/nginx.pid', on: ['x509'], action: { kind: 'signal', pidFile: '/run/nginx.pid', signal: 'SIGHUP' } },
      { name: 'envoy', on: ['x509'], action: { kind: 'child', command: ['envoy'], restart: true } },
      { name: 'envoy (2)', on: ['x509'], action: { kind: 'child', command: ['envoy', '-c'], restart: true, signal: 'SIGUSR1' } },
    ])
    assert.equal((await loadText(`${withFiles(jwt)}stop_timeout: 7s\n`)).stopTimeoutMs, 7_000)
    assert.equal((await loadText(withFiles(jwt))).stopTimeoutMs, 5_000)
  })

  test('a hook does exactly one thing', async () => {
    await one(wrongHook('{ on: [jwt] }'), /^5:5: hooks\[0\]: say what: one of run, signal, child/)
    await one(wrongHook('{ on: [jwt], run: [a], child: { command: [b] } }'), /hooks\[0\]: say only one of run, child/)
    await one(wrongHook('{ on: [jwt], child: { command: [b] }, timeout: 5s }'), /hooks\[0\]\.timeout: is for run/)
  })

  test('what it is told of is a list of kinds that there are', async () => {
    await one(wrongHook('{ run: [a] }'), /hooks\[0\]\.on: is missing/)
    await one(wrongHook('{ on: [], run: [a] }'), /hooks\[0\]\.on: is empty/)
    await one(wrongHook('{ on: x509, run: [a] }'), /hooks\[0\]\.on: expected array/)
    await one(wrongHook('{ on: [x509, certificate], run: [a] }'), /hooks\[0\]\.on\[1\]: .*"x509"\|"jwt"\|"jwt_bundle"\|"credentials"/)
  })

  test('a command has a name, and arguments that may be empty', async () => {
    assert.equal((await hooks('{ on: [jwt], run: [a, ""] }')).length, 1)
    for (const command of ['[]', '[""]', 'a', '["a\\0b"]', '[a, 1]']) {
      assert.match(await wrongHook(`{ on: [jwt], run: ${command} }`), /hooks\[0\]\.run/, command)
      assert.match(await wrongHook(`{ on: [jwt], child: { command: ${command} } }`), /hooks\[0\]\.child\.command/, command)
    }
  })

  test('a signal is written whole and in capitals', async () => {
    for (const name of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGTERM', 'SIGWINCH', 'SIGKILL'])
      assert.equal((await hooks(`{ on: [jwt], signal: { pid_file: /p, name: ${name} } }`)).length, 1, name)
    for (const name of ['HUP', 'sighup', 'SIGFOO', 'SIGINFO', '"1"', 'toString', '"SIGHUP "']) {
      await one(wrongHook(`{ on: [jwt], signal: { pid_file: /p, name: ${name} } }`), /hooks\[0\]\.signal\.name: there is no signal "[^"]+"; write it whole/)
      await one(wrongHook(`{ on: [jwt], child: { command: [a], signal: ${name} } }`), /hooks\[0\]\.child\.signal: there is no signal "[^"]+"; write it whole/)
    }
  })

  test('durations have a unit', async () => {
    for (const [text, ms] of [
      ['100ms', 100],
      ['1s', 1_000],
      ['2m', 120_000],
      ['1h', 3_600_000],
    ] as const) {
      const [hook] = await hooks(`{ on: [jwt], run: [a], timeout: ${text} }`)
      assert.equal(hook?.action.kind === 'run' && hook.action.timeoutMs, ms)
    }
    for (const text of ['30', '"30"', '1d', '-1s', '1.5s', '"1 s"'])
      await one(wrongHook(`{ on: [jwt], run: [a], timeout: ${text} }`), /hooks\[0\]\.timeout: expected (a duration|string)/)
  })
})

test('mistakes of several files and hooks are told at once, each at its place, from top to bottom', async () => {
  const text = `${base}files:
  - x509: { directory: /d, certificate: a/b, mode: "0666" }
  - jwt: { audience: [], path: /d }
  - jwt_bundle: { path: /j, fromat: jwks }
  - {}
hooks:
  - { on: [x509], run: [a], signal: { pid_file: /p, name: HUP } }
  - { on: [nothing], run: [a], timeout: soon }
`
  const lines = await mistakesOf(text)
  const expected = [
    /^3:41: files\[0\]\.x509\.certificate: "a\/b" is not a plain file name/,
    /^3:52: files\[0\]\.x509\.mode: expected an octal mode/,
    /^4:22: files\[1\]\.jwt\.audience: is empty/,
    /^4:32: files\[1\]\.jwt\.path: files\[0\] writes to \/d already/,
    /^5:29: files\[2\]\.jwt_bundle\.fromat: there is no such key; did you mean format\?/,
    /^6:5: files\[3\]: say what/,
    /^8:5: hooks\[0\]: say only one of run, signal/,
    /^9:12: hooks\[1\]\.on\[0\]: /,
    /^9:41: hooks\[1\]\.timeout: expected a duration/,
  ]
  assert.equal(lines.length, expected.length, lines.join('\n'))
  for (const [index, words] of expected.entries()) assert.match(lines[index] ?? '', words)
})
