function __apus_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __apus_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __apus_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __apus_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __apus_parse_tokens -S
    set -l unparsed_tokens (__apus_tokens -pc)
    switch $unparsed_tokens[1]
    case 'apus'
        __apus_parse_subcommand 0 'h/help'
        switch $unparsed_tokens[1]
        case 'dump'
            __apus_parse_subcommand 0 'D/images-dir=' 'W/work-dir=' 'o/log-file=' 'v/verbosity=' 'config=' 'no-default-config' 'json' 'V/version' 'action-script=+' 'display-stats' 'j/shell-job' 'external=+' 'l/file-locks' 'link-remap' 'tcp-established' 'tcp-close' 'skip-in-flight' 'network-lock=' 'x/ext-unix-sk' 'manage-cgroups=' 'evasive-devices' 'ghost-limit=' 't/tree=' 'file=+' 'file-validation=' 'cpu-cap=' 'ship=' 'R/leave-running' 's/leave-stopped' 'bundle=' 'compress=' 'overwrite' 'encrypt-to=+' 'passphrase-file=' 'timeout=' 'status-fd=' 'h/help'
        case 'restore'
            __apus_parse_subcommand -r 1 'D/images-dir=' 'W/work-dir=' 'o/log-file=' 'v/verbosity=' 'config=' 'no-default-config' 'json' 'V/version' 'action-script=+' 'display-stats' 'j/shell-job' 'external=+' 'l/file-locks' 'link-remap' 'tcp-established' 'tcp-close' 'skip-in-flight' 'network-lock=' 'x/ext-unix-sk' 'manage-cgroups=' 'file=+' 'file-validation=' 'cpu-cap=' 'tcp-rebind=+' 'overwrite-files' 'inherit-fd=+' 'pid-policy=' 'continue-clocks' 'lsm-profile=' 'state-dir=' 'd/restore-detached' 'S/restore-sibling' 's/leave-stopped' 'exec-cmd' 'status-fd=' 'pidfile=' 'exact-terminals' 'dry-run' 'bundle=' 'identity=+' 'passphrase-file=' 'h/help'
        case 'check'
            __apus_parse_subcommand 1 'D/images-dir=' 'W/work-dir=' 'o/log-file=' 'v/verbosity=' 'config=' 'no-default-config' 'json' 'V/version' 'j/shell-job' 'external=+' 'l/file-locks' 'link-remap' 'tcp-established' 'tcp-close' 'skip-in-flight' 'network-lock=' 'x/ext-unix-sk' 'manage-cgroups=' 'file=+' 'file-validation=' 'cpu-cap=' 'tcp-rebind=+' 'overwrite-files' 'inherit-fd=+' 'pid-policy=' 'continue-clocks' 'lsm-profile=' 'state-dir=' 'bundle=' 'identity=+' 'passphrase-file=' 'feature=+' 'extra' 'all' 'h/help'
        case 'show'
            __apus_parse_subcommand 1 'D/images-dir=' 'W/work-dir=' 'o/log-file=' 'v/verbosity=' 'config=' 'no-default-config' 'json' 'V/version' 'identity=+' 'passphrase-file=' 'h/help'
        case 'explain'
            __apus_parse_subcommand 1 'D/images-dir=' 'W/work-dir=' 'o/log-file=' 'v/verbosity=' 'config=' 'no-default-config' 'json' 'V/version' 'j/shell-job' 'external=+' 'l/file-locks' 'link-remap' 'tcp-established' 'tcp-close' 'skip-in-flight' 'network-lock=' 'x/ext-unix-sk' 'manage-cgroups=' 'evasive-devices' 'ghost-limit=' 't/tree=' 'h/help'
        case 'run'
            __apus_parse_subcommand -r 1 'D/images-dir=' 'W/work-dir=' 'o/log-file=' 'v/verbosity=' 'config=' 'no-default-config' 'json' 'V/version' 'store=' 'every=' 'keep=' 'fresh' 'cpu-level=' 'pid-namespace' 'pidfile=' 'l/file-locks' 'tcp-established' 'tcp-close' 'h/help'
        case 'migrate'
            __apus_parse_subcommand 2 'D/images-dir=' 'W/work-dir=' 'o/log-file=' 'v/verbosity=' 'config=' 'no-default-config' 'json' 'V/version' 'j/shell-job' 'external=+' 'l/file-locks' 'link-remap' 'tcp-established' 'tcp-close' 'skip-in-flight' 'network-lock=' 'x/ext-unix-sk' 'manage-cgroups=' 'evasive-devices' 'ghost-limit=' 'file=+' 'file-validation=' 'cpu-cap=' 'state-dir=' 'pid-policy=' 'to=' 'pair' 'relay' 'ssh-command=' 'remote-apus=' 'ship=' 'downtime-limit=' 'rounds=' 'postcopy=' 'max-bandwidth=' 'compress=' 'move-address=+' 'report=' 'channels=' 'throttle' 'detach' 'attach' 'keep-original' 'timeout=' 'overwrite-files' 'continue-clocks' 'h/help'
        case 'receive'
            __apus_parse_subcommand 0 'D/images-dir=' 'W/work-dir=' 'o/log-file=' 'v/verbosity=' 'config=' 'no-default-config' 'json' 'V/version' 'state-dir=' 'stdio' 'listen=' 'init' 'keeper' 'connection' 'kept-terminal' 'own-pids' 'h/help'
        case 'attach'
            __apus_parse_subcommand 1 'D/images-dir=' 'W/work-dir=' 'o/log-file=' 'v/verbosity=' 'config=' 'no-default-config' 'json' 'V/version' 'state-dir=' 'list' 'take' 'h/help'
        case 'recover'
            __apus_parse_subcommand 0 'D/images-dir=' 'W/work-dir=' 'o/log-file=' 'v/verbosity=' 'config=' 'no-default-config' 'json' 'V/version' 'state-dir=' 'all' 'go-back=' 'h/help'
        case 'gc'
            __apus_parse_subcommand 0 'D/images-dir=' 'W/work-dir=' 'o/log-file=' 'v/verbosity=' 'config=' 'no-default-config' 'json' 'V/version' 'state-dir=' 'h/help'
        case 'help'
            __apus_parse_subcommand -r 1 
        end
    end
end

function __apus_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __apus_parse_subcommand -S -a positional_count
    argparse -s r -- $argv
    set -l option_specs $argv[2..]
    set -l is_repeating_positional $_flag_r
    set -el _flag_r
    set -a commands $unparsed_tokens[1]
    set positional_index 0
    while true
        set -e unparsed_tokens[1]
        argparse -sn "$commands" $option_specs -- $unparsed_tokens 2> /dev/null
        set unparsed_tokens $argv
        set positional_index (math $positional_index + 1)
        for non_repeating_flag_or_option in $non_repeating_flags_or_options
            if set -ql "_flag_$(string replace -a - _ -- $non_repeating_flag_or_option)"
                set non_repeating_flags_or_options_absent 1
                break
            end
        end
        test (count $unparsed_tokens) -eq 0 -o \( -z "$is_repeating_positional" -a "$positional_index" -gt "$positional_count" \) && break
    end
end

function __apus_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __apus_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__apus_tokens -p)
    if test -z "$(__apus_tokens -t)"
        set -l index (count (__apus_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'apus' -f
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus" -eq 1' -fa 'dump' -d 'Write a process tree to image files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus" -eq 1' -fa 'restore' -d 'Bring a process tree back from image files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus" -eq 1' -fa 'check' -d 'Say what this kernel can do, or whether images can be restored here.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus" -eq 1' -fa 'show' -d 'Say what is in an image directory, or decode one image file.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus" -eq 1' -fa 'explain' -d 'Say what a process tree holds and whether it could be dumped.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus" -eq 1' -fa 'run' -d 'Run a program so that it can be carried, or goes on after a crash or a reboot.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus" -eq 1' -fa 'migrate' -d 'Move a running process tree to another host.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus" -eq 1' -fa 'receive' -d 'Take process trees from other hosts.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus" -eq 1' -fa 'attach' -d 'Join the terminal of a tree that has come here with --detach or --attach.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus" -eq 1' -fa 'recover' -d 'Settle migrations that ended in doubt; list and remove locks of the network.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus" -eq 1' -fa 'gc' -d 'Remove copies of files that no restored process uses any more.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" D images-dir' -s 'D' -l 'images-dir' -d 'Where the image files are.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" W work-dir' -s 'W' -l 'work-dir' -d 'Where logs, statistics and pid files go; the images directory if not given.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" log-file o' -s 'o' -l 'log-file' -d 'Write the log to this file, relative to the work directory, or else to the images directory.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" v verbosity' -s 'v' -l 'verbosity' -d 'How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" config' -l 'config' -d 'Read options from this file as well.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" no-default-config' -l 'no-default-config' -d 'Do not read the default configuration files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" json' -l 'json' -d 'Print for programs, as JSON.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" V version' -s 'V' -l 'version' -d 'Show the version.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump"' -l 'action-script' -d 'Run this script at each stage; may be given several times.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" display-stats' -l 'display-stats' -d 'Print statistics at the end.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" j shell-job' -s 'j' -l 'shell-job' -d 'The tree uses a terminal and a session from outside of it.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump"' -l 'external' -d 'A resource that lies outside of the tree, KEY or KEY:VALUE; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" file-locks l' -s 'l' -l 'file-locks' -d 'Allow file locks in the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" link-remap' -l 'link-remap' -d 'Give files that have lost a name, and have others, one more, which the restore removes.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" tcp-established' -l 'tcp-established' -d 'Allow established TCP connections in the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" tcp-close' -l 'tcp-close' -d 'Have TCP connections come back closed.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" skip-in-flight' -l 'skip-in-flight' -d 'Break off TCP connections that wait to be accepted.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" network-lock' -l 'network-lock' -d 'How the network is kept away from TCP connections meanwhile: nftables, iptables (the same) or skip.' -rfka 'nftables iptables skip'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" ext-unix-sk x' -s 'x' -l 'ext-unix-sk' -d 'Allow unix sockets whose peer lies outside of the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" manage-cgroups' -l 'manage-cgroups' -d 'How to treat cgroups; only ignore is built.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" evasive-devices' -l 'evasive-devices' -d 'Use any path to a device file whose own path cannot be used.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" ghost-limit' -l 'ghost-limit' -d 'The most to keep of a file that has lost its name.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" t tree' -s 't' -l 'tree' -d 'The root of the process tree.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump"' -l 'file' -d 'How far files may differ: exact, build-id, size, grown, ignore or ship; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" file-validation' -l 'file-validation' -d 'Compare all files by their size (filesize), or by build id where they have one (buildid).' -rfka 'filesize buildid'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" cpu-cap' -l 'cpu-cap' -d 'With none, the processor may lack instructions that the one of the dump had.' -rfka 'all cpu fpu ins none'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" ship' -l 'ship' -d 'Take files along: auto what is mapped or read, all what is written to as well, none.' -rfka 'auto all none'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" R leave-running' -s 'R' -l 'leave-running' -d 'Let the processes run on.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" leave-stopped s' -s 's' -l 'leave-stopped' -d 'Leave the processes stopped.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" bundle' -l 'bundle' -d 'The images as one file; - for the standard output or input. So does -o FILE.apus.' -rfa '(for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.\'apus\';printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" compress' -l 'compress' -d 'How a bundle is compressed: none, lz4, zstd, or zstd:LEVEL from 1 to 19.' -rfka 'none lz4 zstd'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" overwrite' -l 'overwrite' -d 'Replace a bundle that is there already, once the new one is whole.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump"' -l 'encrypt-to' -d 'Encrypt the bundle to this public key of age; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" passphrase-file' -l 'passphrase-file' -d 'Encrypt the bundle by the passphrase in the first line of this file.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" timeout' -l 'timeout' -d 'How long the whole dump may take; 0 for ever.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" status-fd' -l 'status-fd' -d 'Write a zero byte to this descriptor and close it once ready.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus dump" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" D images-dir' -s 'D' -l 'images-dir' -d 'Where the image files are.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" W work-dir' -s 'W' -l 'work-dir' -d 'Where logs, statistics and pid files go; the images directory if not given.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" log-file o' -s 'o' -l 'log-file' -d 'Write the log to this file, relative to the work directory, or else to the images directory.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" v verbosity' -s 'v' -l 'verbosity' -d 'How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" config' -l 'config' -d 'Read options from this file as well.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" no-default-config' -l 'no-default-config' -d 'Do not read the default configuration files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" json' -l 'json' -d 'Print for programs, as JSON.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" V version' -s 'V' -l 'version' -d 'Show the version.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore"' -l 'action-script' -d 'Run this script at each stage; may be given several times.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" display-stats' -l 'display-stats' -d 'Print statistics at the end.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" j shell-job' -s 'j' -l 'shell-job' -d 'The tree uses a terminal and a session from outside of it.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore"' -l 'external' -d 'A resource that lies outside of the tree, KEY or KEY:VALUE; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" file-locks l' -s 'l' -l 'file-locks' -d 'Allow file locks in the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" link-remap' -l 'link-remap' -d 'Give files that have lost a name, and have others, one more, which the restore removes.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" tcp-established' -l 'tcp-established' -d 'Allow established TCP connections in the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" tcp-close' -l 'tcp-close' -d 'Have TCP connections come back closed.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" skip-in-flight' -l 'skip-in-flight' -d 'Break off TCP connections that wait to be accepted.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" network-lock' -l 'network-lock' -d 'How the network is kept away from TCP connections meanwhile: nftables, iptables (the same) or skip.' -rfka 'nftables iptables skip'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" ext-unix-sk x' -s 'x' -l 'ext-unix-sk' -d 'Allow unix sockets whose peer lies outside of the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" manage-cgroups' -l 'manage-cgroups' -d 'How to treat cgroups; only ignore is built.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore"' -l 'file' -d 'How far files may differ: exact, build-id, size, grown, ignore or ship; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" file-validation' -l 'file-validation' -d 'Compare all files by their size (filesize), or by build id where they have one (buildid).' -rfka 'filesize buildid'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" cpu-cap' -l 'cpu-cap' -d 'With none, the processor may lack instructions that the one of the dump had.' -rfka 'all cpu fpu ins none'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore"' -l 'tcp-rebind' -d 'Bind sockets that have no connection to another address, ADDRESS or ADDRESS:PORT; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" overwrite-files' -l 'overwrite-files' -d 'Replace files that the tree writes to by the copies in the images.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore"' -l 'inherit-fd' -d 'A descriptor of the caller that stands in for a resource, fd[N]:KEY; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" pid-policy' -l 'pid-policy' -d 'The pids have to be free where it comes to (exact), or are made free by a pid namespace (new-namespace).' -rfka 'exact new-namespace'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" continue-clocks' -l 'continue-clocks' -d 'Let the monotonic clocks go on where they were, in a time namespace.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" lsm-profile' -l 'lsm-profile' -d 'What the security module has the tasks run as, apparmor:NAME or selinux:LABEL, in place of what it was.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" state-dir' -l 'state-dir' -d 'Where copies of files are kept.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" d restore-detached' -s 'd' -l 'restore-detached' -d 'Leave once the tree runs, instead of waiting for its root.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" S restore-sibling' -s 'S' -l 'restore-sibling' -d 'Make the root a child of the caller.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" leave-stopped s' -s 's' -l 'leave-stopped' -d 'Leave the restored processes stopped.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" exec-cmd' -l 'exec-cmd' -d 'Become the command after -- once the tree runs.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" status-fd' -l 'status-fd' -d 'Write a zero byte to this descriptor and close it once ready.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" pidfile' -l 'pidfile' -d 'Write the pid of the restored root into this file, relative to the work directory.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" exact-terminals' -l 'exact-terminals' -d 'Refuse where the number of a terminal (/dev/pts/N) is taken, in place of giving it another.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" dry-run' -l 'dry-run' -d 'Print the plan and make nothing.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" bundle' -l 'bundle' -d 'The images as one file; - for the standard output or input. So does -o FILE.apus.' -rfa '(for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.\'apus\';printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore"' -l 'identity' -d 'A file with the keys of age that open the bundle; may be given several times.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" passphrase-file' -l 'passphrase-file' -d 'A file with the passphrase by which the bundle is encrypted, as its first line.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus restore" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus check" -eq 1' -F
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" D images-dir' -s 'D' -l 'images-dir' -d 'Where the image files are.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" W work-dir' -s 'W' -l 'work-dir' -d 'Where logs, statistics and pid files go; the images directory if not given.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" log-file o' -s 'o' -l 'log-file' -d 'Write the log to this file, relative to the work directory, or else to the images directory.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" v verbosity' -s 'v' -l 'verbosity' -d 'How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" config' -l 'config' -d 'Read options from this file as well.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" no-default-config' -l 'no-default-config' -d 'Do not read the default configuration files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" json' -l 'json' -d 'Print for programs, as JSON.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" V version' -s 'V' -l 'version' -d 'Show the version.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" j shell-job' -s 'j' -l 'shell-job' -d 'The tree uses a terminal and a session from outside of it.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check"' -l 'external' -d 'A resource that lies outside of the tree, KEY or KEY:VALUE; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" file-locks l' -s 'l' -l 'file-locks' -d 'Allow file locks in the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" link-remap' -l 'link-remap' -d 'Give files that have lost a name, and have others, one more, which the restore removes.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" tcp-established' -l 'tcp-established' -d 'Allow established TCP connections in the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" tcp-close' -l 'tcp-close' -d 'Have TCP connections come back closed.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" skip-in-flight' -l 'skip-in-flight' -d 'Break off TCP connections that wait to be accepted.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" network-lock' -l 'network-lock' -d 'How the network is kept away from TCP connections meanwhile: nftables, iptables (the same) or skip.' -rfka 'nftables iptables skip'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" ext-unix-sk x' -s 'x' -l 'ext-unix-sk' -d 'Allow unix sockets whose peer lies outside of the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" manage-cgroups' -l 'manage-cgroups' -d 'How to treat cgroups; only ignore is built.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check"' -l 'file' -d 'How far files may differ: exact, build-id, size, grown, ignore or ship; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" file-validation' -l 'file-validation' -d 'Compare all files by their size (filesize), or by build id where they have one (buildid).' -rfka 'filesize buildid'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" cpu-cap' -l 'cpu-cap' -d 'With none, the processor may lack instructions that the one of the dump had.' -rfka 'all cpu fpu ins none'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check"' -l 'tcp-rebind' -d 'Bind sockets that have no connection to another address, ADDRESS or ADDRESS:PORT; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" overwrite-files' -l 'overwrite-files' -d 'Replace files that the tree writes to by the copies in the images.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check"' -l 'inherit-fd' -d 'A descriptor of the caller that stands in for a resource, fd[N]:KEY; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" pid-policy' -l 'pid-policy' -d 'The pids have to be free where it comes to (exact), or are made free by a pid namespace (new-namespace).' -rfka 'exact new-namespace'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" continue-clocks' -l 'continue-clocks' -d 'Let the monotonic clocks go on where they were, in a time namespace.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" lsm-profile' -l 'lsm-profile' -d 'What the security module has the tasks run as, apparmor:NAME or selinux:LABEL, in place of what it was.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" state-dir' -l 'state-dir' -d 'Where copies of files are kept.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" bundle' -l 'bundle' -d 'The images as one file; - for the standard output or input. So does -o FILE.apus.' -rfa '(for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.\'apus\';printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check"' -l 'identity' -d 'A file with the keys of age that open the bundle; may be given several times.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" passphrase-file' -l 'passphrase-file' -d 'A file with the passphrase by which the bundle is encrypted, as its first line.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check"' -l 'feature' -d 'Check this feature alone and answer by the exit status; may be given several times.' -rfka 'ptrace_seize seccomp_suspend seccomp_filters ptrace_get_rseq_conf breakpoints clone3_set_tid pidfd_open pidfd_getfd process_vm_readv kcmp set_robust_list proc_children set_mm_map timer_cr_ids loginuid compat_cr can_map_vdso pagemap_scan pagemap_scan_guard_pages madv_guard mem_dirty_track uffd uffd-noncoop uffd_wp_async map_files anon_vma_name aio_remap overlayfs_maps memfd memfd_exec memfd_hugetlb close_range timerfd fdinfo_lock tun autofs userns cgroupns timens external_net_ns move_mount_set_group sk_ns sk_unix_file kernel_memory net_diag_raw tcp_half_closed ipv6_freebind nsid link_nsid newifindex nftables iptables has_ipt_legacy'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" extra' -l 'extra' -d 'Fail also over features that only some programs need.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" all' -l 'all' -d 'The same as --extra.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus check" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'apus' -n '__apus_should_offer_completions_for_positional "apus show" -eq 1' -F
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus show" D images-dir' -s 'D' -l 'images-dir' -d 'Where the image files are.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus show" W work-dir' -s 'W' -l 'work-dir' -d 'Where logs, statistics and pid files go; the images directory if not given.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus show" log-file o' -s 'o' -l 'log-file' -d 'Write the log to this file, relative to the work directory, or else to the images directory.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus show" v verbosity' -s 'v' -l 'verbosity' -d 'How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus show" config' -l 'config' -d 'Read options from this file as well.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus show" no-default-config' -l 'no-default-config' -d 'Do not read the default configuration files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus show" json' -l 'json' -d 'Print for programs, as JSON.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus show" V version' -s 'V' -l 'version' -d 'Show the version.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus show"' -l 'identity' -d 'A file with the keys of age that open the bundle; may be given several times.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus show" passphrase-file' -l 'passphrase-file' -d 'A file with the passphrase by which the bundle is encrypted, as its first line.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" D images-dir' -s 'D' -l 'images-dir' -d 'Where the image files are.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" W work-dir' -s 'W' -l 'work-dir' -d 'Where logs, statistics and pid files go; the images directory if not given.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" log-file o' -s 'o' -l 'log-file' -d 'Write the log to this file, relative to the work directory, or else to the images directory.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" v verbosity' -s 'v' -l 'verbosity' -d 'How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" config' -l 'config' -d 'Read options from this file as well.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" no-default-config' -l 'no-default-config' -d 'Do not read the default configuration files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" json' -l 'json' -d 'Print for programs, as JSON.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" V version' -s 'V' -l 'version' -d 'Show the version.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" j shell-job' -s 'j' -l 'shell-job' -d 'The tree uses a terminal and a session from outside of it.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain"' -l 'external' -d 'A resource that lies outside of the tree, KEY or KEY:VALUE; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" file-locks l' -s 'l' -l 'file-locks' -d 'Allow file locks in the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" link-remap' -l 'link-remap' -d 'Give files that have lost a name, and have others, one more, which the restore removes.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" tcp-established' -l 'tcp-established' -d 'Allow established TCP connections in the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" tcp-close' -l 'tcp-close' -d 'Have TCP connections come back closed.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" skip-in-flight' -l 'skip-in-flight' -d 'Break off TCP connections that wait to be accepted.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" network-lock' -l 'network-lock' -d 'How the network is kept away from TCP connections meanwhile: nftables, iptables (the same) or skip.' -rfka 'nftables iptables skip'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" ext-unix-sk x' -s 'x' -l 'ext-unix-sk' -d 'Allow unix sockets whose peer lies outside of the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" manage-cgroups' -l 'manage-cgroups' -d 'How to treat cgroups; only ignore is built.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" evasive-devices' -l 'evasive-devices' -d 'Use any path to a device file whose own path cannot be used.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" ghost-limit' -l 'ghost-limit' -d 'The most to keep of a file that has lost its name.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" t tree' -s 't' -l 'tree' -d 'The same as the argument.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus explain" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" D images-dir' -s 'D' -l 'images-dir' -d 'Where the image files are.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" W work-dir' -s 'W' -l 'work-dir' -d 'Where logs, statistics and pid files go; the images directory if not given.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" log-file o' -s 'o' -l 'log-file' -d 'Write the log to this file, relative to the work directory, or else to the images directory.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" v verbosity' -s 'v' -l 'verbosity' -d 'How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" config' -l 'config' -d 'Read options from this file as well.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" no-default-config' -l 'no-default-config' -d 'Do not read the default configuration files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" json' -l 'json' -d 'Print for programs, as JSON.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" V version' -s 'V' -l 'version' -d 'Show the version.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" store' -l 'store' -d 'Where the checkpoints and the output of the program are kept.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" every' -l 'every' -d 'Make a checkpoint so often: 30s, 10m, 2h. The program runs on meanwhile.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" keep' -l 'keep' -d 'How many checkpoints are kept.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" fresh' -l 'fresh' -d 'Forget what is in the store and begin anew.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" cpu-level' -l 'cpu-level' -d 'Keep the C library from using what processors of this level lack.' -rfka 'x86-64-v2 x86-64-v3 x86-64-v4'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" pid-namespace' -l 'pid-namespace' -d 'Give the program a pid namespace of its own; with a store it always has one.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" pidfile' -l 'pidfile' -d 'Write the pid of the program into this file; without a store.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" file-locks l' -s 'l' -l 'file-locks' -d 'Carry file locks.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" tcp-established' -l 'tcp-established' -d 'Carry established TCP connections.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" tcp-close' -l 'tcp-close' -d 'Restore TCP connections closed.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus run" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" D images-dir' -s 'D' -l 'images-dir' -d 'Where the image files are.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" W work-dir' -s 'W' -l 'work-dir' -d 'Where logs, statistics and pid files go; the images directory if not given.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" log-file o' -s 'o' -l 'log-file' -d 'Write the log to this file, relative to the work directory, or else to the images directory.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" v verbosity' -s 'v' -l 'verbosity' -d 'How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" config' -l 'config' -d 'Read options from this file as well.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" no-default-config' -l 'no-default-config' -d 'Do not read the default configuration files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" json' -l 'json' -d 'Print for programs, as JSON.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" V version' -s 'V' -l 'version' -d 'Show the version.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" j shell-job' -s 'j' -l 'shell-job' -d 'The tree uses a terminal and a session from outside of it.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate"' -l 'external' -d 'A resource that lies outside of the tree, KEY or KEY:VALUE; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" file-locks l' -s 'l' -l 'file-locks' -d 'Allow file locks in the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" link-remap' -l 'link-remap' -d 'Give files that have lost a name, and have others, one more, which the restore removes.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" tcp-established' -l 'tcp-established' -d 'Allow established TCP connections in the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" tcp-close' -l 'tcp-close' -d 'Have TCP connections come back closed.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" skip-in-flight' -l 'skip-in-flight' -d 'Break off TCP connections that wait to be accepted.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" network-lock' -l 'network-lock' -d 'How the network is kept away from TCP connections meanwhile: nftables, iptables (the same) or skip.' -rfka 'nftables iptables skip'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" ext-unix-sk x' -s 'x' -l 'ext-unix-sk' -d 'Allow unix sockets whose peer lies outside of the tree.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" manage-cgroups' -l 'manage-cgroups' -d 'How to treat cgroups; only ignore is built.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" evasive-devices' -l 'evasive-devices' -d 'Use any path to a device file whose own path cannot be used.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" ghost-limit' -l 'ghost-limit' -d 'The most to keep of a file that has lost its name.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate"' -l 'file' -d 'How far files may differ: exact, build-id, size, grown, ignore or ship; may be given several times.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" file-validation' -l 'file-validation' -d 'Compare all files by their size (filesize), or by build id where they have one (buildid).' -rfka 'filesize buildid'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" cpu-cap' -l 'cpu-cap' -d 'With none, the processor may lack instructions that the one of the dump had.' -rfka 'all cpu fpu ins none'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" state-dir' -l 'state-dir' -d 'Where copies of files are kept.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" pid-policy' -l 'pid-policy' -d 'The pids have to be free where it comes to (exact), or are made free by a pid namespace (new-namespace).' -rfka 'exact new-namespace'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" to' -l 'to' -d 'How the other host is reached: by ssh, or where `apus receive --listen` listens there, by tls or unix.' -rfka 'ssh tls unix'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" pair' -l 'pair' -d 'Pair this host with HOST, which trees are to go to; reads the token that `apus receive --init` has printed there.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" relay' -l 'relay' -d 'Join standard input and output with HOST, as ssh does; started by --to tls and --to unix.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" ssh-command' -l 'ssh-command' -d 'The program that reaches the other host, with its arguments, in place of ssh.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" remote-apus' -l 'remote-apus' -d 'The program to call on the other host.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" ship' -l 'ship' -d 'Take files along that differ there: auto what is mapped or read, all what is written to as well, none.' -rfka 'auto all none'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" downtime-limit' -l 'downtime-limit' -d 'For how long the tree may stand still, in milliseconds.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" rounds' -l 'rounds' -d 'How often memory is sent while the tree runs; 0 stops the tree first.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" postcopy' -l 'postcopy' -d 'Let memory follow when the tree runs there already: auto where the pause would be too long otherwise, always, never.' -rfka 'never auto always'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" max-bandwidth' -l 'max-bandwidth' -d 'How much is sent for memory each second while the tree runs, as 100M.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" compress' -l 'compress' -d 'How what is sent is compressed: auto as it is there soonest, none, lz4, zstd, or zstd:LEVEL from 1 to 19.' -rfka 'auto none lz4 zstd'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate"' -l 'move-address' -d 'An address of IP that moves along: ADDRESS[/LENGTH]@DEVICE[:DEVICE-THERE].' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" report' -l 'report' -d 'Write a page with charts about the migration, for a browser.' -rfa '(for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.\'html\';printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" channels' -l 'channels' -d 'Over how many connections memory is sent, from 1 to 16.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" throttle' -l 'throttle' -d 'Slow the tree down where it writes faster than its memory can be sent.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" detach' -l 'detach' -d 'A new terminal takes the place of one from outside there, which `apus attach` joins.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" attach' -l 'attach' -d 'The same, and join it from this terminal once the tree runs there.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" keep-original' -l 'keep-original' -d 'Keep the original, stopped, when the tree runs on the other host.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" timeout' -l 'timeout' -d 'How long the tree may stand still at the most; 0 for ever.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" overwrite-files' -l 'overwrite-files' -d 'Replace files that the tree writes to by those of this host (--ship all).'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" continue-clocks' -l 'continue-clocks' -d 'Let the monotonic clocks go on where they were, in a time namespace.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus migrate" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" D images-dir' -s 'D' -l 'images-dir' -d 'Where the image files are.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" W work-dir' -s 'W' -l 'work-dir' -d 'Where logs, statistics and pid files go; the images directory if not given.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" log-file o' -s 'o' -l 'log-file' -d 'Write the log to this file, relative to the work directory, or else to the images directory.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" v verbosity' -s 'v' -l 'verbosity' -d 'How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" config' -l 'config' -d 'Read options from this file as well.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" no-default-config' -l 'no-default-config' -d 'Do not read the default configuration files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" json' -l 'json' -d 'Print for programs, as JSON.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" V version' -s 'V' -l 'version' -d 'Show the version.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" state-dir' -l 'state-dir' -d 'Where copies of files are kept.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" stdio' -l 'stdio' -d 'Speak over standard input and output.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" listen' -l 'listen' -d 'Take trees of paired hosts over TLS at this address, ADDRESS or ADDRESS:PORT, or at a Unix socket, /PATH.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" init' -l 'init' -d 'Make the key of this host, and print a token that pairs one other host with it.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" keeper' -l 'keeper' -d 'Watch over memory that follows a tree; started by --stdio.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" connection' -l 'connection' -d 'Serve the connection of TLS that is the standard input; started by --listen.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" kept-terminal' -l 'kept-terminal' -d 'Take a tree with the terminal that is descriptor 3; started by another apus receive.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" own-pids' -l 'own-pids' -d 'Take a tree as the init of a pid namespace; started by another apus receive.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus receive" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus attach" D images-dir' -s 'D' -l 'images-dir' -d 'Where the image files are.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus attach" W work-dir' -s 'W' -l 'work-dir' -d 'Where logs, statistics and pid files go; the images directory if not given.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus attach" log-file o' -s 'o' -l 'log-file' -d 'Write the log to this file, relative to the work directory, or else to the images directory.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus attach" v verbosity' -s 'v' -l 'verbosity' -d 'How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus attach" config' -l 'config' -d 'Read options from this file as well.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus attach" no-default-config' -l 'no-default-config' -d 'Do not read the default configuration files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus attach" json' -l 'json' -d 'Print for programs, as JSON.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus attach" V version' -s 'V' -l 'version' -d 'Show the version.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus attach" state-dir' -l 'state-dir' -d 'Where copies of files are kept.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus attach" list' -l 'list' -d 'Show the terminals that are kept here.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus attach" take' -l 'take' -d 'Whoever is joined to the terminal now has to go.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus attach" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus recover" D images-dir' -s 'D' -l 'images-dir' -d 'Where the image files are.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus recover" W work-dir' -s 'W' -l 'work-dir' -d 'Where logs, statistics and pid files go; the images directory if not given.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus recover" log-file o' -s 'o' -l 'log-file' -d 'Write the log to this file, relative to the work directory, or else to the images directory.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus recover" v verbosity' -s 'v' -l 'verbosity' -d 'How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus recover" config' -l 'config' -d 'Read options from this file as well.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus recover" no-default-config' -l 'no-default-config' -d 'Do not read the default configuration files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus recover" json' -l 'json' -d 'Print for programs, as JSON.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus recover" V version' -s 'V' -l 'version' -d 'Show the version.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus recover" state-dir' -l 'state-dir' -d 'Where copies of files are kept.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus recover" all' -l 'all' -d 'Remove all locks, but for those that a dump or a restore is at.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus recover" go-back' -l 'go-back' -d 'Continue the original of this migration, whose memory has not all come to the other host; what runs there is ended.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus recover" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus gc" D images-dir' -s 'D' -l 'images-dir' -d 'Where the image files are.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus gc" W work-dir' -s 'W' -l 'work-dir' -d 'Where logs, statistics and pid files go; the images directory if not given.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus gc" log-file o' -s 'o' -l 'log-file' -d 'Write the log to this file, relative to the work directory, or else to the images directory.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus gc" v verbosity' -s 'v' -l 'verbosity' -d 'How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.' -rfka ''
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus gc" config' -l 'config' -d 'Read options from this file as well.' -rF
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus gc" no-default-config' -l 'no-default-config' -d 'Do not read the default configuration files.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus gc" json' -l 'json' -d 'Print for programs, as JSON.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus gc" V version' -s 'V' -l 'version' -d 'Show the version.'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus gc" state-dir' -l 'state-dir' -d 'Where copies of files are kept.' -rfa '(__apus_complete_directories)'
complete -c 'apus' -n '__apus_should_offer_completions_for_flags_or_options "apus gc" h help' -s 'h' -l 'help' -d 'Show help information.'
