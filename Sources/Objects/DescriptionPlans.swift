public import Diagnostics
public import Images

/// From the kinds of open file description in the images to what opens them: the one place that lists them.
public enum DescriptionPlans {
    /// What opens a description.
    ///
    /// - Throws: `object-unsupported` for a kind that Apus does not restore, naming it.
    public static func resource(
        for key: FileTable.Key, in images: CheckpointImages
    ) throws(Problem) -> any Resource {
        guard let entry = images.files.entries[key] else {
            throw Problem(
                .objectUnsupported, "the images have no file \(key)", remedy: "Copy the images again, all of them")
        }
        if key.type == .reg, entry.hasReg { return NamedFile(entry.reg) }
        if key.type == .pipe, entry.hasPipe {
            return PipeEnd(entry.pipe, content: images.pipes[entry.pipe.pipeID])
        }
        if key.type == .tty, entry.hasTty, let info = images.terminals[entry.tty.ttyInfoID] {
            return OutsideTerminal(entry.tty, info: info)
        }
        throw Problem(
            .objectUnsupported, "the images hold an open file of kind \(key), which Apus cannot restore yet",
            remedy: "Restore these images with CRIU, or dump the program again without such a file")
    }

    /// To whom a description sends signals (F_SETOWN, F_SETSIG), or nil.
    public static func owner(of key: FileTable.Key, in images: CheckpointImages) -> FownEntry? {
        guard let entry = images.files.entries[key] else { return nil }
        let owner =
            entry.hasReg ? entry.reg.fown : entry.hasPipe ? entry.pipe.fown : entry.hasTty ? entry.tty.fown : nil
        guard let owner, owner.pid != 0 || owner.signum != 0 else { return nil }
        return owner
    }
}
