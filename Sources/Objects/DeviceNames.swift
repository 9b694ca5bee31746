internal import Linux
internal import SystemPackage

/// Other names of a device whose own name no longer leads to it (`--evasive-devices`).
///
/// A device file is nothing but a pair of numbers; any file with the same pair is the same device. A container that was
/// given a `/dev` of its own is the common case.
enum DeviceNames {
    /// Directories below this depth are not looked into: devices are not hidden deeper.
    private static let depth = 3

    /// A name below `/dev` for the device that a file stands for; nil where there is none, or the file is no device.
    static func another(for status: FileStatus) -> FilePath? {
        guard status.kind == .characterDevice else { return nil }
        return find(status.representedDevice, below: "/dev", depth: depth)
    }

    private static func find(_ device: DeviceNumber, below directory: FilePath, depth: Int) -> FilePath? {
        // A directory that cannot be read holds no name that the restore could use.
        guard let entries = try? Files.entries(of: directory) else { return nil }
        let (characterDevice, subdirectory): (UInt8, UInt8) = (2, 4)
        for entry in entries where entry.kind == characterDevice {
            let path = directory.appending(FilePath(bytes: entry.name).components)
            guard let found = try? Files.status(of: path, followLinks: false) else { continue }
            if found.kind == .characterDevice && found.representedDevice == device { return path }
        }
        guard depth > 1 else { return nil }
        for entry in entries where entry.kind == subdirectory {
            let path = directory.appending(FilePath(bytes: entry.name).components)
            if let found = find(device, below: path, depth: depth - 1) { return found }
        }
        return nil
    }
}
