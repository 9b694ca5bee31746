public import Diagnostics

/// On which nodes of the host memory is taken (set_mempolicy(2), mbind(2)).
public struct MemoryPolicy: Sendable, Equatable {
    /// MPOL_* with the flags of the mode, as get_mempolicy(2) tells it.
    public var mode: UInt32
    /// The numbers of the nodes, rising.
    public var nodes: [Int]

    /// More than any kernel has room for.
    public static let nodeLimit = 1024
    /// MPOL_F_RELATIVE_NODES: the nodes are counted among those that the process may use. MPOL_F_STATIC_NODES: the kernel
    /// remembers the nodes that are not to be had.
    private static let (relative, fixed): (UInt32, UInt32) = (1 << 14, 1 << 15)

    public init(mode: UInt32, nodes: [Int]) {
        self.mode = mode
        self.nodes = nodes
    }

    /// - Parameter mask: node 0 in bit 0 of the first byte.
    public init(mode: UInt32, mask: [UInt8]) {
        self.mode = mode
        nodes = (0..<mask.count * 8).filter { mask[$0 / 8] & 1 << UInt8($0 % 8) != 0 }
    }

    public var mask: [UInt8] {
        var mask = [UInt8](repeating: 0, count: Self.nodeLimit / 8)
        for node in nodes where 0..<Self.nodeLimit ~= node { mask[node / 8] |= 1 << UInt8(node % 8) }
        return mask
    }

    /// Whether a host has all that it asks for.
    public func isWhole(on there: [Int]) -> Bool {
        mode & Self.relative != 0 || nodes.allSatisfy(there.contains)
    }

    /// What is left of it on a host with other nodes.
    ///
    /// - Returns: nil where nothing is left.
    public func reduced(to there: [Int]) -> MemoryPolicy? {
        if nodes.isEmpty || mode & Self.relative != 0 { return self }
        let common = nodes.filter(there.contains)
        if common.isEmpty { return nil }
        return mode & Self.fixed != 0 ? self : MemoryPolicy(mode: mode, nodes: common)
    }

    /// "interleave 0,1", as numactl(8) would say it.
    public var description: String {
        let names = [
            "default", "preferred", "bind", "interleave", "local", "preferred-many", "weighted-interleave",
        ]
        let number = Int(mode & 0xfff)
        let name = number < names.count ? names[number] : "policy \(number)"
        return nodes.isEmpty ? name : "\(name) \(nodes.map(String.init).joined(separator: ","))"
    }

    /// For the supplement.
    public var members: [JSON.Member] {
        [.init("mode", .number(mode)), .init("nodes", .array(nodes.map { JSON.number($0) }))]
    }

    /// From the supplement.
    ///
    /// - Returns: nil where it cannot be understood.
    public init?(_ json: JSON) {
        guard let mode = json["mode"]?.bits, mode <= 0xffff, let elements = json["nodes"]?.elements,
            elements.count <= Self.nodeLimit
        else { return nil }
        var nodes: [Int] = []
        for element in elements {
            guard let bits = element.bits, bits < Self.nodeLimit, bits > nodes.last ?? -1 else { return nil }
            nodes.append(Int(bits))
        }
        self.init(mode: UInt32(mode), nodes: nodes)
    }
}
