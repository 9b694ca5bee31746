internal import CTrampoline

/// The program that a restored process begins as: a static ELF of a few hundred bytes, so that the process has a
/// handful of mappings, default signals and no runtime.
public enum Husk {
    /// The file of a husk.
    ///
    /// - Parameters:
    ///   - address: where its one page is mapped, a multiple of the page size.
    ///   - code: where it maps the trampoline.
    ///   - codeLength: how long the trampoline's part of the mailbox file is.
    ///   - dataLength: how long the rest is.
    ///   - file: the descriptor under which the husk finds the mailbox file.
    ///   - control: the control block to begin with.
    public static func executable(
        at address: RemoteAddress, code: RemoteAddress, codeLength: Int, dataLength: Int, file: Int32,
        control: RemoteAddress
    ) -> [UInt8] {
        var text = Trampoline.husk
        var values: [UInt8] = []
        for value in [code.raw, UInt64(codeLength), UInt64(dataLength), UInt64(file), control.raw] {
            values.append(littleEndian: value)
        }
        text.replaceSubrange(text.count - values.count..<text.count, with: values)
        return program(text, at: address)
    }

    /// A static ELF of one page of code and no data.
    static func program(_ text: [UInt8], at address: RemoteAddress) -> [UInt8] {
        let headers = 64 + 2 * 56
        var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        bytes.append(littleEndian: UInt16(2))  // ET_EXEC
        bytes.append(littleEndian: UInt16(62))  // EM_X86_64
        bytes.append(littleEndian: UInt32(1))
        bytes.append(littleEndian: (address + headers).raw)
        bytes.append(littleEndian: UInt64(64))
        bytes.append(littleEndian: UInt64(0))
        bytes.append(littleEndian: UInt32(0))
        for value in [64, 56, 2, 0, 0, 0] as [UInt16] { bytes.append(littleEndian: value) }
        let size = UInt64(headers + text.count)
        append(type: 1, flags: 5, [0, address.raw, address.raw, size, size, 4096], to: &bytes)
        // PT_GNU_STACK: the stack is not executable.
        append(type: 0x6474_e551, flags: 6, [0, 0, 0, 0, 0, 16], to: &bytes)
        return bytes + text
    }

    private static func append(type: UInt32, flags: UInt32, _ values: [UInt64], to bytes: inout [UInt8]) {
        bytes.append(littleEndian: type)
        bytes.append(littleEndian: flags)
        for value in values { bytes.append(littleEndian: value) }
    }

    /// Starts a husk as a new process.
    ///
    /// - Parameters:
    ///   - file: the descriptor of its executable.
    ///   - pid: the pid it shall have.
    ///   - sibling: it becomes a child of Apus' own parent.
    /// - Returns: the pid, or the negated errno of clone3(2).
    public static func spawn(_ file: Int32, pid: Int32, sibling: Bool) -> Int32 {
        Steps.take()
        let cloneParent: UInt64 = 0x8000
        return apus_spawn_husk(file, pid, sibling ? cloneParent : 0)
    }

    /// The code page of a restore: the interpreter.
    public static var interpreter: [UInt8] { Trampoline.maker }

    /// What has to stand in the vdso's tail of a restored process, and how far its code is from the start.
    public static var exit: (bytes: [UInt8], entry: Int) {
        let entry = Trampoline.aligned(VdsoTail.signature.count)
        let padding = Array(repeating: UInt8(0), count: entry - VdsoTail.signature.count)
        return (VdsoTail.signature + padding + Trampoline.sigreturn, entry)
    }

    /// The same for a 32-bit program.
    public static var compatExit: (bytes: [UInt8], entry: Int) {
        let entry = Trampoline.aligned(VdsoTail.signature.count)
        let padding = Array(repeating: UInt8(0), count: entry - VdsoTail.signature.count)
        return (VdsoTail.signature + padding + Trampoline.compatSigreturn, entry)
    }

    /// Where in a vdso there is room for `exit`: an offset from its start, or nil.
    public static func exitOffset(inVdso image: [UInt8]) -> Int? {
        let tail = VdsoTail(image: image, base: RemoteAddress(0))
        return tail.count >= exit.bytes.count ? Int(tail.start.raw) : nil
    }

    /// How many bytes of a vdso are the kernel's own; behind them may stand what an earlier run left.
    public static func vdsoLength(_ image: [UInt8]) -> Int {
        Int(VdsoTail(image: image, base: RemoteAddress(0)).start.raw)
    }
}
