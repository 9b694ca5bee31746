internal import CLinux
internal import Glibc
internal import Synchronization
public import SystemPackage

/// The memory of the running kernel, to be read and never written: for what no interface tells, as what was sent on a
/// connection that nobody has accepted yet.
///
/// Two programs of BPF, of six and of five instructions, are run when they are asked (BPF_PROG_TEST_RUN, Linux 5.10): one
/// copies bytes from an address, which the kernel checks and gives up where nothing is mapped; the other says which task
/// runs it, and from there the structures lead to everything else. How they are laid out, `KernelTypes` tells. To
/// find one's way so is what debuggers do: what is read has to be doubted, and nothing is done by it but copying it.
///
/// It needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN), CONFIG_BPF_SYSCALL and CONFIG_DEBUG_INFO_BTF, and a kernel that is
/// not locked down against being read (kernel_lockdown(7)).
public final class KernelMemory {
    public let types: KernelTypes
    private let copier, asker: OwnedDescriptor
    private let room: MappedRegion
    /// How much is read at a time.
    private static let capacity = 64 << 10
    private var offsets: [String: UInt64] = [:]
    /// Where the pages of the machine are seen, once that was found out.
    private var pages: PageAddresses?

    private static let shared = Mutex<KernelMemory?>(nil)

    /// Lends the memory out, to one at a time.
    ///
    /// - Throws: EPERM, ENOENT or EINVAL where this kernel does not let it be read.
    public static func use<Value: Sendable>(
        _ body: (KernelMemory) throws(Errno) -> Value
    ) throws(Errno) -> Value {
        try shared.withLock { (known) throws(Errno) -> Value in
            let memory: KernelMemory
            if let known { memory = known } else { memory = try KernelMemory() }
            known = memory
            return try body(memory)
        }
    }

    private init() throws(Errno) {
        types = try KernelTypes.running()
        let (array, canBeMapped): (UInt32, UInt32) = (2, 0x400)
        // union bpf_attr for BPF_MAP_CREATE: type, sizes of key and value, number of values, flags.
        let map = try Self.make(0, words: [array, 4, UInt32(Self.capacity), 1, canBeMapped])
        room = try MappedRegion(of: map.raw, count: Self.capacity, writable: false)
        let (copy, currentTask): (Int32, Int32) = (113, 35)
        // bpf_probe_read_kernel(room, length, address); the length is not above the capacity for the verifier to see.
        copier = try Self.load([
            .load(3, fromWord: 0, at: 1), .load(2, fromWord: 1, at: 1),
            .and(2, Int32(Self.capacity - 1)), .address(ofMap: map.raw, to: 1), .call(copy), .exit,
        ])
        asker = try Self.load([
            .call(currentTask), .address(ofMap: map.raw, to: 1), .store(0, at: 1), .move(0, 0), .exit,
        ])
    }

    // MARK: bpf(2)

    private static func make(_ command: UInt, words: [UInt32]) throws(Errno) -> OwnedDescriptor {
        var attributes: [UInt8] = []
        for word in words { attributes.append(integer: word) }
        attributes += [UInt8](repeating: 0, count: 128 - attributes.count)
        let number = try withAddress(ofBytes: attributes) { address, count in
            outcome(of: Int(SYS_bpf), command, address, count)
        }.get()
        return OwnedDescriptor(owning: Int32(number))
    }

    private static func load(_ program: [Instruction]) throws(Errno) -> OwnedDescriptor {
        let (loadProgram, rawTracepoint): (UInt, UInt32) = (5, 17)
        let instructions = program.flatMap(\.bytes)
        // The helpers are for programs under a licence that is compatible with the kernel's.
        let licence = Array("Dual MIT/GPL".utf8) + [0]
        let loaded = withAddress(ofBytes: instructions) { code, length in
            withAddress(ofBytes: licence) { licence, _ in
                Result { () throws(Errno) in
                    try make(
                        loadProgram,
                        words: [
                            rawTracepoint, UInt32(length / 8), UInt32(truncatingIfNeeded: code),
                            UInt32(truncatingIfNeeded: code >> 32), UInt32(truncatingIfNeeded: licence),
                            UInt32(truncatingIfNeeded: licence >> 32),
                        ]
                    ).release()
                }
            }
        }
        return OwnedDescriptor(owning: try loaded.get())
    }

    /// - Returns: what the program returned.
    private func run(_ program: Int32, _ arguments: [UInt64]) throws(Errno) -> Int32 {
        let testRun: UInt = 10
        var context: [UInt8] = []
        for argument in arguments { context.append(integer: argument) }
        var returned: Int32 = 0
        _ = try withAddress(ofBytes: context) { address, count in
            // union bpf_attr for BPF_PROG_TEST_RUN: the program, the result; eight words on, the length of what it is given and
            // where that is.
            var attributes: [UInt8] = []
            attributes.append(integer: program)
            attributes += [UInt8](repeating: 0, count: 36)
            attributes.append(integer: UInt32(count))
            attributes.append(integer: UInt32(0))
            attributes.append(integer: UInt64(address))
            attributes += [UInt8](repeating: 0, count: 128 - attributes.count)
            return unsafe attributes.withUnsafeMutableBytes { attributes in
                // The kernel writes its answer into the same bytes, during the call.
                let result = outcome(
                    of: Int(SYS_bpf), testRun, UInt(bitPattern: attributes.baseAddress), UInt(attributes.count))
                returned = unsafe attributes.loadUnaligned(fromByteOffset: 4, as: Int32.self)
                return result
            }
        }.get()
        return returned
    }

    // MARK: Reading

    /// Reads bytes.
    ///
    /// - Throws: EFAULT where nothing is at that address.
    public func bytes(_ count: Int, at address: UInt64) throws(Errno) -> [UInt8] {
        var found: [UInt8] = []
        while found.count < count {
            let part = min(count - found.count, Self.capacity / 2)
            let result = try run(copier.raw, [address &+ UInt64(found.count), UInt64(part)])
            // An address that is none of the kernel's is out of range.
            if result < 0 { throw -result == Errno.outOfRange.rawValue ? .badAddress : Errno(rawValue: -result) }
            found += room.bytes(in: 0..<part)
        }
        return found
    }

    public func word(at address: UInt64) throws(Errno) -> UInt64 {
        try bytes(8, at: address)[...].integer(at: 0, of: UInt64.self)
    }

    public func number(at address: UInt64) throws(Errno) -> UInt32 {
        try bytes(4, at: address)[...].integer(at: 0, of: UInt32.self)
    }

    /// Where a member lies.
    ///
    /// - Throws: EOPNOTSUPP where this kernel has no such member: it is newer, or older, than this program knows.
    public func offset(_ structure: String, _ path: String) throws(Errno) -> UInt64 {
        let name = "\(structure).\(path)"
        if let known = offsets[name] { return known }
        guard let offset = types.offset(of: path, in: structure) else { throw .notSupported }
        offsets[name] = UInt64(offset)
        return UInt64(offset)
    }

    /// The pointer, or other 64 bits, in a member of the structure at an address.
    public func pointer(_ address: UInt64, _ structure: String, _ path: String) throws(Errno) -> UInt64 {
        try word(at: address &+ offset(structure, path))
    }

    /// The 32 bits in a member of the structure at an address.
    public func number(_ address: UInt64, _ structure: String, _ path: String) throws(Errno) -> UInt32 {
        try number(at: address &+ offset(structure, path))
    }

    /// A member of a few bits, at most 25.
    public func bits(_ address: UInt64, _ structure: String, _ path: String) throws(Errno) -> UInt32 {
        guard let field = types.bits(of: path, in: structure), field.width > 0 else { throw .notSupported }
        let word = try number(at: address &+ UInt64(field.offset / 8))
        return word >> UInt32(field.offset % 8) & (1 << UInt32(field.width) - 1)
    }

    // MARK: Ways in

    /// struct task_struct of the thread that asks.
    public func task() throws(Errno) -> UInt64 {
        _ = try run(asker.raw, [0])
        return room.bytes(in: 0..<8)[...].integer(at: 0, of: UInt64.self)
    }

    /// struct file that a descriptor of this process leads to: the same for all descriptors of one description.
    public func file(_ descriptor: Int32) throws(Errno) -> UInt64 {
        let table = try pointer(try pointer(task(), "task_struct", "files"), "files_struct", "fdt")
        guard descriptor >= 0, UInt32(descriptor) < (try number(table, "fdtable", "max_fds")) else {
            throw .badFileDescriptor
        }
        return try word(at: try pointer(table, "fdtable", "fd") &+ 8 * UInt64(descriptor))
    }

    /// The last part of the name that a file (struct file) was opened by; empty for what has none.
    public func name(ofFile file: UInt64) throws(Errno) -> String {
        let entry = try pointer(file, "file", "f_path.dentry")
        let name = try pointer(entry, "dentry", "d_name.name")
        let longest = 255
        return String(decoding: try bytes(longest, at: name).prefix { $0 != 0 }, as: UTF8.self)
    }

    /// struct sock of a socket.
    public func socket(_ descriptor: Int32) throws(Errno) -> UInt64 {
        try pointer(try pointer(file(descriptor), "file", "private_data"), "socket", "sk")
    }

    /// Reads from a page by the address of its struct page.
    public func bytes(_ count: Int, at offset: Int, inPage page: UInt64) throws(Errno) -> [UInt8] {
        let known: PageAddresses
        if let pages { known = pages } else { known = try PageAddresses(self) }
        pages = known
        return try bytes(count, at: known.address(ofPage: page) &+ UInt64(offset))
    }
}

@available(*, unavailable)
extension KernelMemory: Sendable {}
