# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put before batch_run.sh: which run of which job this is to Slurm. Defines functions, prints nothing.

# What Slurm leaves between TERM and KILL is KillWait, 30 s unless a site says otherwise.
hurry=12 hurry_grace=5

# identify: sets SESSIOND_RUN and job_run, and node, which is what the login node can resolve: a node's own idea of its
# name may not be
identify() {
  SESSIOND_RUN=$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}
  job_run=$SESSIOND_RUN node=$SLURMD_NODENAME
}

# attend: Slurm itself sends USR2 before the walltime's end, and TERM where the session is to stop
attend() { :; }
