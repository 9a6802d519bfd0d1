# shellcheck shell=bash disable=SC2154,SC2088 # inputs.sh has the variables; ~ is the workspace's to expand
# What `scp usercontainer:FILE .` is to templates: a copy from the workspace. There is no way back to it from here, but what
# templates fetch from there is mostly of their own folder, which is here. Defines a function, runs nothing.

# scp with one argument that names the workspace copies here; any other is the program's own.
scp() {
  local word place=${USER_CONTAINER_HOST:-usercontainer} ours="" last="" words=() options=(-f)
  for word; do
    last=""
    case $word in
      "$place":* | *"@$place":*) ours=1 last=$word ;;
    esac
  done
  if [ -z "$ours" ]; then
    command scp "$@"
    return
  fi
  if [ -n "$last" ] && [ "$resource_id" != local ]; then
    echo "scp: there is no way back to the workspace from $HOSTNAME; nothing is copied to $last." >&2
    return 1
  fi
  while [ $# -gt 0 ]; do
    case $1 in
      --) ;;
      # Its options with a value (scp(1), OpenSSH 9.2); of the others a copy knows two.
      -[cDFiJloPSX]) shift ;;
      -*)
        case $1 in *r*) options+=(-R) ;; esac
        case $1 in *p*) options+=(-p) ;; esac
        ;;
      *) words+=("$(sessiond_workspace_path "$1" "$place")") ;;
    esac
    shift
  done
  for word in "${words[@]:0:${#words[@]}-1}"; do
    if ! [ -e "$word" ]; then
      echo "scp: $word is not on $HOSTNAME, and there is no way back to the workspace: put it into the service's folder." >&2
      return 1
    fi
  done
  cp "${options[@]}" -- "${words[@]}"
}

# Print where here a word of scp's is that may name the workspace $2: the service's folder is at another place than there.
sessiond_workspace_path() {
  local path=$1
  case $path in
    "$2":* | *"@$2":*) path=${path#*"$2":} ;;
    *)
      printf '%s\n' "$path"
      return
      ;;
  esac
  case $path in
    "$pw_job_dir/$service_name"/*) path=$pw_job_dir/service/${path#"$pw_job_dir/$service_name"/} ;;
    "$service_name"/*) path=$pw_job_dir/service/${path#"$service_name"/} ;;
    "") path=$HOME ;;
    "~/"*) path=$HOME/${path#"~/"} ;;
    /*) ;;
    *) path=$HOME/$path ;;
  esac
  printf '%s\n' "$path"
}
