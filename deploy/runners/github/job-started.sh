#!/bin/sh
# ACTIONS_RUNNER_HOOK_JOB_STARTED: holds a job back until there are credentials, and says what is wrong when there are none.
# It fails the job in that one case. Belongs to root, outside the runner's own folder; runs as the runner's user.
set -u

consumer=ci
runtime_dir=/run/svidecar
# The environment that the runner gives its jobs: the runner's .env is a link to it.
job_environment=${0%/*}/runner.env

# Nothing of the workflow's environment: its AWS_PROFILE would be explained instead of the runner's, and its SVIDECAR_… or
# NODE_… could name another daemon.
svidecar() { env -i PATH=/usr/bin:/bin /usr/bin/svidecar "$@" --runtime-dir "$runtime_dir"; }

status=0
svidecar wait --consumer "$consumer" --timeout 30s || status=$?
case $status in
0) ;;
1)
  echo '::group::svidecar doctor'
  # A daemon that is stopped, and not ended, accepts and says nothing.
  svidecar doctor --environment "$job_environment" || true
  echo '::endgroup::'
  echo '::error title=No AWS credentials::svidecar had none within 30 s; what it says of it is above'
  exit 1
  ;;
*)
  # A hook that cannot ask is no reason to take the runner away from jobs that want nothing of AWS.
  echo "::warning title=svidecar hook::svidecar wait ended with status $status; the job starts without having waited"
  ;;
esac
