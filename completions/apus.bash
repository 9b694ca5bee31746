#!/bin/bash

__apus_cursor_index_in_current_word() {
    local remaining="${COMP_LINE}"

    local word
    for word in "${COMP_WORDS[@]::COMP_CWORD}"; do
        remaining="${remaining##*([[:space:]])"${word}"*([[:space:]])}"
    done

    local -ir index="$((COMP_POINT - ${#COMP_LINE} + ${#remaining}))"
    if [[ "${index}" -le 0 ]]; then
        printf 0
    else
        printf %s "${index}"
    fi
}

# positional arguments:
#
# - 1: the current (sub)command's count of positional arguments
#
# required variables:
#
# - repeating_flags: the repeating flags that the current (sub)command can accept
# - non_repeating_flags: the non-repeating flags that the current (sub)command can accept
# - repeating_options: the repeating options that the current (sub)command can accept
# - non_repeating_options: the non-repeating options that the current (sub)command can accept
# - positional_number: value ignored
# - unparsed_words: unparsed words from the current command line
#
# modified variables:
#
# - non_repeating_flags: remove flags for this (sub)command that are already on the command line
# - non_repeating_options: remove options for this (sub)command that are already on the command line
# - positional_number: set to the current positional number
# - unparsed_words: remove all flags, options, and option values for this (sub)command
__apus_offer_flags_options() {
    local -ir positional_count="${1}"
    positional_number=0

    local was_flag_option_terminator_seen=false
    local is_parsing_option_value=false

    local -ar unparsed_word_indices=("${!unparsed_words[@]}")
    local -i word_index
    for word_index in "${unparsed_word_indices[@]}"; do
        if "${is_parsing_option_value}"; then
            # This word is an option value:
            # Reset marker for next word iff not currently the last word
            [[ "${word_index}" -ne "${unparsed_word_indices[${#unparsed_word_indices[@]} - 1]}" ]] && is_parsing_option_value=false
            unset "unparsed_words[${word_index}]"
            # Do not process this word as a flag or an option
            continue
        fi

        local word="${unparsed_words["${word_index}"]}"
        if ! "${was_flag_option_terminator_seen}"; then
            case "${word}" in
            --)
                unset "unparsed_words[${word_index}]"
                # by itself -- is a flag/option terminator, but if it is the last word, it is the start of a completion
                if [[ "${word_index}" -ne "${unparsed_word_indices[${#unparsed_word_indices[@]} - 1]}" ]]; then
                    was_flag_option_terminator_seen=true
                fi
                continue
                ;;
            -*)
                # ${word} is a flag or an option
                # If ${word} is an option, mark that the next word to be parsed is an option value
                local option
                for option in "${repeating_options[@]}" "${non_repeating_options[@]}"; do
                    [[ "${word}" = "${option}" ]] && is_parsing_option_value=true && break
                done

                # Remove ${word} from ${non_repeating_flags} or ${non_repeating_options} so it isn't offered again
                local not_found=true
                local -i index
                for index in "${!non_repeating_flags[@]}"; do
                    if [[ "${non_repeating_flags[${index}]}" = "${word}" ]]; then
                        unset "non_repeating_flags[${index}]"
                        non_repeating_flags=("${non_repeating_flags[@]}")
                        not_found=false
                        break
                    fi
                done
                if "${not_found}"; then
                    for index in "${!non_repeating_flags[@]}"; do
                        if [[ "${non_repeating_flags[${index}]}" = "${word}" ]]; then
                            unset "non_repeating_flags[${index}]"
                            non_repeating_flags=("${non_repeating_flags[@]}")
                            break
                        fi
                    done
                fi
                unset "unparsed_words[${word_index}]"
                continue
                ;;
            esac
        fi

        # ${word} is neither a flag, nor an option, nor an option value
        if [[ "${positional_number}" -lt "${positional_count}" || "${positional_count}" -lt 0 ]]; then
            # ${word} is a positional
            ((positional_number++))
            unset "unparsed_words[${word_index}]"
        else
            if [[ -z "${word}" ]]; then
                # Could be completing a flag, option, or subcommand
                positional_number=-1
            else
                # ${word} is a subcommand or invalid, so stop processing this (sub)command
                positional_number=-2
            fi
            break
        fi
    done

    unparsed_words=("${unparsed_words[@]}")

    if\
        ! "${was_flag_option_terminator_seen}"\
        && ! "${is_parsing_option_value}"\
        && [[ ("${cur}" = -* && "${positional_number}" -ge 0) || "${positional_number}" -eq -1 ]]
    then
        COMPREPLY+=($(compgen -W "${repeating_flags[*]} ${non_repeating_flags[*]} ${repeating_options[*]} ${non_repeating_options[*]}" -- "${cur}"))
    fi
}

__apus_add_completions() {
    local completion
    while IFS='' read -r completion; do
        COMPREPLY+=("${completion}")
    done < <(IFS=$'\n' compgen "${@}" -- "${cur}")
}

__apus_custom_complete() {
    if [[ -n "${cur}" || -z ${COMP_WORDS[${COMP_CWORD}]} || "${COMP_LINE:${COMP_POINT}:1}" != ' ' ]]; then
        local -ar words=("${COMP_WORDS[@]}")
    else
        local -ar words=("${COMP_WORDS[@]::${COMP_CWORD}}" '' "${COMP_WORDS[@]:${COMP_CWORD}}")
    fi

    "${COMP_WORDS[0]}" "${@}" "${words[@]}"
}

_apus() {
    local state
    state="$(shopt -p;shopt -po)"
    trap "${state//$'\n'/;}" RETURN
    shopt -s extglob
    set +o history +o posix

    local -xr SAP_SHELL=bash
    local -x SAP_SHELL_VERSION
    SAP_SHELL_VERSION="$(IFS='.';printf %s "${BASH_VERSINFO[*]}")"
    local -r SAP_SHELL_VERSION

    local -r cur="${2}"
    local -r prev="${3}"

    local -i positional_number
    local -a unparsed_words=("${COMP_WORDS[@]:1:${COMP_CWORD}}")

    local -a repeating_flags=()
    local -a non_repeating_flags=(-h --help)
    local -a repeating_options=()
    local -a non_repeating_options=()
    __apus_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    dump|restore|check|show|explain|run|migrate|receive|attach|recover|gc|help)
        # Offer subcommand argument completions
        "_apus_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'dump restore check show explain run migrate receive attach recover gc help' -- "${cur}"))
        ;;
    esac
}

_apus_dump() {
    repeating_flags=()
    non_repeating_flags=(--no-default-config --json -V --version --display-stats -j --shell-job -l --file-locks --link-remap --tcp-established --tcp-close --skip-in-flight -x --ext-unix-sk --evasive-devices -R --leave-running -s --leave-stopped --overwrite -h --help)
    repeating_options=(--action-script --external --file --encrypt-to)
    non_repeating_options=(-D --images-dir -W --work-dir -o --log-file -v --verbosity --config --network-lock --manage-cgroups --ghost-limit -t --tree --file-validation --cpu-cap --ship --bundle --compress --passphrase-file --timeout --status-fd)
    __apus_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '-D'|'--images-dir')
        __apus_add_completions -d
        return
        ;;
    '-W'|'--work-dir')
        __apus_add_completions -d
        return
        ;;
    '-o'|'--log-file')
        __apus_add_completions -f
        return
        ;;
    '-v'|'--verbosity')
        return
        ;;
    '--config')
        __apus_add_completions -f
        return
        ;;
    '--action-script')
        __apus_add_completions -f
        return
        ;;
    '--external')
        return
        ;;
    '--network-lock')
        __apus_add_completions -W 'nftables'$'\n''iptables'$'\n''skip'
        return
        ;;
    '--manage-cgroups')
        return
        ;;
    '--ghost-limit')
        return
        ;;
    '-t'|'--tree')
        return
        ;;
    '--file')
        return
        ;;
    '--file-validation')
        __apus_add_completions -W 'filesize'$'\n''buildid'
        return
        ;;
    '--cpu-cap')
        __apus_add_completions -W 'all'$'\n''cpu'$'\n''fpu'$'\n''ins'$'\n''none'
        return
        ;;
    '--ship')
        __apus_add_completions -W 'auto'$'\n''all'$'\n''none'
        return
        ;;
    '--bundle')
        __apus_add_completions -o plusdirs -fX '!*.@(apus)'
        return
        ;;
    '--compress')
        __apus_add_completions -W 'none'$'\n''lz4'$'\n''zstd'
        return
        ;;
    '--encrypt-to')
        return
        ;;
    '--passphrase-file')
        __apus_add_completions -f
        return
        ;;
    '--timeout')
        return
        ;;
    '--status-fd')
        return
        ;;
    esac
}

_apus_restore() {
    repeating_flags=()
    non_repeating_flags=(--no-default-config --json -V --version --display-stats -j --shell-job -l --file-locks --link-remap --tcp-established --tcp-close --skip-in-flight -x --ext-unix-sk --overwrite-files --continue-clocks -d --restore-detached -S --restore-sibling -s --leave-stopped --exec-cmd --exact-terminals --dry-run -h --help)
    repeating_options=(--action-script --external --file --tcp-rebind --inherit-fd --identity)
    non_repeating_options=(-D --images-dir -W --work-dir -o --log-file -v --verbosity --config --network-lock --manage-cgroups --file-validation --cpu-cap --pid-policy --lsm-profile --state-dir --status-fd --pidfile --bundle --passphrase-file)
    __apus_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '-D'|'--images-dir')
        __apus_add_completions -d
        return
        ;;
    '-W'|'--work-dir')
        __apus_add_completions -d
        return
        ;;
    '-o'|'--log-file')
        __apus_add_completions -f
        return
        ;;
    '-v'|'--verbosity')
        return
        ;;
    '--config')
        __apus_add_completions -f
        return
        ;;
    '--action-script')
        __apus_add_completions -f
        return
        ;;
    '--external')
        return
        ;;
    '--network-lock')
        __apus_add_completions -W 'nftables'$'\n''iptables'$'\n''skip'
        return
        ;;
    '--manage-cgroups')
        return
        ;;
    '--file')
        return
        ;;
    '--file-validation')
        __apus_add_completions -W 'filesize'$'\n''buildid'
        return
        ;;
    '--cpu-cap')
        __apus_add_completions -W 'all'$'\n''cpu'$'\n''fpu'$'\n''ins'$'\n''none'
        return
        ;;
    '--tcp-rebind')
        return
        ;;
    '--inherit-fd')
        return
        ;;
    '--pid-policy')
        __apus_add_completions -W 'exact'$'\n''new-namespace'
        return
        ;;
    '--lsm-profile')
        return
        ;;
    '--state-dir')
        __apus_add_completions -d
        return
        ;;
    '--status-fd')
        return
        ;;
    '--pidfile')
        __apus_add_completions -f
        return
        ;;
    '--bundle')
        __apus_add_completions -o plusdirs -fX '!*.@(apus)'
        return
        ;;
    '--identity')
        __apus_add_completions -f
        return
        ;;
    '--passphrase-file')
        __apus_add_completions -f
        return
        ;;
    esac
}

_apus_check() {
    repeating_flags=()
    non_repeating_flags=(--no-default-config --json -V --version -j --shell-job -l --file-locks --link-remap --tcp-established --tcp-close --skip-in-flight -x --ext-unix-sk --overwrite-files --continue-clocks --extra --all -h --help)
    repeating_options=(--external --file --tcp-rebind --inherit-fd --identity --feature)
    non_repeating_options=(-D --images-dir -W --work-dir -o --log-file -v --verbosity --config --network-lock --manage-cgroups --file-validation --cpu-cap --pid-policy --lsm-profile --state-dir --bundle --passphrase-file)
    __apus_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '-D'|'--images-dir')
        __apus_add_completions -d
        return
        ;;
    '-W'|'--work-dir')
        __apus_add_completions -d
        return
        ;;
    '-o'|'--log-file')
        __apus_add_completions -f
        return
        ;;
    '-v'|'--verbosity')
        return
        ;;
    '--config')
        __apus_add_completions -f
        return
        ;;
    '--external')
        return
        ;;
    '--network-lock')
        __apus_add_completions -W 'nftables'$'\n''iptables'$'\n''skip'
        return
        ;;
    '--manage-cgroups')
        return
        ;;
    '--file')
        return
        ;;
    '--file-validation')
        __apus_add_completions -W 'filesize'$'\n''buildid'
        return
        ;;
    '--cpu-cap')
        __apus_add_completions -W 'all'$'\n''cpu'$'\n''fpu'$'\n''ins'$'\n''none'
        return
        ;;
    '--tcp-rebind')
        return
        ;;
    '--inherit-fd')
        return
        ;;
    '--pid-policy')
        __apus_add_completions -W 'exact'$'\n''new-namespace'
        return
        ;;
    '--lsm-profile')
        return
        ;;
    '--state-dir')
        __apus_add_completions -d
        return
        ;;
    '--bundle')
        __apus_add_completions -o plusdirs -fX '!*.@(apus)'
        return
        ;;
    '--identity')
        __apus_add_completions -f
        return
        ;;
    '--passphrase-file')
        __apus_add_completions -f
        return
        ;;
    '--feature')
        __apus_add_completions -W 'ptrace_seize'$'\n''seccomp_suspend'$'\n''seccomp_filters'$'\n''ptrace_get_rseq_conf'$'\n''breakpoints'$'\n''clone3_set_tid'$'\n''pidfd_open'$'\n''pidfd_getfd'$'\n''process_vm_readv'$'\n''kcmp'$'\n''set_robust_list'$'\n''proc_children'$'\n''set_mm_map'$'\n''timer_cr_ids'$'\n''loginuid'$'\n''compat_cr'$'\n''can_map_vdso'$'\n''pagemap_scan'$'\n''pagemap_scan_guard_pages'$'\n''madv_guard'$'\n''mem_dirty_track'$'\n''uffd'$'\n''uffd-noncoop'$'\n''uffd_wp_async'$'\n''map_files'$'\n''anon_vma_name'$'\n''aio_remap'$'\n''overlayfs_maps'$'\n''memfd'$'\n''memfd_exec'$'\n''memfd_hugetlb'$'\n''close_range'$'\n''timerfd'$'\n''fdinfo_lock'$'\n''tun'$'\n''autofs'$'\n''userns'$'\n''cgroupns'$'\n''timens'$'\n''external_net_ns'$'\n''move_mount_set_group'$'\n''sk_ns'$'\n''sk_unix_file'$'\n''kernel_memory'$'\n''net_diag_raw'$'\n''tcp_half_closed'$'\n''ipv6_freebind'$'\n''nsid'$'\n''link_nsid'$'\n''newifindex'$'\n''nftables'$'\n''iptables'$'\n''has_ipt_legacy'
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __apus_add_completions -f
        return
        ;;
    esac
}

_apus_show() {
    repeating_flags=()
    non_repeating_flags=(--no-default-config --json -V --version -h --help)
    repeating_options=(--identity)
    non_repeating_options=(-D --images-dir -W --work-dir -o --log-file -v --verbosity --config --passphrase-file)
    __apus_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '-D'|'--images-dir')
        __apus_add_completions -d
        return
        ;;
    '-W'|'--work-dir')
        __apus_add_completions -d
        return
        ;;
    '-o'|'--log-file')
        __apus_add_completions -f
        return
        ;;
    '-v'|'--verbosity')
        return
        ;;
    '--config')
        __apus_add_completions -f
        return
        ;;
    '--identity')
        __apus_add_completions -f
        return
        ;;
    '--passphrase-file')
        __apus_add_completions -f
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __apus_add_completions -f
        return
        ;;
    esac
}

_apus_explain() {
    repeating_flags=()
    non_repeating_flags=(--no-default-config --json -V --version -j --shell-job -l --file-locks --link-remap --tcp-established --tcp-close --skip-in-flight -x --ext-unix-sk --evasive-devices -h --help)
    repeating_options=(--external)
    non_repeating_options=(-D --images-dir -W --work-dir -o --log-file -v --verbosity --config --network-lock --manage-cgroups --ghost-limit -t --tree)
    __apus_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '-D'|'--images-dir')
        __apus_add_completions -d
        return
        ;;
    '-W'|'--work-dir')
        __apus_add_completions -d
        return
        ;;
    '-o'|'--log-file')
        __apus_add_completions -f
        return
        ;;
    '-v'|'--verbosity')
        return
        ;;
    '--config')
        __apus_add_completions -f
        return
        ;;
    '--external')
        return
        ;;
    '--network-lock')
        __apus_add_completions -W 'nftables'$'\n''iptables'$'\n''skip'
        return
        ;;
    '--manage-cgroups')
        return
        ;;
    '--ghost-limit')
        return
        ;;
    '-t'|'--tree')
        return
        ;;
    esac
}

_apus_run() {
    repeating_flags=()
    non_repeating_flags=(--no-default-config --json -V --version --fresh --pid-namespace -l --file-locks --tcp-established --tcp-close -h --help)
    repeating_options=()
    non_repeating_options=(-D --images-dir -W --work-dir -o --log-file -v --verbosity --config --store --every --keep --cpu-level --pidfile)
    __apus_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '-D'|'--images-dir')
        __apus_add_completions -d
        return
        ;;
    '-W'|'--work-dir')
        __apus_add_completions -d
        return
        ;;
    '-o'|'--log-file')
        __apus_add_completions -f
        return
        ;;
    '-v'|'--verbosity')
        return
        ;;
    '--config')
        __apus_add_completions -f
        return
        ;;
    '--store')
        __apus_add_completions -d
        return
        ;;
    '--every')
        return
        ;;
    '--keep')
        return
        ;;
    '--cpu-level')
        __apus_add_completions -W 'x86-64-v2'$'\n''x86-64-v3'$'\n''x86-64-v4'
        return
        ;;
    '--pidfile')
        __apus_add_completions -f
        return
        ;;
    esac
}

_apus_migrate() {
    repeating_flags=()
    non_repeating_flags=(--no-default-config --json -V --version -j --shell-job -l --file-locks --link-remap --tcp-established --tcp-close --skip-in-flight -x --ext-unix-sk --evasive-devices --pair --relay --throttle --detach --attach --keep-original --overwrite-files --continue-clocks -h --help)
    repeating_options=(--external --file --move-address)
    non_repeating_options=(-D --images-dir -W --work-dir -o --log-file -v --verbosity --config --network-lock --manage-cgroups --ghost-limit --file-validation --cpu-cap --state-dir --pid-policy --to --ssh-command --remote-apus --ship --downtime-limit --rounds --postcopy --max-bandwidth --compress --report --channels --timeout)
    __apus_offer_flags_options 2

    # Offer option value completions
    case "${prev}" in
    '-D'|'--images-dir')
        __apus_add_completions -d
        return
        ;;
    '-W'|'--work-dir')
        __apus_add_completions -d
        return
        ;;
    '-o'|'--log-file')
        __apus_add_completions -f
        return
        ;;
    '-v'|'--verbosity')
        return
        ;;
    '--config')
        __apus_add_completions -f
        return
        ;;
    '--external')
        return
        ;;
    '--network-lock')
        __apus_add_completions -W 'nftables'$'\n''iptables'$'\n''skip'
        return
        ;;
    '--manage-cgroups')
        return
        ;;
    '--ghost-limit')
        return
        ;;
    '--file')
        return
        ;;
    '--file-validation')
        __apus_add_completions -W 'filesize'$'\n''buildid'
        return
        ;;
    '--cpu-cap')
        __apus_add_completions -W 'all'$'\n''cpu'$'\n''fpu'$'\n''ins'$'\n''none'
        return
        ;;
    '--state-dir')
        __apus_add_completions -d
        return
        ;;
    '--pid-policy')
        __apus_add_completions -W 'exact'$'\n''new-namespace'
        return
        ;;
    '--to')
        __apus_add_completions -W 'ssh'$'\n''tls'$'\n''unix'
        return
        ;;
    '--ssh-command')
        return
        ;;
    '--remote-apus')
        return
        ;;
    '--ship')
        __apus_add_completions -W 'auto'$'\n''all'$'\n''none'
        return
        ;;
    '--downtime-limit')
        return
        ;;
    '--rounds')
        return
        ;;
    '--postcopy')
        __apus_add_completions -W 'never'$'\n''auto'$'\n''always'
        return
        ;;
    '--max-bandwidth')
        return
        ;;
    '--compress')
        __apus_add_completions -W 'auto'$'\n''none'$'\n''lz4'$'\n''zstd'
        return
        ;;
    '--move-address')
        return
        ;;
    '--report')
        __apus_add_completions -o plusdirs -fX '!*.@(html)'
        return
        ;;
    '--channels')
        return
        ;;
    '--timeout')
        return
        ;;
    esac
}

_apus_receive() {
    repeating_flags=()
    non_repeating_flags=(--no-default-config --json -V --version --stdio --init --keeper --connection --kept-terminal --own-pids -h --help)
    repeating_options=()
    non_repeating_options=(-D --images-dir -W --work-dir -o --log-file -v --verbosity --config --state-dir --listen)
    __apus_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '-D'|'--images-dir')
        __apus_add_completions -d
        return
        ;;
    '-W'|'--work-dir')
        __apus_add_completions -d
        return
        ;;
    '-o'|'--log-file')
        __apus_add_completions -f
        return
        ;;
    '-v'|'--verbosity')
        return
        ;;
    '--config')
        __apus_add_completions -f
        return
        ;;
    '--state-dir')
        __apus_add_completions -d
        return
        ;;
    '--listen')
        return
        ;;
    esac
}

_apus_attach() {
    repeating_flags=()
    non_repeating_flags=(--no-default-config --json -V --version --list --take -h --help)
    repeating_options=()
    non_repeating_options=(-D --images-dir -W --work-dir -o --log-file -v --verbosity --config --state-dir)
    __apus_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '-D'|'--images-dir')
        __apus_add_completions -d
        return
        ;;
    '-W'|'--work-dir')
        __apus_add_completions -d
        return
        ;;
    '-o'|'--log-file')
        __apus_add_completions -f
        return
        ;;
    '-v'|'--verbosity')
        return
        ;;
    '--config')
        __apus_add_completions -f
        return
        ;;
    '--state-dir')
        __apus_add_completions -d
        return
        ;;
    esac
}

_apus_recover() {
    repeating_flags=()
    non_repeating_flags=(--no-default-config --json -V --version --all -h --help)
    repeating_options=()
    non_repeating_options=(-D --images-dir -W --work-dir -o --log-file -v --verbosity --config --state-dir --go-back)
    __apus_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '-D'|'--images-dir')
        __apus_add_completions -d
        return
        ;;
    '-W'|'--work-dir')
        __apus_add_completions -d
        return
        ;;
    '-o'|'--log-file')
        __apus_add_completions -f
        return
        ;;
    '-v'|'--verbosity')
        return
        ;;
    '--config')
        __apus_add_completions -f
        return
        ;;
    '--state-dir')
        __apus_add_completions -d
        return
        ;;
    '--go-back')
        return
        ;;
    esac
}

_apus_gc() {
    repeating_flags=()
    non_repeating_flags=(--no-default-config --json -V --version -h --help)
    repeating_options=()
    non_repeating_options=(-D --images-dir -W --work-dir -o --log-file -v --verbosity --config --state-dir)
    __apus_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '-D'|'--images-dir')
        __apus_add_completions -d
        return
        ;;
    '-W'|'--work-dir')
        __apus_add_completions -d
        return
        ;;
    '-o'|'--log-file')
        __apus_add_completions -f
        return
        ;;
    '-v'|'--verbosity')
        return
        ;;
    '--config')
        __apus_add_completions -f
        return
        ;;
    '--state-dir')
        __apus_add_completions -d
        return
        ;;
    esac
}

_apus_help() {
    :
}

complete -o filenames -F _apus apus
