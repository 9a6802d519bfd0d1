#!/bin/bash
#PBS -l place=excl
#PBS -l walltime=2:00:00
#PBS -q gpu
#PBS -A abc123
#PBS -l nodes=2:ppn=8:gpus=2
#PBS -l mem=32gb
#PBS -N sd-0123456789ab
#PBS -v 'A=one, two',SESSIOND_ID=0123456789ab
#PBS -j oe -o pbs.out
#PBS -S /bin/bash
cd -- '/home/ada/sessiond/0123456789ab' 2>/dev/null || cd -- "${PBS_O_WORKDIR:-/nonexistent}" || exit 66
[ -r ./session.sh ] || { echo "sessiond: the session's folder is not there on $(hostname)." >&2; exit 66; }
exec 'bash' 'pbs_run.sh' 'sd-0123456789ab' '300' '60' '7200' >>logs.out 2>&1
