internal import Diagnostics
internal import Images
internal import Objects
internal import SystemPackage

/// State in the images that Apus does not restore yet: named, never skipped.
extension Planner {
    mutating func refuseWhatWouldBeLost() {
        for remap in images.remaps {
            let isComplete =
                switch remap.remapType {
                case .ghost: images.ghosts[remap.remapID] != nil
                case .linked: images.files.regular(remap.remapID) != nil
                case .procfs: true
                }
            if isComplete { continue }
            let path = images.files.regular(remap.origID)?.path.string
            refuse(
                remap.remapType == .ghost
                    ? "a deleted file without its content"
                    : "a file that had lost its name, without the one that it was given",
                path: path)
        }
        for (id, data) in images.terminalData where !data.isEmpty {
            if let info = images.terminals[id], StoredTerminal.master(of: info, in: images) != nil { continue }
            refuse("\(data.count) bytes that wait in terminal \(id)")
        }
        // A dump of Apus has none of these; one of a container by CRIU does.
        var spaces: [String] = []
        for (prefix, name) in [
            ("mountpoints-", "mount"), ("netns-", "network"), ("utsns-", "host name"), ("userns-", "user"),
            ("pidns-", "pid"),
        ] where names.contains(where: { $0.hasPrefix(prefix) }) { spaces.append(name) }
        if !spaces.isEmpty {
            refuse("namespaces of its own (\(spaces.joined(separator: ", ")))", pid: images.root?.pid)
        }
        refuseForeignPrograms()
    }

    private mutating func refuse(_ what: String, pid: Int32? = nil, process: String? = nil, path: String? = nil) {
        problems.append(
            Problem(
                .objectUnsupported, "the images hold \(what), which Apus cannot restore yet",
                object: .init(pid: pid, process: process, path: path), remedy: "Restore these images with CRIU"))
    }
}
