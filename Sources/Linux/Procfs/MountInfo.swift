public import SystemPackage

/// A line of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)). Names are bytes, unescaped.
public struct MountInfo: Sendable, Equatable {
    public var id: Int32
    public var parent: Int32
    public var device: DeviceNumber
    /// The directory of the file system that is mounted.
    public var root: [UInt8]
    /// Relative to the process's root directory.
    public var mountPoint: [UInt8]
    /// Of the mount, as they stand: `rw,relatime`.
    public var options: [UInt8]
    /// Propagation, as it stands: `shared:7`, `master:2`, `propagate_from:3`, `unbindable`.
    public var propagation: [String]
    public var fileSystem: [UInt8]
    public var source: [UInt8]
    /// Of the file system, as they stand.
    public var superOptions: [UInt8]

    /// Parses the text.
    ///
    /// - Parameter file: named in errors.
    public static func parse(_ text: [UInt8], file: FilePath = "mountinfo") throws(ProcfsError) -> [MountInfo] {
        var mounts: [MountInfo] = []
        for line in TextCursor(text, file: file).lines() { mounts.append(try MountInfo(line)) }
        return mounts
    }

    private init(_ line: TextCursor) throws(ProcfsError) {
        var line = line
        id = try line.number("the mount's id")
        parent = try line.number("the parent's id")
        let major: UInt32 = try line.number("the device")
        try line.expect(":")
        device = DeviceNumber(major: major, minor: try line.number("the device"))
        root = try line.name("the root")
        mountPoint = try line.name("the mount point")
        options = try line.name("the options")
        propagation = []
        while true {
            let word = line.word()
            if word.isEmpty { throw line.malformed("'-' after the optional fields") }
            if word.elementsEqual([UInt8(ascii: "-")]) { break }
            propagation.append(String(decoding: word, as: UTF8.self))
        }
        fileSystem = try line.name("the file system's type")
        // The source may be empty, which shows as two blanks in a row.
        try line.expect(" ")
        source = line.next == UInt8(ascii: " ") ? [] : line.word().withoutOctalEscapes()
        superOptions = line.word().withoutOctalEscapes()
    }
}

extension TextCursor {
    fileprivate mutating func name(_ expected: String) throws(ProcfsError) -> [UInt8] {
        let text = word()
        if text.isEmpty { throw malformed(expected) }
        return text.withoutOctalEscapes()
    }
}
