internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Objects
internal import Tracing

/// Controlling terminals whose masters are in the tree, or that the caller of the restore gives.
///
/// A process has its controlling terminal from its maker, or takes it as the leader of a session. So the leader takes it
/// before it makes those that are in its session, and makes the foreground process group so when all processes are there.
extension Planner {
    /// A descriptor of the slave that is the terminal of a session.
    private mutating func terminal(ofSession session: Int32) -> (descriptor: Int32, info: TtyInfoEntry)? {
        guard session > 0 else { return nil }
        let infos = images.terminals.values.filter {
            !$0.isMaster && Int32(bitPattern: $0.sid) == session
                && (StoredTerminal.master(of: $0, in: images) != nil
                    || $0.type == .pty && OutsideTerminal.keyLeftOutside($0, in: images) != nil)
        }
        for info in infos.sorted(by: { $0.id < $1.id }) {
            let key = images.files.entries.filter { $0.value.hasTty && $0.value.tty.ttyInfoID == info.id }.keys
                .min { $0.id < $1.id }
            if let key, let number = descriptor(key) { return (number, info) }
        }
        return nil
    }

    /// After the session has begun, before others are made in it.
    mutating func composeControllingTerminal(_ index: Int, in batch: inout Batch) {
        guard images.tasks.indices.contains(index), images.tasks[index].state != .dead,
            let (terminal, info) = terminal(ofSession: images.tasks[index].pid)
        else { return }
        batch.call(
            Int(SYS_ioctl), .signed(terminal), .value(UInt64(APUS_TIOCSCTTY)), 0,
            for: "take terminal /dev/pts/\(info.pty.index) for its session")
    }

    /// When all processes are there, and before the leader's descriptors get their numbers.
    mutating func composeForeground(_ index: Int, in batch: inout Batch) {
        guard let (terminal, info) = terminal(ofSession: images.tasks[index].pid) else { return }
        let group = Int32(bitPattern: info.pgrp)
        // A group that has gone cannot come back; its leader alone has the session's own.
        guard group != images.tasks[index].pid, images.tasks.contains(where: { $0.processGroup == group }) else {
            return
        }
        var bytes: [UInt8] = []
        bytes.append(littleEndian: group)
        let place = batch.buffer(bytes)
        batch.call(
            Int(SYS_ioctl), .signed(terminal), .value(UInt64(APUS_TIOCSPGRP)), .address(place),
            for: "make process group \(group) the foreground of /dev/pts/\(info.pty.index)")
    }
}
