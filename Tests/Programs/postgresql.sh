# A database with a transaction open and others that come and go; clients and server are one tree.
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
mkdir base socket
chown postgres base socket
as="setpriv --reuid postgres --regid postgres --clear-groups"
$as "$bin/initdb" --no-sync -A trust -D "$PWD/base" >/dev/null 2>&1
$as "$bin/postgres" -D "$PWD/base" -k "$PWD/socket" -c listen_addresses= -c fsync=off -c max_connections=20 >server.log 2>&1 &
server=$!
sql() { $as "$bin/psql" -h "$PWD/socket" -d postgres -X -q -t -A "$@"; }
until sql -c 'select 1' >/dev/null 2>&1; do sleep 0.1; done
sql -c 'create table account(id int primary key, balance int); insert into account select n, 100 from generate_series(1, 100) n'
# A transaction that stays open over all the dumps, and is committed in the end.
(
	echo 'begin;'
	for i in $(seq 40); do
		echo "update account set balance = balance - $i where id = 1; update account set balance = balance + $i where id = 2;"
		echo "select 'held ' || $i || ' ' || sum(balance) from account;"
		echo "select from pg_sleep(0.08);"
	done
	echo 'commit;'
) | sql -f - >held &
held=$!
for i in $(seq 30); do
	sql -c "begin; update account set balance = balance - 1 where id = $i + 2; select pg_sleep(0.02); update account set balance = balance + 1 where id = $i + 50; commit" >/dev/null ||
		echo "transaction $i failed"
	echo "transaction $i"
done
wait $held
echo "held $?"
echo "$(grep -c '^held [0-9]* 10000$' held) of $(wc -l <held) sums are right"
sql -c 'select count(*), sum(balance), min(balance), max(balance) from account'
kill -TERM $server
wait $server
echo "server $?"
grep -E 'FATAL|PANIC|ERROR' server.log | grep -v 'is starting up'
