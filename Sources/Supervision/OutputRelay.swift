internal import Linux
internal import SystemPackage

/// Shows what the program writes into its file where `apus run` itself writes.
///
/// The program writes into files of the store, as a pipe or a terminal of whoever started it would hold it to this host.
struct OutputRelay {
    let file: FilePath
    let target: Int32
    /// How much has been shown.
    private var place: UInt64

    init(_ file: FilePath, to target: Int32) {
        self.file = file
        self.target = target
        place = (try? Files.status(of: file).size) ?? 0
    }

    /// Shows what has come since the last time.
    ///
    /// - Parameter waiting: for a reader that is slow. Without it what nobody takes yet is left for the next time, as the
    ///   program's checkpoints are not to wait for a pager.
    mutating func move(waiting: Bool = false) {
        guard let opened = try? Files.open(file, .readOnly) else { return }
        // What fits into one page of a pipe never blocks once there is room.
        while let bytes = try? Files.read(opened.raw, count: 4096, at: place), !bytes.isEmpty {
            var entries = [Files.PollEntry(target, .writable)]
            if !waiting, (try? Files.poll(&entries, timeout: 0)) ?? 0 == 0 { return }
            // Nobody may be there any more to read it: the file has it.
            try? Files.write(target, bytes)
            place += UInt64(bytes.count)
        }
    }
}
