# A web server with two workers behind a Unix socket, and clients in the same tree that ask all the time: each gets
# every answer, and the access log has a line for each.
mkdir -p logs temp site
seq 200000 >site/numbers
echo hello >site/index.html
cat >nginx.conf <<END
daemon off;
user root;
worker_processes 2;
pid nginx.pid;
error_log logs/error.log;
events { worker_connections 64; }
http {
	access_log logs/access.log;
	client_body_temp_path temp/body;
	proxy_temp_path temp/proxy;
	fastcgi_temp_path temp/fastcgi;
	uwsgi_temp_path temp/uwsgi;
	scgi_temp_path temp/scgi;
	sendfile on;
	server {
		listen unix:$PWD/nginx.socket;
		root $PWD/site;
		location = /slow { alias $PWD/site/numbers; limit_rate 300k; }
	}
}
END
nginx -p "$PWD" -c "$PWD/nginx.conf" &
server=$!
until curl -s -o /dev/null --unix-socket nginx.socket http://site/; do sleep 0.1; done
# The line is written after the answer.
until [ -s logs/access.log ]; do sleep 0.05; done
: >logs/access.log
curl -s --unix-socket nginx.socket http://site/slow >slow &
slow=$!
for i in $(seq 60); do
	[ "$(curl -s --unix-socket nginx.socket http://site/)" = hello ] && echo "answer $i" || echo "no answer $i: $?"
	sleep 0.05
done
wait $slow
echo "slow $?"
cmp slow site/numbers && echo "the same"
curl -s --unix-socket nginx.socket http://site/numbers | md5sum
kill -QUIT $server
wait $server
echo "server $?"
echo "$(wc -l <logs/access.log) lines, $(grep -c ' 200 ' logs/access.log) of them good"
grep -v -E 'notice' logs/error.log
