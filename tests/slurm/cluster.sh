#!/usr/bin/env bash
# A Slurm cluster on this machine: a controller and two nodes of four CPUs and two stand-in GPUs, on loopback, without systemd.
#
#   cluster.sh install          Debian's packages, if they are missing
#   cluster.sh start FOLDER     keys, state, logs and pids go there; the configuration to /etc/slurm, where Snakemake's jobs look for it
#   cluster.sh stop FOLDER      ends, by pid, what start began, and removes the configuration
#
# Needs root and Debian. Refuses a machine that has a Slurm configuration of its own. Exit code 3: it may not, here; 1: it went wrong.
set -euo pipefail

MARK="# the test cluster of regdna"
CONF=/etc/slurm/slurm.conf
PACKAGES=(slurmctld slurmd slurm-client munge)

fail() { echo "cluster.sh: $*" >&2; exit 1; }
may_not() { echo "cluster.sh: $*" >&2; exit 3; }

install_packages() {
    command -v slurmctld slurmd sbatch munged >/dev/null && return
    [ "$(id -u)" = 0 ] || may_not "no root, to install ${PACKAGES[*]}"
    command -v apt-get >/dev/null || may_not "no apt-get, to install ${PACKAGES[*]}"
    # Packages must not start daemons of their own.
    local policy=/usr/sbin/policy-rc.d had=yes
    [ -e "$policy" ] || { had=no; printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod +x "$policy"; }
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}" >/dev/null ||
        may_not "could not install ${PACKAGES[*]}"
    [ "$had" = yes ] || rm "$policy"
}

configure() {
    local folder=$1 host
    host=$(hostname)
    for number in 0 1; do  # a GPU must be a character device, or CUDA_VISIBLE_DEVICES stays empty
        [ -c "$folder/gpu$number" ] || mknod "$folder/gpu$number" c 1 3 2>/dev/null || may_not "no devices can be made here, to stand in for GPUs"
    done
    # What each task was given of the GPUs: a line a task.
    printf '#!/bin/sh\necho "$SLURM_JOB_ID ${CUDA_VISIBLE_DEVICES:-none}" >> %s/visible\n' "$folder" > "$folder/prolog"
    chmod +x "$folder/prolog"
    mkdir -p /etc/slurm
    cat > "$CONF" <<END
$MARK
ClusterName=regdna
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog=$folder/prolog
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MinJobAge=600
KillWait=5
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=node[1-2] NodeHostname=$host NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=4 RealMemory=64000 Gres=gpu:h200:2
PartitionName=cpu Nodes=node[1-2] Default=YES MaxTime=1440 PriorityTier=10
PartitionName=gpu Nodes=node[1-2] MaxTime=1440 PriorityTier=10
PartitionName=urgent Nodes=node[1-2] MaxTime=60 PriorityTier=100
END
    cat > /etc/slurm/gres.conf <<END
AutoDetect=off
NodeName=node[1-2] Name=gpu Type=h200 Flags=nvidia_gpu_env File=$folder/gpu[0-1]
END
}

start() {
    local folder
    [ "$(id -u)" = 0 ] || may_not "no root, to start slurmd"
    if [ -e "$CONF" ] && ! grep -qxF "$MARK" "$CONF"; then may_not "$CONF is another cluster's; it is left alone"; fi
    mkdir -p "$1" && folder=$(cd "$1" && pwd)
    mkdir -p "$folder/state" "$folder/spool-node1" "$folder/spool-node2"
    configure "$folder"
    [ -e "$folder/munge.key" ] || (umask 077; head -c 128 /dev/urandom > "$folder/munge.key")
    chmod 700 "$folder/munge.key"; chmod 0755 "$folder"
    munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
        --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
    slurmctld
    slurmd -N node1
    slurmd -N node2
    for _ in $(seq 60); do
        [ "$(sinfo -h -p cpu -t idle -o %D 2>/dev/null)" = 2 ] && return
        sleep 0.5
    done
    tail -n 5 "$folder"/*.log >&2
    fail "the nodes did not come up in 30 s"
}

stop() {
    local folder pid
    folder=$(cd "$1" && pwd)
    scancel --user=root 2>/dev/null || true
    for _ in $(seq 20); do [ -z "$(squeue -h 2>/dev/null)" ] && break; sleep 0.5; done
    for name in slurmd-node1 slurmd-node2 slurmctld munged; do
        [ -s "$folder/$name.pid" ] || continue
        pid=$(cat "$folder/$name.pid")
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || break; sleep 0.25; done
        kill -9 "$pid" 2>/dev/null || true
    done
    if grep -qxF "$MARK" "$CONF" 2>/dev/null; then rm -f "$CONF" /etc/slurm/gres.conf; fi
}

case "${1:-}" in
    install) install_packages ;;
    start) start "${2:?folder}" ;;
    stop) stop "${2:?folder}" ;;
    *) fail "install, start FOLDER or stop FOLDER" ;;
esac
