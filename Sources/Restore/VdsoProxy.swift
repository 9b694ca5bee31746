internal import Tracing

/// How the vdso of another kernel goes on at its old addresses.
///
/// A program has the addresses of the vdso's functions in its memory: the C library has looked them up. So the old
/// vdso's bytes are put back where they were, as ordinary memory, and each function's first instruction becomes a
/// jump: to the same function of this kernel's own vdso, which is mapped elsewhere, or to the system call that does
/// the same. Its data pages, vvar, come back as zeros. Code that was interrupted in the midst of an old function (the
/// thread itself, or below a signal handler) then finds a clock without a clock source, and makes a system call too.
///
/// All of it is plain memory to a later dump, whose vdso is the one of this kernel: nothing has to be recognised, and
/// on a third kernel the same is done with that one.
struct VdsoProxy {
    /// Bytes to write over the old vdso.
    struct Patch: Equatable {
        var offset: Int
        var bytes: [UInt8]
    }

    /// In order of address, without overlap.
    let patches: [Patch]

    /// Why there can be none.
    enum Refusal: Error, Equatable {
        /// The bytes are no vdso.
        case unreadable
        /// A function that this kernel has in no form.
        case unknown(String)
        /// There is no room for the code.
        case noRoom
    }

    /// `jmp` to a 32-bit distance.
    static let jumpSize = 5

    /// - Parameters:
    ///   - old: the bytes of the vdso that the program knows.
    ///   - new: the bytes of this kernel's.
    ///   - place: where this kernel's will be mapped.
    init(old: [UInt8], new: [UInt8], at place: UInt64) throws(Refusal) {
        guard let functions = VdsoFunctions(image: old), let present = VdsoFunctions(image: new)?.offsets else {
            throw .unreadable
        }
        let entries = Dictionary(grouping: functions.all, by: \.offset).sorted { $0.key < $1.key }
        // Each jumps into the unused end of the old vdso, which is always near enough, and from there anywhere.
        let room = VdsoProxy.tail(of: old)
        var code: [UInt8] = []
        var patches: [Patch] = []
        var end = 0
        for (offset, names) in entries {
            guard let first = names.first else { continue }
            let size = names.reduce(0) { max($0, $1.size) }
            guard offset >= end, size >= Self.jumpSize else { throw .noRoom }
            end = offset + Self.jumpSize
            let target = room.lowerBound + code.count
            guard let piece = Self.piece(for: first.purpose, present, place) else { throw .unknown(first.name) }
            patches.append(Patch(offset: offset, bytes: Self.jump(from: offset, to: target)))
            code += piece
        }
        guard end <= room.lowerBound, code.count <= room.count else { throw .noRoom }
        if !code.isEmpty { patches.append(Patch(offset: room.lowerBound, bytes: code)) }
        self.patches = patches
    }

    static func tail(of image: [UInt8]) -> Range<Int> { Husk.vdsoLength(image)..<image.count }

    /// Whether a thread that stands there would find the second half of an instruction.
    func breaks(_ offset: UInt64) -> Bool {
        patches.contains { $0.offset < offset && offset < UInt64($0.offset + $0.bytes.count) }
    }

    // MARK: Machine code

    static func jump(from offset: Int, to target: Int) -> [UInt8] {
        var bytes: [UInt8] = [0xe9]
        bytes.append(littleEndian: Int32(truncatingIfNeeded: target - offset - jumpSize))
        return bytes
    }

    /// What stands for one function: 16 bytes, or a multiple.
    private static func piece(for purpose: String, _ present: [String: Int], _ place: UInt64) -> [UInt8]? {
        // Its state is a structure of the kernel that made it: no other kernel's function can go on with it. Asked
        // (by a length of -1) how large such a state is, the answer is that there is no such function.
        if purpose == "getrandom" { return padded([0x49, 0x83, 0xf8, 0xff, 0x74, 0x08] + call(318) + failure) }
        if let offset = present[purpose] {
            var bytes: [UInt8] = [0xff, 0x25, 0, 0, 0, 0]  // jmp *0(%rip)
            bytes.append(littleEndian: place + UInt64(offset))
            return padded(bytes)
        }
        if let number = calls[purpose] { return padded(call(number)) }
        // SGX, which no other host could go on with either.
        return purpose == "sgx_enter_enclave" ? padded(failure) : nil
    }

    private static let calls: [String: UInt32] = [
        "clock_gettime": 228, "gettimeofday": 96, "time": 201, "clock_getres": 229, "getcpu": 309,
    ]

    /// A function that makes the system call with its own arguments; 8 bytes.
    private static func call(_ number: UInt32) -> [UInt8] {
        var bytes: [UInt8] = [0xb8]  // mov $number, %eax
        bytes.append(littleEndian: number)
        return bytes + [0x0f, 0x05, 0xc3]  // syscall; ret
    }

    /// A function that returns -ENOSYS.
    private static let failure: [UInt8] = [0x48, 0xc7, 0xc0, 0xda, 0xff, 0xff, 0xff, 0xc3]

    static func padded(_ bytes: [UInt8]) -> [UInt8] {
        bytes + Array(repeating: 0xcc, count: (16 - bytes.count % 16) % 16)
    }
}
