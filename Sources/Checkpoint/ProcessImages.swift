internal import Diagnostics
internal import Images

/// What goes into the images of one process, all but its pages.
struct ProcessImages: Sendable {
    /// What a process that has ended does not have any more.
    struct Living: Sendable {
        let ids: TaskKobjIdsEntry
        let memory: MmEntry
        let descriptors: [FdinfoEntry]
        let context: FsEntry
    }

    let pid: Int32
    /// By thread.
    let cores: [(tid: Int32, core: CoreEntry)]
    var living: Living?

    /// Writes them.
    ///
    /// - Throws: `image-unwritable`.
    func write(to directory: ImageDirectory) throws(Problem) {
        for (tid, core) in cores { try directory.write([core], as: .core, id: UInt64(tid)) }
        guard let living else { return }
        try directory.write([living.ids], as: .ids, id: UInt64(pid))
        try directory.write([living.memory], as: .mm, id: UInt64(pid))
        try directory.write(living.descriptors, as: .fdinfo, id: UInt64(living.ids.filesID))
        try directory.write([living.context], as: .fs, id: UInt64(pid))
    }
}
