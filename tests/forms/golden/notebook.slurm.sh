export _sch__dd_partition_e_=''
export _sch__dd_cpus_d_per_d_task_e_='1'
export _sch__dd_mem_d_per_d_cpu_e_='8G'
export scheduler_directives='--exclusive; --gpus-per-node=1;;'
export service_conda_install='false'
export service_load_env='module load jupyter'
export advanced_options_stream='true'
export advanced_options_kind='none'
export service_notebook_dir="$HOME/work/notes/ada"
export service_bin="term -- bash -c \"tool --help; exec bash\""
export service_sif="/images/\${USER}/$HOME/x.sif"
export service_password=''
# --exclusive
# --gpus-per-node=1
# --cpus-per-task=1
# --mem-per-cpu=8G
