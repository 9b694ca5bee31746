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
        let offset = image.littleEndian(UInt64.self, at: 0x28)
        let size = UInt64(image.littleEndian(UInt16.self, at: 0x3a))
        let count = UInt64(image.littleEndian(UInt16.self, at: 0x3c))
        guard offset < UInt64(image.count), offset + size * count <= UInt64(image.count) else { return 0 }
        return Trampoline.aligned(Int(offset + size * count))
    }
}

/// The code of a dump, laid out for a vdso's tail.
struct CaveLayout {
    /// How many threads can be under control at one time.
    static let slots = 2

    let base: RemoteAddress
    var signature: RemoteAddress { base }
    var core: RemoteAddress { base + Trampoline.aligned(VdsoTail.signature.count) }
    var single: RemoteAddress { core + Trampoline.aligned(Trampoline.core.count) }
    func resume(_ slot: Int) -> RemoteAddress {
        single + Trampoline.aligned(Trampoline.single.count) + slot * Trampoline.aligned(Trampoline.resume.count)
    }
    /// Where the saved registers of a slot stand: the end of its copy of the code.
    func saved(_ slot: Int) -> RemoteAddress {
        resume(slot) + (Trampoline.resume.count - MemoryLayout<apus_saved>.size)
    }

    static let size =
        Trampoline.aligned(VdsoTail.signature.count) + Trampoline.aligned(Trampoline.core.count)
        + Trampoline.aligned(Trampoline.single.count) + slots * Trampoline.aligned(Trampoline.resume.count)

    /// All the code; saved registers are zero.
    static let code: [UInt8] = {
        var bytes: [UInt8] = []
        for piece in [VdsoTail.signature, Trampoline.core, Trampoline.single]
            + Array(repeating: Trampoline.resume, count: slots)
        {
            bytes += piece
            bytes += Array(repeating: 0, count: Trampoline.aligned(bytes.count) - bytes.count)
        }
        return bytes
    }()
}
