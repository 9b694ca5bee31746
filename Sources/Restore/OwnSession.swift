internal import Images
internal import Objects

/// A tree whose session was begun by somebody outside of it, and that is to have one of its own.
extension CheckpointImages {
    /// Has the root begin a session, and a process group, in which all are that were in its own with it. Nothing changes where the leader of
    /// the session is in the images.
    mutating func beginSessionOfRoot() {
        let pids = Set(tasks.map(\.pid))
        guard let root, !pids.contains(root.session) else { return }
        for index in tasks.indices {
            if tasks[index].session == root.session { tasks[index].session = root.pid }
            // One whose leader is in the tree stays what it is.
            if tasks[index].processGroup == root.processGroup, !pids.contains(root.processGroup) {
                tasks[index].processGroup = root.pid
            }
        }
        // The leader of a session is in no other group (setpgid(2)).
        tasks[0].processGroup = root.pid
    }

    /// Says which sessions are controlled by terminals that are given: the terminals themselves told it to those in the session alone.
    mutating func setSessions(ofGiven given: [String: RestoreOptions.GivenSession]) {
        for (id, info) in terminals {
            guard let key = OutsideTerminal.keyLeftOutside(info, in: self), let session = given[key] else { continue }
            terminals[id]?.sid = UInt32(bitPattern: session.session)
            terminals[id]?.pgrp = UInt32(bitPattern: session.foreground)
        }
    }
}
