// Every option of CRIU 4.2 (criu(8)) and those of Apus itself. It is data: what the options do stands in the verbs.
// docs/command-line.md shows the same table; a test compares the two.

extension CommandOption {
    /// All options, CRIU's first.
    public static let all: [CommandOption] = common + process + resources + cgroups + mounts + network + pages + own

    private static let dumps: Verb.Selection = .init(.dump, .preDump)
    private static let engines: Verb.Selection = .init(.dump, .preDump, .restore)
    /// Those of a dump that decide what can be dumped, and those that are not built, which a dump would refuse, mean
    /// something to `explain`, too.
    private static let judged = engines.union(.init(.explain))
    /// What a restore, the check of its images and a migration take.
    private static let examined = judged.union(.init(.check, .migrate))
    private static let restores: Verb.Selection = .init(.restore, .check)
    private static let judgedDumps = dumps.union(.init(.explain))
    private static let servers: Verb.Selection = .init(.pageServer, .lazyPages, .service)

    /// Options of every verb.
    private static let common: [CommandOption] = [
        .init("help", "h", does: "Show help"),
        .init("version", "V", does: "Show the version"),
        .init(
            "verbosity", "v", .optional("level"), repetition: .counted, does: "How much is logged: 0 nothing to 4 all"),
        .init("log-file", "o", .required("file"), does: "Write the log to this file, relative to the work directory"),
        .init("log-pid", status: .notBuilt, does: "Write a log file for each process"),
        .init("images-dir", "D", .required("dir"), does: "Where the image files are"),
        .init("work-dir", "W", .required("dir"), does: "Where logs, statistics and pid files go"),
        .init(
            "pidfile", nil, .required("file"), for: servers.union(.init(.restore, .run)),
            does: "Write the pid of the restored root, of the program or of the service here"),
        .init(
            "status-fd", nil, .required("fd"), for: servers.union(.init(.dump, .restore)),
            does: "Write a zero byte to this descriptor and close it when ready"),
        .init("display-stats", for: engines, does: "Print statistics at the end"),
        .init("config", nil, .required("file"), does: "Read options from this file as well"),
        .init("no-default-config", does: "Do not read the default configuration files"),
        .init("unprivileged", status: .notBuilt, does: "Do what can be done with CAP_CHECKPOINT_RESTORE alone"),
        .init("libdir", "L", .required("dir"), status: .notBuilt, does: "Where plug-ins are"),
        .init(
            "daemon", for: servers, status: .notBuilt, does: "Run in the background"),
    ]

    /// What becomes of the processes, and who gets hold of them.
    private static let process: [CommandOption] = [
        .init(
            "tree", "t", .required("pid"), for: .init(.dump, .preDump, .exec, .explain),
            does: "The root of the process tree"),
        .init("leave-running", "R", for: .init(.dump), does: "Let the processes run on after the dump"),
        .init("leave-stopped", "s", for: .init(.dump, .restore), does: "Leave the processes stopped at the end"),
        .init("restore-detached", "d", for: .init(.restore), does: "Leave once the tree runs"),
        .init("restore-sibling", "S", for: .init(.restore), does: "Make the root a child of the caller"),
        .init("exec-cmd", for: .init(.restore), does: "Become the command after -- once the tree runs"),
        .init("shell-job", "j", for: examined, does: "The tree uses a terminal and a session from outside of it"),
        .init(
            "action-script", nil, .required("file"), repetition: .collected, for: engines,
            does: "Run this script at each stage"),
        .init(
            "timeout", nil, .required("seconds"), for: dumps.union(.init(.migrate)),
            does: "How long the whole dump may take, or the tree stand still in a migration; 0 for ever"),
        .init(
            "freeze-cgroup", nil, .required("dir"), for: judgedDumps, status: .notBuilt, does: "Freeze by this cgroup"),
        .init(
            "lsm-profile", nil, .required("type:name"), for: restores,
            does: "What the tasks run as: apparmor:NAME, selinux:LABEL"),
        .init(
            "lsm-mount-context", nil, .required("context"), for: .init(.restore), status: .notBuilt,
            does: "Mount context"),
        .init(
            "cpu-cap", nil, .optional("cap"), for: .init(.dump, .preDump, .restore, .check, .cpuinfo, .migrate),
            status: .someOf(["all", "cpu", "fpu", "ins", "none"]),
            does: "With none, the processor may lack instructions that the one of the dump had"),
        .init(
            "weak-sysctls", for: .init(.restore), status: .neutral("no sysctl is carried"), does: "Skip absent sysctls"),
        .init(
            "allow-uprobes", for: .init(.dump, .restore, .explain), status: .notBuilt,
            does: "Allow tasks that have uprobes"),
        .init(
            "feature", nil, .required("name"), repetition: .collected, for: .init(.check),
            does: "Check one feature alone"),
        .init("extra", for: .init(.check), does: "Fail also over features that only some programs need"),
        .init(
            "experimental", for: .init(.check), status: .neutral("no feature that is probed is experimental"),
            does: "Also require what is experimental"),
        .init(
            "all", for: .init(.check, .recover),
            does: "Of check the same as --extra; of recover: remove all locks of the network that dumps have left"),
        .init(
            "ms", for: .init(.check), status: .neutral("every feature probed is in released kernels"),
            does: "Do not check what no released kernel has"),
    ]

    /// Files and other resources.
    private static let resources: [CommandOption] = [
        .init(
            "external", nil, .required("key[:value]"), repetition: .collected, for: examined,
            does: "A resource that lies outside of the tree"),
        .init(
            "inherit-fd", nil, .required("fd[N]:key"), repetition: .collected, for: restores,
            does: "A descriptor of the caller that stands in for a resource"),
        .init(
            "evasive-devices", for: judgedDumps.union(.init(.migrate)),
            does: "Use any path to a device whose own cannot be used"),
        .init("file-locks", "l", for: examined.union(.init(.run)), does: "Carry file locks"),
        .init(
            "ext-unix-sk", "x", .optional("inode"), repetition: .collected, for: examined,
            does: "Allow outside unix sockets"),
        .init("link-remap", for: examined, does: "Give files that have lost a name, and have others, one more"),
        .init(
            "ghost-limit", nil, .required("size"), for: judgedDumps.union(.init(.migrate)),
            does: "The largest deleted file to carry (1G)"),
        .init(
            "ghost-fiemap", for: judgedDumps, status: .neutral("the holes of a file are found by SEEK_DATA"),
            does: "Find the holes of deleted files by fiemap"),
        .init("force-irmap", for: judged, status: .notBuilt, does: "Resolve inotify targets by a scan"),
        .init(
            "irmap-scan-path", nil, .required("dir"), repetition: .collected, for: judged, status: .notBuilt,
            does: "Where that scan looks"),
        .init(
            "file-validation", nil, .required("mode"), for: examined, status: .among(["filesize", "buildid"]),
            does: "Compare all files by size, or by build id where they have one"),
        .init(
            "skip-file-rwx-check", for: .init(.restore), status: .notBuilt, does: "Do not compare the modes of files"),
    ]

    private static let cgroups: [CommandOption] = [
        .init(
            "manage-cgroups", nil, .optional("mode"), for: examined, status: .only(["ignore"]),
            does: "How to treat cgroups"),
        .init(
            "cgroup-root", nil, .required("[controller:]path"), repetition: .collected, for: judged,
            status: .notBuilt, does: "Put the cgroups below this one"),
        .init(
            "cgroup-props", nil, .required("text"), for: judged, status: .notBuilt, does: "Which properties to carry"),
        .init("cgroup-props-file", nil, .required("file"), for: judged, status: .notBuilt, does: "The same in a file"),
        .init(
            "cgroup-dump-controller", nil, .required("name"), repetition: .collected, for: judged,
            status: .notBuilt, does: "Which controllers to carry"),
        .init(
            "cgroup-yard", nil, .required("dir"), for: judged, status: .notBuilt,
            does: "Where the controllers are mounted"),
    ]

    private static let mounts: [CommandOption] = [
        .init("root", "r", .required("dir"), for: judged, status: .notBuilt, does: "The root of the mount namespace"),
        .init(
            "ext-mount-map", "M", .required("key:value"), repetition: .collected, for: judged, status: .notBuilt,
            does: "Mounts from outside"),
        .init(
            "skip-mnt", nil, .required("dir"), repetition: .collected, for: judged, status: .notBuilt,
            does: "Leave this mount out"),
        .init(
            "enable-fs", nil, .required("types"), repetition: .collected, for: judged, status: .notBuilt,
            does: "File systems to take as they are"),
        .init("enable-external-sharing", for: judged, status: .notBuilt, does: "Allow sharing with mounts outside"),
        .init("enable-external-masters", for: judged, status: .notBuilt, does: "Allow following mounts outside"),
        .init(
            "mntns-compat-mode", for: judged, status: .neutral("no mount namespace is carried"),
            does: "Restore mounts the older way"),
        .init(
            "join-ns", "J", .required("ns:file"), repetition: .collected, for: .init(.restore), status: .notBuilt,
            does: "Restore into this namespace"),
        .init(
            "empty-ns", nil, .required("ns"), repetition: .collected, for: judged, status: .notBuilt,
            does: "Make this namespace without its content"),
        .init(
            "namespaces", "n", .required("names"), for: judged, status: .notBuilt,
            does: "Namespaces to carry (obsolete)"),
    ]

    private static let network: [CommandOption] = [
        .init("tcp-established", for: examined.union(.init(.run)), does: "Carry established TCP connections"),
        .init("tcp-close", for: examined.union(.init(.run)), does: "Restore TCP connections closed"),
        .init("skip-in-flight", for: examined, does: "Break off TCP connections that wait to be accepted"),
        .init(
            "network-lock", nil, .required("method"), for: examined,
            status: .among(["nftables", "iptables", "skip"]), does: "How the network is held off"),
        .init(
            "veth-pair", nil, .required("in=out"), repetition: .collected, for: .init(.restore), status: .notBuilt,
            does: "Names of network devices"),
        .init("address", nil, .required("address"), status: .notBuilt, does: "Address of the page server or service"),
        .init("port", nil, .required("port"), status: .notBuilt, does: "Port of the page server"),
        .init("ps-socket", nil, .required("fd"), status: .notBuilt, does: "Connected socket of the page server"),
        .init("tls", status: .notBuilt, does: "Encrypt the traffic with the page server"),
        .init("tls-cacert", nil, .required("file"), status: .notBuilt, does: "Certificate of the authority"),
        .init("tls-cacrl", nil, .required("file"), status: .notBuilt, does: "Revoked certificates"),
        .init("tls-cert", nil, .required("file"), status: .notBuilt, does: "Own certificate"),
        .init("tls-key", nil, .required("file"), status: .notBuilt, does: "Own key"),
        .init("tls-no-cn-verify", status: .notBuilt, does: "Do not compare the peer's name"),
    ]

    /// How memory is carried.
    private static let pages: [CommandOption] = [
        .init("track-mem", for: judgedDumps, status: .notBuilt, does: "Track which memory changes from now on"),
        .init(
            "prev-images-dir", nil, .required("dir"), for: judgedDumps, status: .notBuilt,
            does: "The images that these build upon"),
        .init("auto-dedup", status: .notBuilt, does: "Remove from the parent images what is there again"),
        .init("page-server", for: judgedDumps, status: .notBuilt, does: "Send the memory to a page server"),
        .init(
            "lazy-pages", for: .init(.dump, .restore, .explain), status: .notBuilt,
            does: "Bring memory over when it is asked for"
        ),
        .init(
            "pre-dump-mode", nil, .required("mode"), for: .init(.preDump), status: .notBuilt, does: "How memory is read"
        ),
        .init("stream", status: .notBuilt, does: "Write or read the images as a stream"),
    ]

    /// Options that CRIU does not have.
    private static let own: [CommandOption] = [
        .init(
            "json", for: .init(.dump, .restore, .check, .show, .explain, .gc, .migrate, .receive, .recover, .attach),
            origin: .apus,
            does: "Print for programs, as JSON"),
        .init(
            "pid-policy", nil, .required("policy"), for: restores.union(.init(.migrate)),
            status: .among(["exact", "new-namespace"]),
            origin: .apus, does: "Where pids are taken: exact refuses, new-namespace makes a pid namespace"),
        .init(
            "continue-clocks", for: restores.union(.init(.migrate)), origin: .apus,
            does: "Let the monotonic clocks go on where they were, in a time namespace"),
        .init(
            "bundle", nil, .required("file"), for: .init(.dump, .restore, .check), origin: .apus,
            does: "The images as one file, or - for the standard output or input"),
        .init(
            "compress", nil, .required("how"), for: .init(.dump, .migrate), origin: .apus,
            does:
                "How a bundle, or what a migration sends, is compressed: none, lz4, zstd or zstd:LEVEL; of migrations also auto"
        ),
        .init(
            "overwrite", for: .init(.dump), origin: .apus,
            does: "Replace a bundle that is there, once the new one is whole"),
        .init(
            "encrypt-to", nil, .required("recipient"), repetition: .collected, for: .init(.dump), origin: .apus,
            does: "Encrypt the bundle to this key of age"),
        .init(
            "identity", nil, .required("file"), repetition: .collected, for: restores.union(.init(.show)),
            origin: .apus,
            does: "The keys of age that open a bundle"),
        .init(
            "passphrase-file", nil, .required("file"), for: .init(.dump, .restore, .check, .show), origin: .apus,
            does: "Encrypt or open the bundle by the passphrase in this file"),
        .init(
            "store", nil, .required("dir"), for: .init(.run), origin: .apus,
            does: "Where the checkpoints and the output of a program are kept"),
        .init(
            "every", nil, .required("time"), for: .init(.run), origin: .apus, does: "Make a checkpoint so often: 10m"),
        .init("keep", nil, .required("number"), for: .init(.run), origin: .apus, does: "How many checkpoints are kept"),
        .init(
            "pid-namespace", for: .init(.run), origin: .apus, does: "Give the program a pid namespace of its own"),
        .init("fresh", for: .init(.run), origin: .apus, does: "Forget what is in the store and begin anew"),
        .init(
            "cpu-level", nil, .required("level"), for: .init(.run),
            status: .among(["x86-64-v2", "x86-64-v3", "x86-64-v4"]), origin: .apus,
            does: "Keep the C library from using what processors of this level lack"),
        .init(
            "exact-terminals", for: .init(.restore), origin: .apus,
            does: "Refuse where the number of a terminal (/dev/pts/N) is taken, in place of giving it another"),
        .init(
            "ship", nil, .required("which"), for: .init(.dump, .migrate), status: .among(["auto", "all", "none"]),
            origin: .apus,
            does: "Take files along: auto what is mapped or read, all what is written to as well, none"),
        .init(
            "file", nil, .required("pattern=policy"), repetition: .collected,
            for: .init(.dump, .restore, .check, .migrate), origin: .apus,
            does: "How far files may differ: exact, build-id, size, grown, ignore, ship"),
        .init(
            "overwrite-files", for: restores.union(.init(.migrate)), origin: .apus,
            does: "Replace files that the tree writes to by the copies in the images"),
        .init(
            "state-dir", nil, .required("dir"),
            for: .init(.restore, .check, .gc, .migrate, .receive, .recover, .attach),
            origin: .apus,
            does: "Where copies of files and records of migrations are kept (/var/lib/apus)"),
        .init(
            "ssh-command", nil, .required("command"), for: .init(.migrate), origin: .apus,
            does: "The program that reaches the other host, with its arguments, in place of ssh"),
        .init(
            "remote-apus", nil, .required("path"), for: .init(.migrate), origin: .apus,
            does: "The program to call on the other host (apus)"),
        .init(
            "downtime-limit", nil, .required("ms"), for: .init(.migrate), origin: .apus,
            does: "For how long the tree may stand still, in milliseconds (300)"),
        .init(
            "rounds", nil, .required("count"), for: .init(.migrate), origin: .apus,
            does: "How often memory is sent while the tree runs; 0 stops the tree first (30)"),
        .init(
            "postcopy", nil, .required("when"), for: .init(.migrate), status: .among(["never", "auto", "always"]),
            origin: .apus,
            does: "Let memory follow when the tree runs there: where the pause would be too long (auto), always, never"),
        .init(
            "go-back", nil, .required("uuid"), for: .init(.recover), origin: .apus,
            does: "Continue the original of a migration whose memory has not all come; what runs there is ended"),
        .init(
            "max-bandwidth", nil, .required("size"), for: .init(.migrate), origin: .apus,
            does: "How much is sent for memory each second while the tree runs, as 100M"),
        .init(
            "move-address", nil, .required("address"), repetition: .collected, for: .init(.migrate), origin: .apus,
            does: "An address of IP that moves along: ADDRESS[/LENGTH]@DEVICE[:DEVICE-THERE]"),
        .init(
            "report", nil, .required("file"), for: .init(.migrate), origin: .apus,
            does: "Write a page with charts about the migration, for a browser"),
        .init(
            "channels", nil, .required("count"), for: .init(.migrate), origin: .apus,
            does: "Over how many connections memory is sent (1)"),
        .init(
            "throttle", for: .init(.migrate), origin: .apus,
            does: "Slow the tree down where it writes faster than its memory can be sent"),
        .init(
            "detach", for: .init(.migrate), origin: .apus,
            does: "A new terminal takes the place of one from outside there, which `apus attach` joins"),
        .init(
            "attach", for: .init(.migrate), origin: .apus,
            does: "The same, and join it from this terminal once the tree runs there"),
        .init("list", for: .init(.attach), origin: .apus, does: "Show the terminals that are kept here"),
        .init("take", for: .init(.attach), origin: .apus, does: "Whoever is joined to the terminal now has to go"),
        .init(
            "keep-original", for: .init(.migrate), origin: .apus,
            does: "Keep the original, stopped, when the tree runs on the other host"),
        .init(
            "to", nil, .required("way"), for: .init(.migrate), status: .among(["ssh", "tls", "unix"]), origin: .apus,
            does: "How the other host is reached: by ssh, or where `apus receive --listen` listens, tls or unix"),
        .init(
            "pair", for: .init(.migrate), origin: .apus,
            does: "Pair this host with one that trees are to go to: reads the token that it has printed"),
        .init(
            "relay", for: .init(.migrate), origin: .apus,
            does: "Join standard input and output with another host, as ssh does; started by --to"),
        .init(
            "stdio", for: .init(.receive), origin: .apus, does: "Speak over standard input and output"),
        .init(
            "listen", nil, .required("address"), for: .init(.receive), origin: .apus,
            does: "Take trees of paired hosts over TLS, at ADDRESS or ADDRESS:PORT, or at a Unix socket, /PATH"),
        .init(
            "init", for: .init(.receive), origin: .apus,
            does: "Make the key of this host, and print a token that pairs one other host with it"),
        .init(
            "keeper", for: .init(.receive), origin: .apus,
            does: "Watch over memory that follows a tree; started by --stdio"),
        .init(
            "connection", for: .init(.receive), origin: .apus,
            does: "Serve the connection of TLS that is the standard input; started by --listen"),
        .init(
            "kept-terminal", for: .init(.receive), origin: .apus,
            does: "Take a tree with the terminal that is descriptor 3; started by another `apus receive`"),
        .init(
            "own-pids", for: .init(.receive), origin: .apus,
            does: "Take a tree as the init of a pid namespace; started by another `apus receive`"),
        .init("dry-run", for: .init(.restore), origin: .apus, does: "Print the plan and make nothing"),
        .init(
            "tcp-rebind", nil, .required("old=new"), repetition: .collected, for: restores, origin: .apus,
            does: "Bind sockets without a connection to another address, ADDRESS or ADDRESS:PORT"),
    ]
}
