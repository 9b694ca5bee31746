#!/bin/bash
# A job under Slurm, with the batch script of docs/slurm.md, is preempted on one node and goes on on the other: slurmctld
# and two slurmd of Debian 12 on two hosts of this machine (scripts/hosts.sh). As root; APUS names the program.
set -u
cd "$(dirname "$0")/.." || exit 1

folder=$(mktemp -d "${TMPDIR:-/var/tmp}/apus-slurm.XXXXXX")
trap 'scripts/hosts.sh down "$folder/hosts"; rm -rf "$folder"' EXIT
APUS_HOSTS_PACKAGES=slurmctld,slurmd,slurm-client,munge scripts/hosts.sh up "$folder/hosts" bookworm bookworm
case $? in
0) ;;
77) echo 'skipped: Slurm'; exit 0 ;;
*) exit 1 ;;
esac
on() { timeout 120 scripts/hosts.sh run "$folder/hosts" "$@"; }
fail() {
	echo "FAILED: $*"
	on one bash -c 'sinfo; squeue; scontrol show job; tail -n 30 /var/log/slurmctld.log /var/log/slurmd.log; tail -n 20 /shared/job.log'
	on two tail -n 30 /var/log/slurmd.log
	echo '0 passed, 1 failed'
	exit 1
}
# Waits until a command succeeds.
await() {
	local patience=600 words=$1
	shift
	until "$@" >/dev/null 2>&1; do
		patience=$((patience - 1))
		[ $patience -gt 0 ] || fail "$words"
		sleep 0.2
	done
}

shared=$folder/hosts/shared
cat >"$shared/slurm.conf" <<'TEXT'
ClusterName=apus
SlurmctldHost=one
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.log
SlurmdSpoolDir=/var/spool/slurmd
StateSaveLocation=/var/spool/slurmctld
SlurmdParameters=config_overrides
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
NodeName=one,two CPUs=1
PartitionName=low Nodes=one,two Default=YES PriorityTier=1 GraceTime=60
PartitionName=high Nodes=one,two PriorityTier=10 PreemptMode=OFF
TEXT
head -c 1024 /dev/urandom >"$shared/munge.key"
for host in one two; do
	on $host bash -c '
		cp /shared/slurm.conf /etc/slurm/
		# The hosts have no control groups of their own, and none are used.
		echo CgroupPlugin=cgroup/v1 >/etc/slurm/cgroup.conf
		install -o munge -g munge -m 400 /shared/munge.key /etc/munge/munge.key
		install -d -o munge -g munge /run/munge /var/log/munge /var/lib/munge
		mkdir -p /var/spool/slurmd /var/spool/slurmctld
		setpriv --reuid munge --regid munge --clear-groups munged' || fail "no munged on $host"
done
on one slurmctld || fail 'no slurmctld'
for host in one two; do on $host slurmd || fail "no slurmd on $host"; done
await 'the nodes are not ready' on one bash -c '[ "$(sinfo -h -N -p low -t idle | wc -l)" = 2 ]'

# The script of the documentation, with a program that takes half a minute and whose result is known.
awk '/^```bash/ { on = 1; next } /^```/ { on = 0 } on' docs/slurm.md |
	sed 's|\./compute argument|/shared/sum.sh 400|; s/--every 10m/--every 2s/' >"$shared/job.sh"
grep -q 'sum.sh 400' "$shared/job.sh" || fail 'the script of docs/slurm.md is another'
cat >"$shared/sum.sh" <<'TEXT'
#!/bin/bash
total=0
for i in $(seq 1 $1); do total=$(expr $total + $i); echo $i $total; sleep 0.05; done
TEXT
chmod +x "$shared/sum.sh"

# It begins at the first node, as there is no other yet.
on one scontrol update NodeName=two State=DRAIN Reason=later || fail 'the second node cannot be held back'
job=$(on one bash -c 'cd /shared && sbatch --parsable -o /shared/job.log job.sh') || fail 'it cannot be submitted'
store=$shared/store-$job
await 'the job has not begun' test -s "$store/output.log"
on one bash -c "scontrol show job $job | grep -q 'BatchHost=one'" || fail 'it has not begun at the first node'
on one scontrol update NodeName=two State=RESUME || fail 'the second node does not come back'
await 'it does not get far' bash -c "[ \$(wc -l <'$store/output.log') -ge 60 ]"
on one bash -c 'cd /shared && sbatch -p high -w one -o /dev/null --wrap "sleep 600"' || fail 'nothing preempts it'

await 'it was not requeued' on one bash -c "scontrol show job $job | grep -q 'Restarts=1'"
grep -q 'ended with status 75' "$shared/job.log" || fail 'it has made no checkpoint when it was preempted'
# Slurm would wait for two minutes.
on one scontrol update "JobId=$job" StartTime=now || fail 'it cannot be begun at once'
await 'it does not go on at the other node' on one bash -c "scontrol show job $job | grep -q 'BatchHost=two'"
await 'it does not finish' test -e "$store/finished"
seq 1 400 | awk '{ total += $1; print $1, total }' >"$folder/expected"
diff "$folder/expected" "$store/output.log" >&2 || fail 'the result differs'
await 'Slurm does not know of its end' on one bash -c "scontrol show job $job | grep -q 'JobState=COMPLETED'"
echo 'passed: a job is preempted on one node and goes on on the other'
echo '1 passed, 0 failed'
