export _sch__d_q___='work'
export scheduler_directives='-l walltime=00:20:00'
export service_conda_install='false'
export service_load_env='module load jupyter'
export advanced_options_stream='true'
export advanced_options_kind='none'
export service_notebook_dir="$HOME/work/notes/ada"
export service_bin="term -- bash -c \"tool --help; exec bash\""
export service_sif="/images/\${USER}/$HOME/x.sif"
export service_password=''
# -l walltime=00:20:00
# -q work
