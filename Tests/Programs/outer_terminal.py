"""A terminal emulator that outlives what runs in it: outer_terminal.py run|give NAME ROWS COLUMNS COMMAND...

Makes a pseudo-terminal. "run" starts COMMAND in a session of its own with it, "give" runs COMMAND with its slave as
descriptor 9. What comes out of the terminal is appended to NAME.out; what is written to the FIFO NAME.in is typed.
"""
import fcntl, os, select, struct, sys, termios

how, name, rows, columns, command = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]
master, slave = os.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
os.mkfifo(name + ".in")
typed = os.open(name + ".in", os.O_RDWR)
pid = os.fork()
if pid == 0:
    if how == "run":
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for number in (0, 1, 2):
            os.dup2(slave, number)
        os.closerange(3, 100)
    else:
        os.dup2(slave, 9)
        log = os.open(name + ".log", os.O_CREAT | os.O_WRONLY, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.closerange(3, 9)
        os.closerange(10, 100)
    os.execvp(command[0], command)
if how == "give":
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
else:
    print(pid, flush=True)
os.close(slave)
while True:
    ready, _, _ = select.select([master, typed], [], [])
    if typed in ready:
        os.write(master, os.read(typed, 4096))
    if master in ready:
        try:
            seen = os.read(master, 4096)
        except OSError:
            break
        with open(name + ".out", "ab") as out:
            out.write(seen)
