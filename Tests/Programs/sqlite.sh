# A long transaction on a file, whose locks are held all the while.
rm -f base.db*
{
	echo 'create table t(a integer primary key, b text, c integer);'
	echo 'create index i on t(c);'
	echo 'begin immediate;'
	for i in $(seq 16); do
		echo "with recursive n(x) as (select $((i * 20000)) union all select x + 1 from n where x < $((i * 20000 + 19999)))"
		echo '  insert into t select x, hex(x * 7919 % 100003), x * 31 % 977 from n;'
		echo "update t set b = b || '-' || c where c % 16 = $i;"
		echo ".system echo chunk $i"
		echo "select $i, count(*), sum(c), sum(length(b)) from t;"
	done
	echo 'delete from t where a % 7 = 0;'
	echo 'commit;'
	echo 'pragma integrity_check;'
	echo 'select count(*), sum(c), sum(length(b)) from t;'
} >script.sql
exec sqlite3 base.db <script.sql
