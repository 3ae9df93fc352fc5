// The pods in which ARC, GitLab Runner and Jenkins run a job, made of the shipped files as each of the three makes them.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Cluster } from '../cluster.ts'
import { checkout, must } from '../machine.ts'
import type { Container, PodSpec } from '../manifests.ts'

export const runners = join(checkout, 'deploy/runners')

export interface Pod {
  apiVersion: 'v1'
  kind: 'Pod'
  metadata: { name: string; namespace: string; labels: Record<string, string>; annotations?: Record<string, string> }
  spec: PodSpec
}

export interface Maker {
  /** The user of Kubernetes that makes these pods. */
  readonly user: string
  /** The container in which the job runs. */
  readonly job: string
  /** What `pods/clusterspiffeid.yaml` makes of it, less the pod's name. */
  readonly identity: string
  pod(name: string, cluster: Cluster): Promise<Pod>
}

const text = (path: string) => readFile(join(runners, path), 'utf8')

const podOf = (name: string, labels: Record<string, string>, spec: object): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'ci', labels },
  spec: spec as PodSpec,
})

/** The chart puts metadata and spec into its AutoscalingRunnerSet as they are, with a service account and a restart policy. */
async function arc(name: string): Promise<Pod> {
  const { template } = parse(await text('arc/values.yaml')) as { template: { metadata: { labels: Record<string, string> }; spec: object } }
  return podOf(
    name,
    { 'actions-ephemeral-runner': 'True', ...template.metadata.labels },
    { ...template.spec, serviceAccountName: 'arc-deploy-gha-rs-no-permission', restartPolicy: 'Never' },
  )
}

/** The plugin adds its workspace to every container, and what the agent calls home with to its own. */
async function jenkins(name: string): Promise<Pod> {
  const { metadata, spec } = parse(await text('jenkins/pod.yaml')) as Pod
  const containers = spec.containers.map((one) => ({
    ...one,
    env: [...one.env, { name: 'JENKINS_URL', value: 'http://jenkins.jenkins.svc/' }],
    volumeMounts: [...one.volumeMounts, { name: 'workspace-volume', mountPath: '/home/jenkins/agent' }],
  }))
  const volumes = [...spec.volumes, { name: 'workspace-volume', emptyDir: {} }]
  return podOf(name, { 'jenkins/label': 'deploy', ...metadata.labels }, { ...spec, containers, volumes, restartPolicy: 'Never' })
}

interface GitLabRunner {
  executor: string
  feature_flags: Record<string, boolean>
  kubernetes: {
    namespace: string
    image: string
    automount_service_account_token: boolean
    allow_privilege_escalation: boolean
    cap_drop: string[]
    pod_labels: Record<string, string>
    pod_security_context: { run_as_non_root: boolean; run_as_user: number; supplemental_groups: number[] }
    pod_spec: { name: string; patch_type: string; patch: string }[]
    [more: string]: unknown
  }
}

export async function gitlabRunner(): Promise<GitLabRunner> {
  const json = 'import json, sys, tomllib; print(json.dumps(tomllib.load(open(sys.argv[1], "rb"))))'
  return (JSON.parse(await must(['python3', '-c', json, join(runners, 'gitlab/config.toml')])) as { runners: [GitLabRunner] }).runners[0]
}

/** The executor makes a pod of its settings, with three containers of its own, and merges each pod_spec into it as kubectl does. */
async function gitlab(name: string, cluster: Cluster): Promise<Pod> {
  const { kubernetes: settings } = await gitlabRunner()
  const securityContext = { allowPrivilegeEscalation: settings.allow_privilege_escalation, capabilities: { drop: settings.cap_drop } }
  const own = (container: string, image: string): Container => ({
    name: container,
    image,
    env: [],
    securityContext,
    volumeMounts: [
      { name: 'scripts', mountPath: '/scripts-42-7' },
      { name: 'logs', mountPath: '/logs-42-7' },
      { name: 'repo', mountPath: '/builds' },
    ],
  })
  const context = settings.pod_security_context
  const labels = { ...settings.pod_labels, 'project.runner.gitlab.com/id': '42', 'manager.runner.gitlab.com/name': 'svidecar' }
  const pod = podOf(name, labels, {
    automountServiceAccountToken: settings.automount_service_account_token,
    restartPolicy: 'Never',
    securityContext: { runAsNonRoot: context.run_as_non_root, runAsUser: context.run_as_user, supplementalGroups: context.supplemental_groups },
    initContainers: [own('init-permissions', 'gitlab-runner-helper')],
    containers: [own('build', settings.image), own('helper', 'gitlab-runner-helper')],
    volumes: ['repo', 'scripts', 'logs'].map((volume) => ({ name: volume, emptyDir: {} })),
  })
  let merged = JSON.stringify(pod)
  for (const { patch, patch_type: type } of settings.pod_spec) {
    const patched = ['patch', '--local', '--output=json', '--filename=-', `--type=${type}`, `--patch=${JSON.stringify({ spec: parse(patch) as object })}`]
    const { status, stdout, stderr } = await cluster.kubectl(patched, merged)
    if (status !== 0) throw new Error(stderr)
    merged = stdout
  }
  return JSON.parse(merged) as Pod
}

export const makers: Readonly<Record<string, Maker>> = {
  arc: { user: 'system:serviceaccount:arc-systems:arc-gha-rs-controller', job: 'runner', identity: 'spiffe://example.org/ci/arc-deploy', pod: arc },
  gitlab: { user: 'system:serviceaccount:gitlab-runner:gitlab-runner', job: 'build', identity: 'spiffe://example.org/ci/gitlab/project/42', pod: gitlab },
  jenkins: { user: 'system:serviceaccount:jenkins:jenkins', job: 'jnlp', identity: 'spiffe://example.org/ci/jenkins-deploy', pod: jenkins },
}
