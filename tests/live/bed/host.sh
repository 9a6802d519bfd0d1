#!/bin/bash
# The first process of a host: host.sh BED HOST, in namespaces of its own (network, mounts, processes, host name).
# It says "up" once the host looks like one. It ends when its standard input does, that is, at the latest when the
# process that started it is dead; with it the kernel ends every process of the host. bash, because it reaps orphans.
set -eu
bed=$1 host=$2
hostname "$host"
mount -t proc proc /proc
echo 0 > /proc/sys/net/ipv4/ip_forward

# Copies of other beds' file systems: they would keep those, and their loop devices, beyond the end of their bed.
while read -r _ at _; do
  case $at in
    "$bed"/*) ;;
    */sdbed*/*) umount -l "$at" || : ;;
  esac
done < /proc/mounts

# Folders of the machine that a host has for itself, but for some paths below them.
mapfile -t covered < "$bed/covered"
mapfile -t kept < "$bed/kept"
mount -t tmpfs -o mode=755 tmpfs /mnt
for n in "${!kept[@]}"; do
  mkdir "/mnt/$n"
  mount --rbind "${kept[n]}" "/mnt/$n"
done
for line in "${covered[@]}"; do
  mount -t tmpfs -o "mode=${line%% *}" tmpfs "${line#* }"
done
for n in "${!kept[@]}"; do
  mkdir -p "${kept[n]}"
  mount --rbind "/mnt/$n" "${kept[n]}"
done
umount -R -l /mnt

mount --bind "$bed/etc" /etc
if [ -e /etc/ssh/ssh_host_ed25519_key.pub ]; then
  mount --bind "$bed/keys/$host.pub" /etc/ssh/ssh_host_ed25519_key.pub
fi
for home in "$bed"/home/*; do
  mkdir "/home/${home##*/}"
  mount --bind "$home" "/home/${home##*/}"
done
# where sshd writes down who comes and goes
touch /run/utmp /var/log/wtmp /var/log/lastlog
mkdir /run/sshd /run/munge
mount --bind "$bed/munge/run" /run/munge
for program in "$bed"/counting/*; do
  name=${program##*/}
  mount --bind "/usr/bin/$name" "$bed/real/$name"
  mount --bind "$program" "/usr/bin/$name"
done

cd /
echo up
exec >> "$bed/log/$host.console" 2>&1
while read -r _; do :; done
