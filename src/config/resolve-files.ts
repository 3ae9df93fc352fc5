// Files and hooks, from what was written to what is meant.
import { resolve } from 'node:path'
import { signalNumber } from '../core/signals.ts'
import type { FileConfig, HookAction, HookConfig, X509FileConfig } from './config.ts'
import type { Checker, Path } from './mistakes.ts'
import { milliseconds } from './resolve-profile.ts'
import type { RawFile, RawHook } from './schema.ts'

/** Permission bits of a mode that the schema has let pass. */
export const octal = (text: string): number => Number.parseInt(text, 8)

/** The name that is given, or the first of them: none and several are mistakes. */
function oneOf<T extends string>(path: Path, given: { readonly [K in T]?: unknown }, names: readonly T[], { wrong }: Checker): T | undefined {
  const found = names.filter((name) => given[name] !== undefined)
  if (found.length !== 1) wrong(path, found.length === 0 ? `say what: one of ${names.join(', ')}` : `say only one of ${found.join(', ')}`)
  return found[0]
}

/** The outputs, whole only if `check` has no mistakes. */
export function resolveFiles(files: readonly RawFile[], home: string | undefined, check: Checker): FileConfig[] {
  const { wrong, reference } = check
  const taken = new Map<string, number>()
  return files.flatMap((file, index): FileConfig[] => {
    const kind = oneOf(['files', index], file, ['x509', 'jwt', 'jwt_bundle', 'credentials'], check)
    const given = kind && file[kind]
    if (kind === undefined || given === undefined) return []
    const path = ['files', index, kind]
    const place = 'directory' in given ? given.directory : given.path
    if (place.startsWith('~/') && !home) wrong([...path, 'path'], 'HOME is not set, so nobody knows what ~ is')
    const target = resolve(place.replace(/^~(?=\/)/, home || '~'))
    const inside = 'directory' in given ? [given.certificate, given.key, given.bundle, given.combined].flatMap((name) => name ?? []) : []
    // A file of credentials has a section for each.
    const section = 'profile' in given ? [`${target} [${given.section ?? given.profile}]`] : []
    for (const one of [target, ...section, ...inside.map((name) => resolve(target, name))]) {
      const other = taken.get(one) ?? index
      const isShared = kind === 'credentials' && one === target && files[other]?.credentials !== undefined
      if (other !== index && !isShared) wrong([...path, 'directory' in given ? 'directory' : 'path'], `files[${other}] writes to ${one} already`)
      taken.set(one, other)
    }
    const { owner, group, remove_at_stop: removeAtStop = false } = given
    if ('profile' in given) {
      const { profile, section: name = profile, mode = '0600' } = given
      reference([...path, 'profile'], 'profile', profile)
      return [
        { kind: 'credentials', name: `credentials ${target} [${name}]`, profile, path: target, section: name, mode: octal(mode), owner, group, removeAtStop },
      ]
    }
    const { identity = 'default' } = given
    reference(given.identity === undefined ? ['files', index] : [...path, 'identity'], 'identity', identity)
    const common = { name: `${kind} ${target}`, identity, owner, group, removeAtStop }
    if ('directory' in given) {
      const { certificate, key, bundle: trusted, combined } = given
      const names = { certificate, key, bundle: trusted, combined }
      checkNames(path, names, check)
      const { mode = '0644', key_mode: keyMode = '0600', intermediates = 'certificate', federated = 'none', omit_expired: omitExpired = false } = given
      return [{ ...common, kind: 'x509', directory: target, names, mode: octal(mode), keyMode: octal(keyMode), intermediates, federated, omitExpired }]
    }
    if ('audience' in given) {
      if (given.audience.length === 0) wrong([...path, 'audience'], 'is empty')
      return [{ ...common, kind: 'jwt', audience: given.audience, path: target, mode: octal(given.mode ?? '0600'), removeExpired: true }]
    }
    const { format = 'jwks', trust_domain: trustDomain, mode = '0644' } = given
    return [{ ...common, kind: 'jwt_bundle', path: target, format, trustDomain, mode: octal(mode) }]
  })
}

function checkNames(path: Path, names: X509FileConfig['names'], { wrong }: Checker): void {
  const seen = new Set<string>()
  for (const [what, name] of Object.entries(names)) {
    if (name === undefined) continue
    if (!/^[^./][^/]*$/.test(name)) wrong([...path, what], `${JSON.stringify(name)} is not a plain file name; the directory is said by directory`)
    if (seen.has(name)) wrong([...path, what], `another file of this directory is called ${name} already`)
    seen.add(name)
  }
  if (seen.size === 0) wrong(path, 'name a file: certificate, key, bundle or combined')
}

/** The hooks, whole only if `check` has no mistakes. Each is called what it does, wherever it stands, so that a reload knows it again. */
export function resolveHooks(hooks: readonly RawHook[], check: Checker): HookConfig[] {
  const { wrong } = check
  const names = new Map<string, number>()
  const checkSignal = (path: Path, name: string) => {
    if (signalNumber(name) === undefined) wrong(path, `there is no signal ${JSON.stringify(name)}; write it whole, such as SIGHUP`)
  }
  const checkCommand = (path: Path, command: readonly string[]) => {
    for (const [index, word] of command.entries()) if (word.includes('\0') || (index === 0 && word === '')) wrong([...path, index], 'is no word of a command')
  }
  return hooks.flatMap((hook, index): HookConfig[] => {
    const path = ['hooks', index]
    oneOf(path, hook, ['run', 'signal', 'child'], check)
    const { on, run, timeout, signal, child } = hook
    if (on === undefined) wrong([...path, 'on'], 'is missing')
    if (timeout !== undefined && run === undefined) wrong([...path, 'timeout'], 'is for run')
    const entry = (what: string, action: HookAction): HookConfig[] => {
      const count = (names.get(what) ?? 0) + 1
      names.set(what, count)
      return [{ name: count === 1 ? what : `${what} (${count})`, on: on ?? [], action }]
    }
    if (run !== undefined) {
      checkCommand([...path, 'run'], run)
      return entry(run[0] ?? '', { kind: 'run', command: run, timeoutMs: milliseconds(timeout ?? '30s') })
    }
    if (signal !== undefined) {
      checkSignal([...path, 'signal', 'name'], signal.name)
      return entry(signal.pid_file, { kind: 'signal', pidFile: resolve(signal.pid_file), signal: signal.name })
    }
    if (child === undefined) return []
    checkCommand([...path, 'child', 'command'], child.command)
    if (child.signal !== undefined) checkSignal([...path, 'child', 'signal'], child.signal)
    return entry(child.command[0] ?? '', {
      kind: 'child',
      command: child.command,
      restart: true,
      ...(child.signal === undefined ? {} : { signal: child.signal }),
    })
  })
}
