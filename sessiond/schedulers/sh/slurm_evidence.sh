# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm.sh before batch_evidence.sh: what Slurm knows of a job and its steps. Defines functions, prints nothing.

HISTORIAN=scontrol

# ask_evidence FOLDER JOB TAG: account, sacct's lines, steps included, for only they have MaxRSS; said, its exit status, its
# errors; control, scontrol's record of the job; said, the same of scontrol
ask_evidence() {
  ask account 30 env LC_ALL=C sacct -n -P -S now-30days "--name=$3" -j "$2" \
    -o JobIDRaw,State,ExitCode,MaxRSS,ReqMem,Elapsed,Timelimit,NodeList,Reason
  ask control 30 env LC_ALL=C scontrol -o show job "$2"
}
