# A long transaction on a file, whose locks are held all the while.
rm -f base.db*
sqlite3 base.db <<'SQL'
create table t(a integer primary key, b text, c integer);
create index i on t(c);
begin immediate;
with recursive n(x) as (select 1 union all select x + 1 from n where x < 60000)
  insert into t select x, hex(x * 7919 % 100003), x * 31 % 977 from n;
select 'first', count(*), sum(c) from t;
update t set b = b || '-' || c where c % 3 = 0;
select 'second', count(*), sum(length(b)) from t;
with recursive n(x) as (select 60001 union all select x + 1 from n where x < 160000)
  insert into t select x, hex(x * 7919 % 100003), x * 31 % 977 from n;
select 'third', count(*), sum(c) from t;
delete from t where a % 7 = 0;
select 'fourth', count(*), sum(c) from t;
commit;
pragma integrity_check;
select count(*), sum(c), sum(length(b)) from t where c in (select c from t group by c having count(*) > 20);
SQL
