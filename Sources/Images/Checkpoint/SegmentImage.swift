internal import Diagnostics
public import ImageMessages
internal import SystemPackage

/// A segment of System V shared memory in the images.
public struct SegmentImage: Sendable {
    /// The IPC namespace that it is in, by its number in the images.
    public var namespace: UInt32
    public var entry: IpcShmEntry
    /// Where its content stands in the image itself; empty where it stands in `pagemap-shmem-ID.img`.
    public var payload: Range<UInt64>
}

extension ImageDirectory {
    /// All segments of all namespaces.
    func segments(_ names: [String]) throws(Problem) -> [SegmentImage] {
        var found: [SegmentImage] = []
        let layout = ImageKind.ipcSharedMemory.layout
        for name in names {
            guard let id = layout.id(inFileName: name) else { continue }
            guard let namespace = UInt32(exactly: id) else {
                throw .image(.imageInvalid, path.appending(name), "the number in the name is too large")
            }
            for record in try records(.ipcSharedMemory, id: id) {
                found.append(.init(namespace: namespace, entry: record.entry, payload: record.payload))
            }
        }
        return found
    }
}

extension CheckpointImages {
    /// The IPC namespace of the tree, where it is not the one that the dump shared with its host.
    public var ownIPCNamespace: UInt32? {
        guard let ids = root?.ids, ids.hasIpcNsID, inventory.rootIds.hasIpcNsID else { return nil }
        return ids.ipcNsID == inventory.rootIds.ipcNsID ? nil : ids.ipcNsID
    }
}
