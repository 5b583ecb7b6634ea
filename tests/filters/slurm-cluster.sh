# tests/filters/slurm-cluster.sh - a Slurm of two nodes on this machine, for pipelines.t; source it
#
#   slurm_can          are its programs here, and may we start them (root: nodes need names of their own)?
#   slurm_up DIR       munged, slurmctld and two slurmd, all of whose files are in DIR; SLURM_CONF is set
#   slurm_down DIR
# The second node has a host name and an /etc/hosts of its own, in namespaces that end with it. Both
# claim more processors than there are, so that they take jobs of any size.

slurm_can() {
    for program in sbatch srun scontrol slurmctld slurmd munged unshare; do command -v $program >/dev/null || return 1; done
    [ "$(id -u)" = 0 ] && getent hosts "$(hostname -s)" >/dev/null && unshare -um true 2>/dev/null
}

slurm_idle() { [ "$(sinfo -h -t idle -o %D 2>/dev/null)" = 2 ]; }

slurm_up() {
    local d=$1 host=$(hostname -s) port=$(ports 2)
    mkdir -p "$d/state" "$d/munge"
    chmod 700 "$d/munge"
    dd if=/dev/urandom of="$d/munge/key" bs=128 count=1 2>/dev/null
    chmod 600 "$d/munge/key"
    munged --force --key-file="$d/munge/key" --socket="$d/munge.socket" --pid-file="$d/munge.pid" --log-file="$d/munge/log" \
        --seed-file="$d/munge/seed" >/dev/null 2>&1
    cat >"$d/slurm.conf" <<END
ClusterName=penstock
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$d/munge.socket
CryptoType=crypto/munge
CommunicationParameters=NoInAddrAny
StateSaveLocation=$d/state
SlurmdSpoolDir=$d/spool.%n
SlurmctldPidFile=$d/slurmctld.pid
SlurmdPidFile=$d/slurmd.%n.pid
SlurmctldLogFile=$d/slurmctld.log
SlurmdLogFile=$d/slurmd.%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
KillWait=2
SwitchType=switch/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=512 RealMemory=1000000 Weight=1
NodeName=other NodeAddr=127.0.0.2 CPUs=512 RealMemory=1000000 Weight=2
PartitionName=all Nodes=$host,other Default=YES MaxTime=INFINITE State=UP
END
    export SLURM_CONF="$d/slurm.conf"
    slurmctld
    slurmd
    (cat /etc/hosts; echo 127.0.0.2 other) >"$d/hosts"
    unshare -um sh -c "mount --bind '$d/hosts' /etc/hosts && hostname other && slurmd"
    wait_until 100 slurm_idle
}

slurm_down() {
    scancel -u root 2>/dev/null
    for f in "$1"/*.pid; do kill "$(cat "$f")" 2>/dev/null; done
    sleep 1
}
