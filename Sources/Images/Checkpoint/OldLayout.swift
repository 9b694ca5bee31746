internal import Diagnostics
internal import ImageMessages
internal import SystemPackage

/// Brings what old dumps keep in files of their own, or leave out, to where new dumps have it.
enum OldLayout {
    /// Completes the core of a leader.
    static func complete(_ core: inout CoreEntry, pid: UInt64, in directory: ImageDirectory) throws(Problem) {
        if !core.tc.hasTimers { core.tc.timers = try timers(pid, in: directory) ?? core.tc.timers }
        if !core.tc.hasRlimits {
            let limits = try directory.messages(.rlimits, id: pid)
            if !limits.isEmpty { core.tc.rlimits.rlimits = limits }
        }
        if core.tc.sigactions.isEmpty { core.tc.sigactions = try directory.messages(.signalActions, id: pid) }
        if !core.tc.hasSignalsS {
            let signals = try directory.messages(.sharedSignals, id: pid)
            if !signals.isEmpty { core.tc.signalsS.signals = signals }
        }
        if !core.threadCore.hasBlkSigset { core.threadCore.blkSigset = core.tc.blkSigset }
        if !core.threadCore.hasCreds, let creds = try directory.first(.creds, id: pid) { core.threadCore.creds = creds }
        try complete(thread: &core, tid: pid, leader: core, in: directory)
    }

    /// Completes the core of any thread from its leader's, which is complete.
    static func complete(
        thread: inout CoreEntry, tid: UInt64, leader: CoreEntry, in directory: ImageDirectory
    ) throws(Problem) {
        // Once, what belongs to a thread now was the same for all threads of a task.
        if !thread.threadCore.hasComm { thread.threadCore.comm = leader.tc.comm }
        if !thread.threadCore.hasCreds, leader.threadCore.hasCreds { thread.threadCore.creds = leader.threadCore.creds }
        if !thread.threadCore.hasSeccompMode, leader.tc.hasOldSeccompMode {
            thread.threadCore.seccompMode = leader.tc.oldSeccompMode
            if leader.tc.hasOldSeccompFilter { thread.threadCore.seccompFilter = leader.tc.oldSeccompFilter }
        }
        if !thread.threadCore.hasCgSet, leader.tc.hasCgSet { thread.threadCore.cgSet = leader.tc.cgSet }
        if !thread.threadCore.hasSignalsP {
            let signals = try directory.messages(.threadSignals, id: tid)
            if !signals.isEmpty { thread.threadCore.signalsP.signals = signals }
        }
    }

    private static func timers(_ pid: UInt64, in directory: ImageDirectory) throws(Problem) -> TaskTimersEntry? {
        let interval = try directory.messages(.itimers, id: pid)
        let posix = try directory.messages(.posixTimers, id: pid)
        guard interval.count == 3 else {
            if interval.isEmpty && posix.isEmpty { return nil }
            throw .image(
                .imageInvalid, directory.path.appending(ImageKind.itimers.layout.fileName(id: pid)),
                "there are \(interval.count) interval timers where there must be three")
        }
        var timers = TaskTimersEntry()
        timers.real = interval[0]
        timers.virt = interval[1]
        timers.prof = interval[2]
        timers.posix = posix
        return timers
    }
}
