/// An instruction of BPF (RFC 9669), by hand: the few that Apus' programs are made of.
struct Instruction {
    private let code, registers: UInt8
    private let immediate: Int32
    /// The second half of one that holds 64 bits.
    private let isWide: Bool

    private init(
        _ code: UInt8, to target: UInt8 = 0, from source: UInt8 = 0, _ immediate: Int32 = 0, wide: Bool = false
    ) {
        self.code = code
        registers = source << 4 | target
        self.immediate = immediate
        isWide = wide
    }

    /// Sets a register to the address of the one value of a map (BPF_PSEUDO_MAP_VALUE).
    static func address(ofMap map: Int32, to register: UInt8) -> Instruction {
        Instruction(0x18, to: register, from: 2, map, wide: true)
    }

    static func load(_ register: UInt8, fromWord word: Int16, at address: UInt8) -> Instruction {
        var made = Instruction(0x79, to: register, from: address)
        made.offset = 8 * word
        return made
    }

    static func store(_ register: UInt8, at address: UInt8) -> Instruction {
        Instruction(0x7b, to: address, from: register)
    }

    static func move(_ register: UInt8, _ value: Int32) -> Instruction { Instruction(0xb7, to: register, value) }
    static func and(_ register: UInt8, _ value: Int32) -> Instruction { Instruction(0x57, to: register, value) }
    /// Calls a helper of the kernel, by its number (bpf-helpers(7)).
    static func call(_ helper: Int32) -> Instruction { Instruction(0x85, helper) }
    static let exit = Instruction(0x95)

    private var offset: Int16 = 0

    /// struct bpf_insn.
    var bytes: [UInt8] {
        var bytes = [code, registers]
        bytes.append(integer: UInt16(bitPattern: offset))
        bytes.append(integer: UInt32(bitPattern: immediate))
        return bytes + [UInt8](repeating: 0, count: isWide ? 8 : 0)
    }
}
