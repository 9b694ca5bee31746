# A database whose reads and writes go through io_uring, with a transaction open and others that come and go; clients and
# server are one tree.
mkdir base
chown mysql base
as="setpriv --reuid mysql --regid mysql --clear-groups"
$as mariadb-install-db --no-defaults --datadir="$PWD/base" --auth-root-authentication-method=normal >/dev/null 2>&1
$as /usr/sbin/mariadbd --no-defaults --datadir="$PWD/base" --tmpdir="$PWD/base" --socket="$PWD/base/s" --skip-networking \
	--innodb-buffer-pool-size=16M --innodb-use-native-aio=1 >server.log 2>&1 &
server=$!
sql() { mariadb --no-defaults -S "$PWD/base/s" -u root -N -B "$@"; }
until sql -e 'select 1' >/dev/null 2>&1; do sleep 0.1; done
grep -o 'Using io_uring' server.log
sql -e 'create database bank; create table bank.account(id int primary key, balance int); insert into bank.account select seq, 100 from seq_1_to_100'
# A transaction that stays open over all the dumps, and is committed in the end.
(
	echo 'begin;'
	for i in $(seq 40); do
		echo "update bank.account set balance = balance - $i where id = 1; update bank.account set balance = balance + $i where id = 2;"
		echo "select concat('held ', $i, ' ', sum(balance)) from bank.account;"
		echo "do sleep(0.08);"
	done
	echo 'commit;'
) | sql >held &
held=$!
for i in $(seq 30); do
	sql bank -e "begin; update account set balance = balance - 1 where id = $i + 2; do sleep(0.02); update account set balance = balance + 1 where id = $i + 50; commit" ||
		echo "transaction $i failed"
	echo "transaction $i"
done
wait $held
echo "held $?"
echo "$(grep -c '^held [0-9]* 10000$' held) of $(wc -l <held) sums are right"
sql bank -e 'select count(*), sum(balance), min(balance), max(balance) from account; check table account'
kill -TERM $server
wait $server
echo "server $?"
grep -E '\[ERROR\]' server.log
