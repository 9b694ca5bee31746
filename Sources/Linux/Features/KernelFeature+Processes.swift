internal import CLinux
internal import SystemPackage

/// Making processes and looking into them.
extension KernelFeature {
    static let processes: [KernelFeature] = [
        KernelFeature(
            "clone3_set_tid", "making a process with a given pid (clone3 with set_tid)",
            cost: "Processes cannot be restored under their own pids.", isRequired: true
        ) { () throws(Errno) in try probeSetTid() },
        KernelFeature(
            "pidfd_open", "a descriptor that means one process (pidfd_open)",
            cost: "A process that ends and another that gets its pid could be taken for one another.",
            isRequired: true
        ) { () throws(Errno) in
            let child = try ProbeChild()
            _ = try Processes.open(child.pid)
            return .present
        },
        KernelFeature(
            "pidfd_getfd", "taking over a descriptor of another process (pidfd_getfd)",
            cost: "What cannot be opened by name (pipes, sockets) cannot be looked into.", isRequired: true
        ) { () throws(Errno) in
            let pipe = try Files.pipe()
            let child = try ProbeChild()
            let process = try Processes.open(child.pid)
            let copy = try Processes.descriptor(pipe.first.raw, of: process.raw)
            let order = try Processes.compare(
                Processes.current, Processes.current, .file(copy.raw, pipe.first.raw))
            return order == .same ? .present : .missing("another file came back")
        },
        KernelFeature(
            "process_vm_readv", "reading another process's memory (process_vm_readv)",
            cost: "Memory is read more slowly, through /proc/PID/mem."
        ) { () throws(Errno) in
            var value: UInt64 = 0x0123_4567_89ab_cdef
            let read = try withAddress(of: &value) { address in
                Result { () throws(Errno) in
                    let child = try ProbeChild()
                    do throws(RemoteMemory.Failure) {
                        return try RemoteMemory.read(child.pid, at: UInt64(address), count: 8)
                    } catch {
                        throw error.errno
                    }
                }
            }
            return read == [0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01]
                ? .present : .missing("other bytes came back")
        },
        KernelFeature(
            "kcmp", "comparing the resources of processes (kcmp)",
            cost: "Descriptors that share one file position cannot be told from those that do not.", isRequired: true
        ) { () throws(Errno) in
            let child = try ProbeChild()
            let order = try Processes.compare(Processes.current, child.pid, .memory)
            return order == .same ? .missing("two processes seem to share memory") : .present
        },
        KernelFeature(
            "set_robust_list", "lists of robust futexes (get_robust_list, set_robust_list)",
            cost: "Locks that a thread holds when it dies are not released after a restore."
        ) { () throws(Errno) in
            let list = try Processes.robustList(of: 0)
            // The same list again: nothing changes.
            try call(Int(SYS_set_robust_list), UInt(list.address), UInt(list.length))
            return .present
        },
        KernelFeature(
            "proc_children", "the list of a thread's children (/proc/PID/task/TID/children)",
            cost: "Finding the processes of a tree takes longer: every process of the host is looked at."
        ) { () throws(Errno) in
            let child = try ProbeChild()
            let thread = Procfs.live.thread(Processes.currentThread, of: Processes.current)
            guard let children = try thread.children(orThrow: ()) else { return .missing("there is no such file") }
            return children.contains(child.pid) ? .present : .missing("a child is not in it")
        },
        KernelFeature(
            "set_mm_map", "setting where a process's code, data, heap and arguments lie (PR_SET_MM_MAP)",
            cost: "A restored process shows another command line, environment and executable.", isRequired: true
        ) { () throws(Errno) in
            var size: UInt32 = 0
            let (setMM, mapSize): (UInt, UInt) = (35, 15)
            _ = try withAddress(of: &size) { outcome(of: Int(SYS_prctl), setMM, mapSize, $0) }
            return size >= 96 ? .present : .missing("the structure has \(size) bytes")
        },
        KernelFeature(
            "timer_cr_ids", "making POSIX timers with given numbers (PR_TIMER_CREATE_RESTORE_IDS)",
            cost: "Timers with high numbers are restored slowly: every lower number is made and deleted."
        ) { () throws(Errno) in
            let (timerIDs, get): (UInt, UInt) = (77, 2)
            try call(Int(SYS_prctl), timerIDs, get)
            return .present
        },
        KernelFeature(
            "loginuid", "setting the login's uid (/proc/PID/loginuid)",
            cost: "The login's uid is not restored."
        ) { () throws(Errno) in
            let path: FilePath = "/proc/thread-self/loginuid"
            // The same number again: nothing changes.
            let file = try Files.open(path, .readWrite)
            try Files.write(file.raw, try Files.contents(of: path))
            return .present
        },
        KernelFeature(
            "compat_cr", "mapping the vdso of 32-bit programs (ARCH_MAP_VDSO_32)",
            cost: "32-bit programs cannot be restored."
        ) { () throws(Errno) in try probeMapVdso(0x2002) },
        KernelFeature(
            "can_map_vdso", "mapping the vdso where it was (ARCH_MAP_VDSO_64)",
            cost: "The vdso is moved with mremap instead, which serves as well."
        ) { () throws(Errno) in try probeMapVdso(0x2003) },
    ]

    /// Picks pids from the top, where new ones come last, until one is free.
    private static func probeSetTid() throws(Errno) -> Finding {
        let top = Int32(clamping: (try? Procfs.live.number("sys/kernel/pid_max")) ?? 32768)
        for pid in (top - 64..<top).reversed() {
            do throws(Errno) {
                let child = try ProbeChild(pid: pid)
                return child.pid == pid ? .present : .missing("the child got the pid \(child.pid)")
            } catch .fileExists {
                continue
            }
        }
        return .cannotTell("the pids below \(top) are in use")
    }

    /// A process that has a vdso gets no second one: EEXIST says that the kernel knows the request.
    private static func probeMapVdso(_ request: UInt) throws(Errno) -> Finding {
        #if arch(x86_64)
            do throws(Errno) {
                try call(Int(SYS_arch_prctl), request, 0)
            } catch .fileExists {
                return .present
            }
            return .cannotTell("this process had no vdso")
        #else
            return .missing("this architecture has no such request")
        #endif
    }
}

extension ProcessDirectory {
    /// `children`, with the kernel's refusal alone as its error.
    fileprivate func children(orThrow: Void) throws(Errno) -> [Int32]? {
        do throws(ProcfsError) {
            return try children()
        } catch {
            throw error.errno ?? .ioError
        }
    }
}
