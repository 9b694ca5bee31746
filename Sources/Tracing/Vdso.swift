internal import CTrampoline

/// The unused end of a process's vdso: executable memory in which nothing of the program's stands.
///
/// The kernel pads the vdso's image with zeros to whole pages. Code written there through `/proc/PID/mem` lands in a
/// private copy of the page, overwrites no instruction that the process may execute, and may stay when Apus is gone.
struct VdsoTail {
    /// Bytes that announce what Apus left at an earlier time and may overwrite.
    static let signature: [UInt8] = Array("\u{1}apus trampoline".utf8)

    /// Where Apus' code may begin, a multiple of 16.
    let start: RemoteAddress
    /// How many bytes there are from `start` to the end of the mapping.
    let count: Int

    /// Finds the tail.
    ///
    /// - Parameters:
    ///   - image: the bytes of the whole mapping.
    ///   - base: its address.
    init(image: [UInt8], base: RemoteAddress) {
        // What an earlier run left behind counts as unused.
        var end = VdsoTail.find(signature: VdsoTail.signature, in: image) ?? image.count
        while end > 0 && image[end - 1] == 0 { end -= 1 }
        end = min(image.count, max(Trampoline.aligned(end), VdsoTail.endOfElf(image)))
        start = base + end
        count = image.count - end
    }

    private static func find(signature: [UInt8], in image: [UInt8]) -> Int? {
        var index = 0
        while index + signature.count <= image.count {
            if image[index] == 1 && Array(image[index..<index + signature.count]) == signature { return index }
            index += 16
        }
        return nil
    }

    /// Where the section headers end, which the linker puts last: zeros within them are no free space.
    private static func endOfElf(_ image: [UInt8]) -> Int {
        guard image.count >= 64, Array(image[0..<4]) == [0x7f, 0x45, 0x4c, 0x46] else { return image.count }
        let isWide = image[4] != 1
        let offset =
            isWide ? image.littleEndian(UInt64.self, at: 0x28) : UInt64(image.littleEndian(UInt32.self, at: 0x20))
        let size = UInt64(image.littleEndian(UInt16.self, at: isWide ? 0x3a : 0x2e))
        let count = UInt64(image.littleEndian(UInt16.self, at: isWide ? 0x3c : 0x30))
        guard offset < UInt64(image.count), offset + size * count <= UInt64(image.count) else { return 0 }
        return Trampoline.aligned(Int(offset + size * count))
    }
}

/// The code of a dump, laid out for a vdso's tail.
struct CaveLayout {
    /// What a process's vdso leaves room for.
    enum Form {
        /// All the code, for two threads at one time.
        case wide
        /// All the code, for one thread at a time: the vdso of Linux 6.11 and 6.12 leaves 992 bytes.
        case narrow
        /// For 32-bit programs, whose vdso has half as much room: one thread at a time, and the interpreter lies in the
        /// mailbox.
        case compat

        var slots: Int {
            switch self {
            case .wide: 2
            case .narrow, .compat: 1
            }
        }

        var core: [UInt8] {
            switch self {
            case .wide, .narrow: Trampoline.core
            case .compat: []
            }
        }

        /// How many bytes it takes with a way out.
        func size(_ wayOut: Trampoline.WayOut) -> Int {
            Trampoline.aligned(VdsoTail.signature.count) + Trampoline.aligned(core.count)
                + Trampoline.aligned(Trampoline.single.count) + slots * Trampoline.aligned(wayOut.bytes.count)
        }
    }

    let base: RemoteAddress
    let form: Form
    /// How threads leave.
    var wayOut = Trampoline.resume
    var signature: RemoteAddress { base }
    var core: RemoteAddress { base + Trampoline.aligned(VdsoTail.signature.count) }
    var single: RemoteAddress { core + Trampoline.aligned(form.core.count) }
    func resume(_ slot: Int) -> RemoteAddress {
        single + Trampoline.aligned(Trampoline.single.count) + slot * Trampoline.aligned(wayOut.bytes.count)
    }
    /// Where the saved registers of a slot stand: the end of its copy of the code.
    func saved(_ slot: Int) -> RemoteAddress { resume(slot) + wayOut.savedOffset }

    /// All the code; saved registers are zero.
    var code: [UInt8] {
        var resume = wayOut.bytes
        if form == .compat { resume[wayOut.jumpKind] = UInt8(APUS_JUMP_FAR) }
        var bytes: [UInt8] = []
        for piece in [VdsoTail.signature, form.core, Trampoline.single]
            + Array(repeating: resume, count: form.slots)
        {
            bytes += piece
            bytes += Array(repeating: 0, count: Trampoline.aligned(bytes.count) - bytes.count)
        }
        return bytes
    }
}
