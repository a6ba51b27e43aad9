# A Slurm of one node on this machine, for tests: munged, slurmctld and slurmd of its own, with their
# files below a folder. Sourced; start_cluster FOLDER, stop_cluster. Daemons end with the shell.
# shellcheck shell=bash

# skip REASON...: CTest shows it (SKIP_RETURN_CODE 77).
skip() {
  printf 'SKIPPED: %s\n' "$*"
  exit 77
}

cluster_pids=()

# free_port: one that nobody listens on.
free_port() {
  local port
  for _ in {1..100}; do
    port=$((20000 + RANDOM % 20000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      printf '%s' "$port"
      return
    fi
  done
  return 1
}

# within SECONDS COMMAND...: until it succeeds.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.2
  done
}

start_cluster() {
  local folder=$1 host
  ((EUID == 0)) || skip 'Slurm daemons need root'
  for program in munged slurmctld slurmd sbatch squeue scontrol; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null ||
      skip "$program is not installed (apt-get install slurm-wlm munge)"
  done
  PATH=$PATH:/usr/sbin
  mkdir -p "$folder/state" "$folder/spool"
  chmod 755 "$folder"
  (umask 077; head -c 1024 /dev/urandom >"$folder/munge.key")
  munged --foreground --force --num-threads=2 --key-file="$folder/munge.key" \
    --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" >"$folder/munged.out" 2>&1 &
  cluster_pids+=($!)
  host=$(hostname -s)
  cat >"$folder/slurm.conf" <<CONF
ClusterName=tessera-test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CryptoType=crypto/munge
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
KillWait=1
MinJobAge=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
CONF
  export SLURM_CONF=$folder/slurm.conf
  slurmctld -D -c >"$folder/slurmctld.out" 2>&1 &
  cluster_pids+=($!)
  slurmd -D >"$folder/slurmd.out" 2>&1 &
  cluster_pids+=($!)
  within 30 node_is_ready || skip "no Slurm could be started here: $(cat "$folder"/*.out "$folder"/*.log | grep -m 3 -iE 'error|fatal')"
}

node_is_ready() { [[ $(sinfo -h -o %t) == idle ]]; }

stop_cluster() {
  local pid
  for pid in "${cluster_pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
}
