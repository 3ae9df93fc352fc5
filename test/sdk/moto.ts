// A world whose AWS hands out credentials of moto: the dev AWS verifies the SVID, moto verifies what is signed with them.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts'
import { systemClock } from '../../src/core/clock.ts'
import { startAgent } from '../support/dev/agent.ts'
import { createAuthority } from '../support/dev/authority.ts'
import { startDevAws } from '../support/dev/aws.ts'
import type { Surroundings } from './support.ts'

/** The folder of the Python that has boto3 and moto. The first time takes half a minute. */
export const pythonFolder = (): string => execFileSync(fileURLToPath(new URL('python/build', import.meta.url)), { encoding: 'utf8' }).trim()

const region = 'us-east-1'
const iamArn = 'arn:aws:iam::123456789012'
const arns = {
  trustAnchor: `arn:aws:rolesanywhere:${region}:123456789012:trust-anchor/00000000-0000-4000-8000-000000000001`,
  profile: `arn:aws:rolesanywhere:${region}:123456789012:profile/00000000-0000-4000-8000-000000000002`,
  role: `${iamArn}:role/dev/web`,
  webIdentityRole: `${iamArn}:role/dev/web-identity`,
}

const allow = (action: string | string[], principal?: object) =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: action, ...(principal ? { Principal: principal } : { Resource: '*' }) }] })

export interface Moto {
  readonly url: string
  /** Hands out credentials of one of the two roles, for the shortest time there is. */
  assumeRole(roleArn: string, sessionName: string): Promise<Issued>
  readonly stop: () => Promise<void>
}

export interface Issued {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
  readonly expiration: number
}

/** Starts moto with the two roles and somebody who may assume them, and has it verify every signature from then on. */
export async function startMoto(python: string): Promise<Moto> {
  const child = spawn(join(python, 'bin/moto_server'), ['-H', '127.0.0.1', '-p', '0'], {
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = once(child, 'exit')
  const stop = async () => {
    child.kill()
    await exited
  }
  try {
    let url: string | undefined
    for await (const line of createInterface({ input: child.stderr })) {
      url = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1]
      if (url !== undefined) break
    }
    if (url === undefined) throw new Error('moto did not start')
    child.stderr.resume()
    const sts = await setUp(url)
    const assumeRole: Moto['assumeRole'] = async (roleArn, sessionName) => {
      const wanted = { RoleArn: roleArn, RoleSessionName: sessionName, DurationSeconds: 900 }
      const { Credentials: given } = await sts.send(new AssumeRoleCommand(wanted))
      return {
        accessKeyId: given?.AccessKeyId ?? '',
        secretAccessKey: given?.SecretAccessKey ?? '',
        sessionToken: given?.SessionToken ?? '',
        expiration: given?.Expiration?.getTime() ?? 0,
      }
    }
    return { url, assumeRole, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function setUp(url: string): Promise<STSClient> {
  // While it verifies nothing yet, moto reads from the header only which service is meant.
  const iam = async (action: string, parameters: Record<string, string>) => {
    const reply = await fetch(url, {
      method: 'POST',
      headers: { authorization: `AWS4-HMAC-SHA256 Credential=setup/20300101/${region}/iam/aws4_request` },
      body: new URLSearchParams({ Action: action, Version: '2010-05-08', ...parameters }),
    })
    const text = await reply.text()
    if (!reply.ok) throw new Error(`moto: ${action}: ${text}`)
    return (name: string) => new RegExp(`<${name}>([^<]+)</${name}>`).exec(text)?.[1] ?? ''
  }
  for (const name of ['web', 'web-identity']) {
    const trust = allow('sts:AssumeRole', { AWS: '*' })
    await iam('CreateRole', { RoleName: name, Path: '/dev/', AssumeRolePolicyDocument: trust })
    await iam('PutRolePolicy', { RoleName: name, PolicyName: 'use', PolicyDocument: allow(['s3:*', 'sts:*']) })
  }
  await iam('CreateUser', { UserName: 'issuer' })
  await iam('PutUserPolicy', { UserName: 'issuer', PolicyName: 'issue', PolicyDocument: allow('sts:AssumeRole') })
  const key = await iam('CreateAccessKey', { UserName: 'issuer' })
  const credentials = { accessKeyId: key('AccessKeyId'), secretAccessKey: key('SecretAccessKey') }
  // Not as a form, which moto would take apart.
  const headers = { 'content-type': 'text/plain' }
  const reply = await fetch(`${url}/moto-api/reset-auth`, { method: 'POST', headers, body: '0' })
  if (!reply.ok) throw new Error(`moto does not verify: ${await reply.text()}`)
  return new STSClient({ endpoint: url, region, credentials })
}

/** A world like test/support/world/world.ts has, but for the credentials: `issued` gets the key of each by the name of its session. */
export const motoWorld =
  (moto: Moto, issued: Map<string, string>) =>
  async (directory: string): Promise<Surroundings> => {
    const clock = systemClock
    const authority = await createAuthority({ trustDomain: 'dev.local', intermediate: true, clock })
    const spiffeIds = ['spiffe://dev.local/web']
    const issuer = 'https://oidc.dev.local'
    const audience = 'sts.amazonaws.com'
    let count = 0
    const aws = await startDevAws({
      clock,
      region,
      trustAnchors: [{ arn: arns.trustAnchor, roots: () => authority.bundle() }],
      profiles: [{ arn: arns.profile, roleArns: [arns.role] }],
      oidcProviders: [{ issuer, audiences: [audience], jwks: () => authority.jwks() }],
      roles: [arns.role, arns.webIdentityRole].map((roleArn) => ({ roleArn, spiffeIds })),
      mint: async ({ roleArn }) => {
        const name = `issue-${++count}`
        const credentials = await moto.assumeRole(roleArn, name)
        issued.set(name, credentials.accessKeyId)
        return credentials
      },
    })
    const agent = await startAgent({
      address: `unix://${join(directory, 'agent.sock')}`,
      authority,
      clock,
      x509TtlSeconds: 3600,
      jwtTtlSeconds: 3600,
      jwtIssuer: issuer,
      entries: spiffeIds.map((spiffeId) => ({ id: 'web', spiffeId })),
    })
    const stop = async () => {
      await agent.stop()
      await aws.stop()
    }
    return { aws, arns, audience, socket: agent.address, stop }
  }
