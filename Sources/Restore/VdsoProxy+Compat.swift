internal import Tracing

/// The same for 32-bit programs. A jump reaches all of their memory, so it leads to the new function itself.
extension VdsoProxy {
    /// Code without data of its own, that goes on as it is: it makes its system call and nothing else. The kernel looks
    /// for no handler's frame by its address.
    private static let selfContained: Set<String> = ["__kernel_sigreturn", "__kernel_rt_sigreturn"]

    /// - Parameters:
    ///   - old: the bytes of the 32-bit vdso that the program knows, at `oldPlace`.
    ///   - new: the bytes of this kernel's, at `place`.
    init(compat old: [UInt8], at oldPlace: UInt64, new: [UInt8], at place: UInt64) throws(Refusal) {
        guard let functions = VdsoFunctions(image: old), let present = VdsoFunctions(image: new)?.offsets else {
            throw .unreadable
        }
        let entries = Dictionary(grouping: functions.all, by: \.offset).sorted { $0.key < $1.key }
        let room = VdsoProxy.tail(of: old)
        var code: [UInt8] = []
        var patches: [Patch] = []
        var end = 0
        for (offset, names) in entries {
            guard let first = names.first, !Self.selfContained.contains(first.name) else { continue }
            guard offset >= end, names.contains(where: { $0.size >= Self.jumpSize }) else { throw .noRoom }
            end = offset + Self.jumpSize
            if let target = present[first.purpose] {
                let distance = place &+ UInt64(target) &- oldPlace
                patches.append(
                    Patch(
                        offset: offset,
                        bytes: Self.jump(from: offset, to: Int(truncatingIfNeeded: distance))))
                continue
            }
            guard let number = Self.compatCalls[first.purpose] else { throw .unknown(first.name) }
            patches.append(Patch(offset: offset, bytes: Self.jump(from: offset, to: room.lowerBound + code.count)))
            code += Self.padded(Self.compatCall(number))
        }
        guard end <= room.lowerBound, code.count <= room.count else { throw .noRoom }
        if !code.isEmpty { patches.append(Patch(offset: room.lowerBound, bytes: code)) }
        self.patches = patches
    }

    /// Numbers of i386 (asm/unistd_32.h).
    private static let compatCalls: [String: UInt32] = [
        "clock_gettime": 265, "gettimeofday": 78, "time": 13, "clock_getres": 266, "clock_gettime64": 403,
        "getcpu": 318,
    ]

    /// A function that makes the system call with its own three arguments, which are on the stack.
    private static func compatCall(_ number: UInt32) -> [UInt8] {
        // push %ebx; mov 8(%esp), %ebx; mov 12(%esp), %ecx; mov 16(%esp), %edx; mov $number, %eax
        var bytes: [UInt8] = [0x53, 0x8b, 0x5c, 0x24, 8, 0x8b, 0x4c, 0x24, 12, 0x8b, 0x54, 0x24, 16, 0xb8]
        bytes.append(littleEndian: number)
        return bytes + [0xcd, 0x80, 0x5b, 0xc3]  // int $0x80; pop %ebx; ret
    }
}
