internal import CLinux
public import SystemPackage

/// Maps of BPF (bpf(2)): tables in the kernel that programs in it and processes have in common.
public enum BpfMaps {
    /// What a map is made with.
    public struct Shape: Sendable, Equatable {
        /// BPF_MAP_TYPE_*.
        public var type: UInt32
        public var keySize, valueSize, capacity: UInt32
        /// BPF_F_*, without those that say how a descriptor may be used.
        public var flags: UInt32
        /// Without zero bytes.
        public var name: [UInt8]
        /// Types are known of its keys and values (BTF).
        public var hasTypes = false

        public init(
            type: UInt32, keySize: UInt32, valueSize: UInt32, capacity: UInt32, flags: UInt32, name: [UInt8]
        ) {
            (self.type, self.keySize, self.valueSize, self.capacity) = (type, keySize, valueSize, capacity)
            (self.flags, self.name) = (flags, name)
        }
    }

    private enum Command {
        static let (create, lookUp, update, nextKey): (UInt, UInt, UInt, UInt) = (0, 1, 2, 4)
        static let (nextProgram, program, map, info, freeze): (UInt, UInt, UInt, UInt, UInt) = (11, 13, 14, 15, 22)
    }

    private static let nameSize = 16

    private static func command(_ number: UInt, _ attributes: inout [UInt8]) throws(Errno) -> Int {
        let result = unsafe attributes.withUnsafeMutableBytes { buffer in
            // The address is used by one call within the closure that lends the memory.
            outcome(of: Int(SYS_bpf), number, UInt(bitPattern: buffer.baseAddress), UInt(buffer.count))
        }
        return try result.get()
    }

    private static func attributes(_ numbers: [UInt32]) -> [UInt8] {
        var bytes: [UInt8] = []
        for number in numbers { bytes.append(integer: number) }
        return bytes
    }

    /// BPF_MAP_CREATE.
    ///
    /// - Throws: EPERM without CAP_BPF or CAP_SYS_ADMIN; EINVAL for what the kernel does not know.
    public static func make(_ shape: Shape) throws(Errno) -> OwnedDescriptor {
        guard shape.name.count < nameSize else { throw .invalidArgument }
        // Behind them: an inner map, a node.
        var bytes = attributes([shape.type, shape.keySize, shape.valueSize, shape.capacity, shape.flags, 0, 0])
        bytes += shape.name + [UInt8](repeating: 0, count: nameSize - shape.name.count)
        return OwnedDescriptor(owning: Int32(try command(Command.create, &bytes)))
    }

    /// BPF_MAP_GET_FD_BY_ID: a descriptor of its own of a map.
    ///
    /// - Parameter way: read-only, write-only, or both.
    public static func open(_ id: UInt32, _ way: OpenFlags = .readWrite) throws(Errno) -> OwnedDescriptor {
        let (readOnly, writeOnly): (UInt32, UInt32) = (0x8, 0x10)  // BPF_F_RDONLY, BPF_F_WRONLY
        let flags: UInt32 = way.contains(.readWrite) ? 0 : way.contains(.writeOnly) ? writeOnly : readOnly
        var bytes = attributes([id, 0, flags])
        return OwnedDescriptor(owning: Int32(try command(Command.map, &bytes)))
    }

    /// BPF_OBJ_GET_INFO_BY_FD.
    private static func information(_ descriptor: Int32, _ information: inout [UInt8]) throws(Errno) {
        let size = UInt32(information.count)
        let result = unsafe information.withUnsafeMutableBytes { buffer -> Result<Int, Errno> in
            var bytes = attributes([UInt32(bitPattern: descriptor), size])
            bytes.append(integer: UInt(bitPattern: buffer.baseAddress))
            // The address is used by one call within the closure that lends the memory.
            return Result { () throws(Errno) in try command(Command.info, &bytes) }
        }
        _ = try result.get()
    }

    /// The id of a map, and its shape (struct bpf_map_info).
    public static func look(at map: Int32) throws(Errno) -> (id: UInt32, shape: Shape) {
        var bytes = [UInt8](repeating: 0, count: 88)
        try information(map, &bytes)
        let told = bytes[...]
        func number(_ offset: Int) -> UInt32 { told.integer(at: offset, of: UInt32.self) }
        var shape = Shape(
            type: number(0), keySize: number(8), valueSize: number(12), capacity: number(16), flags: number(20),
            name: Array(told.dropFirst(24).prefix(nameSize).prefix { $0 != 0 }))
        shape.hasTypes = number(64) != 0
        return (number(4), shape)
    }

    /// All that is in a map of one value for each key: the keys, and the values in the same order.
    public static func content(of map: Int32, _ shape: Shape) throws(Errno) -> (keys: [UInt8], values: [UInt8]) {
        var (keys, values): ([UInt8], [UInt8]) = ([], [])
        var (key, next) = ([UInt8](), [UInt8](repeating: 0, count: Int(shape.keySize)))
        var value = [UInt8](repeating: 0, count: Int(shape.valueSize))
        for _ in 0..<shape.capacity {
            do throws(Errno) { try element(Command.nextKey, map, &key, &next) } catch {
                if error == .noSuchFileOrDirectory { break }
                throw error
            }
            key = next
            try element(Command.lookUp, map, &key, &value)
            keys += key
            values += value
        }
        return (keys, values)
    }

    /// BPF_MAP_UPDATE_ELEM of each.
    public static func fill(_ map: Int32, _ shape: Shape, keys: [UInt8], values: [UInt8]) throws(Errno) {
        let (keySize, valueSize) = (Int(shape.keySize), Int(shape.valueSize))
        for index in 0..<keys.count / keySize {
            var key = Array(keys[index * keySize..<(index + 1) * keySize])
            var value = Array(values[index * valueSize..<(index + 1) * valueSize])
            try element(Command.update, map, &key, &value)
        }
    }

    private static func element(
        _ number: UInt, _ map: Int32, _ key: inout [UInt8], _ value: inout [UInt8]
    ) throws(Errno) {
        let isFirst = key.isEmpty
        let result = unsafe key.withUnsafeMutableBytes { key in
            unsafe value.withUnsafeMutableBytes { value -> Result<Int, Errno> in
                var bytes = attributes([UInt32(bitPattern: map), 0])
                // Both addresses are used by one call within the closures that lend the memory.
                bytes.append(integer: isFirst ? 0 : UInt(bitPattern: key.baseAddress))
                bytes.append(integer: UInt(bitPattern: value.baseAddress))
                bytes.append(integer: UInt64(0))
                return Result { () throws(Errno) in try command(number, &bytes) }
            }
        }
        _ = try result.get()
    }

    /// BPF_MAP_FREEZE: processes can no longer write to it.
    public static func freeze(_ map: Int32) throws(Errno) {
        var bytes = attributes([UInt32(bitPattern: map)])
        _ = try command(Command.freeze, &bytes)
    }

    /// A program in the kernel that uses a map, by its id.
    public static func program(using map: UInt32) throws(Errno) -> UInt32? {
        var id: UInt32 = 0
        while true {
            var next = attributes([id, 0, 0])
            do throws(Errno) { _ = try command(Command.nextProgram, &next) } catch {
                if error == .noSuchFileOrDirectory { return nil }
                throw error
            }
            id = next[...].integer(at: 4, of: UInt32.self)
            // One that has gone meanwhile uses nothing.
            if let used = try? maps(ofProgram: id), used.contains(map) { return id }
        }
    }

    private static func maps(ofProgram id: UInt32) throws(Errno) -> [UInt32] {
        var bytes = attributes([id, 0, 0])
        let program = OwnedDescriptor(owning: Int32(try command(Command.program, &bytes)))
        // struct bpf_prog_info: how many maps at 52, where to write their ids at 56.
        let (size, countPlace, most) = (64, 52, 64)
        var ids = [UInt8](repeating: 0, count: 4 * most)
        let result = unsafe ids.withUnsafeMutableBytes { buffer -> Result<Int, Errno> in
            var told = [UInt8](repeating: 0, count: countPlace)
            told.append(integer: UInt32(most))
            // The address is used by one call within the closure that lends the memory.
            told.append(integer: UInt(bitPattern: buffer.baseAddress))
            precondition(told.count == size, "the structure has no holes")
            return Result { () throws(Errno) in
                try information(program.raw, &told)
                return min(most, Int(told[...].integer(at: countPlace, of: UInt32.self)))
            }
        }
        let count = try result.get()
        return (0..<count).map { ids[...].integer(at: 4 * $0, of: UInt32.self) }
    }
}
