internal import Linux

/// Which file something is, by whatever name and however often it is open or mapped.
struct InodeIdentity: Hashable, Sendable {
    let device: DeviceNumber
    let inode: UInt64

    init(_ status: FileStatus) { (device, inode) = (status.device, status.inode) }

    init(_ area: MappedArea) { (device, inode) = (area.device, area.inode) }
}
