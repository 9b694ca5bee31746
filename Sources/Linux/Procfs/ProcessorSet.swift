internal import SystemPackage

/// The processors that control groups (cpuset(7), cgroups(7)) leave to a thread. Its affinity is never more than these, so that
/// one which is just these comes from there, and not from the program.
public struct ProcessorSet: Sendable {
    private let mounts: [MountInfo]

    /// - Parameter mounts: those of the process that looks.
    public init(mounts: [MountInfo]) { self.mounts = mounts }

    /// Those that a thread has; nil where the kernel has no such groups, or does not show them here.
    public func processors(of thread: ProcessDirectory) -> [UInt8]? {
        guard let groups = try? thread.controlGroups() else { return nil }
        for place in places(of: groups) {
            guard let text = try? Files.contents(of: place) else { continue }
            return ProcessorMask.parse(String(decoding: text.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
        }
        return nil
    }

    /// The files that may tell, the first that is there being right: a group of the unified hierarchy that does not limit
    /// processors itself has none, and goes by the one above.
    func places(of groups: [ControlGroup]) -> [FilePath] {
        let controller = Array("cpuset".utf8)
        for group in groups where group.controllers.split(separator: UInt8(ascii: ",")).contains(controller[...]) {
            let mount = mounts.last { mount in
                mount.fileSystem.elementsEqual("cgroup".utf8)
                    && mount.superOptions.split(separator: UInt8(ascii: ",")).contains(controller[...])
            }
            guard let folder = mount.flatMap({ Self.folder(of: group, at: $0) }) else { return [] }
            return ["cpuset.effective_cpus", "cpuset.cpus"].map { folder.appending($0) }
        }
        guard let group = groups.first(where: { $0.hierarchy == 0 && $0.controllers.isEmpty }),
            let mount = mounts.last(where: { $0.fileSystem.elementsEqual("cgroup2".utf8) }),
            var folder = Self.folder(of: group, at: mount)
        else { return [] }
        let top = FilePath(bytes: mount.mountPoint)
        var places = [folder]
        while folder != top && folder.removeLastComponent() { places.append(folder) }
        return places.map { $0.appending("cpuset.cpus.effective") }
    }

    /// Where a group is in the file system; nil for one that is not below what is mounted.
    private static func folder(of group: ControlGroup, at mount: MountInfo) -> FilePath? {
        var (path, root) = (FilePath(bytes: group.path), FilePath(bytes: mount.root))
        guard path.removePrefix(root), !path.components.contains(where: { $0.kind == .parentDirectory }) else {
            return nil
        }
        root = FilePath(bytes: mount.mountPoint)
        return root.appending(path.components)
    }
}
