#!/bin/sh
# ACTIONS_RUNNER_HOOK_JOB_COMPLETED: says so when the job's credentials had gone by its end, so that nobody looks for the fault in
# the job. Whatever happens here, its status is 0: another one would turn the job's own result into a failure.
set -u

consumer=ci
runtime_dir=/run/svidecar

if ! said=$(env -i PATH=/usr/bin:/bin /usr/bin/svidecar wait --consumer "$consumer" --timeout 0s --runtime-dir "$runtime_dir" 2>&1); then
  echo "::warning title=No AWS credentials::$(printf '%s' "$said" | tail -n 1)"
fi
exit 0
