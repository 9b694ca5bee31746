public import Diagnostics

/// What the format of the images has no place for about the memory of a process: the section `memory` of the
/// supplement, by pid.
public struct MemoryTraits: Sendable, Equatable {
    /// Guards within mappings (MADV_GUARD_INSTALL of madvise(2)): touching them is SIGSEGV.
    public var guards: [Range<UInt64>] = []
    /// Mappings that are locked as they are touched (MLOCK_ONFAULT of mlock2(2)).
    public var lockedOnFault: [Range<UInt64>] = []
    /// Mappings that cannot be changed any more (mseal(2)).
    public var sealed: [Range<UInt64>] = []
    /// Mappings that the kernel may empty at any time (MAP_DROPPABLE of mmap(2)).
    public var droppable: [Range<UInt64>] = []
    /// Names of anonymous memory (PR_SET_VMA_ANON_NAME of prctl(2)).
    public var names: [Named] = []
    /// On which nodes of the host the memory of mappings is taken (mbind(2)).
    public var policies: [Placed] = []
    /// What mlockall(2) has said about future mappings: MCL_FUTURE and MCL_ONFAULT, or 0.
    public var futureLocks: UInt32 = 0

    /// The protection keys that the program has allocated (pkeys(7)), rising.
    public var keys: [Int] = []
    /// Mappings with a protection key.
    public var keyed: [Keyed] = []

    /// What pkey_alloc(2) can give: key 0 is everybody's.
    public static let possibleKeys = 1..<16

    /// A mapping with a protection key.
    public struct Keyed: Sendable, Equatable {
        public var range: Range<UInt64>
        public var key: Int

        public init(range: Range<UInt64>, key: Int) {
            self.range = range
            self.key = key
        }
    }

    /// A mapping with a name.
    public struct Named: Sendable, Equatable {
        public var range: Range<UInt64>
        public var name: [UInt8]

        public init(range: Range<UInt64>, name: [UInt8]) {
            self.range = range
            self.name = name
        }
    }

    /// Mappings with a policy.
    public struct Placed: Sendable, Equatable {
        public var range: Range<UInt64>
        public var policy: MemoryPolicy

        public init(range: Range<UInt64>, policy: MemoryPolicy) {
            self.range = range
            self.policy = policy
        }
    }

    public init() {}

    public var isEmpty: Bool { self == MemoryTraits() }

    /// Everything that is said of a range.
    public var ranges: [Range<UInt64>] {
        guards + lockedOnFault + sealed + droppable + names.map(\.range) + policies.map(\.range) + keyed.map(\.range)
    }

    private static var lists: [(name: String, ranges: WritableKeyPath<MemoryTraits, [Range<UInt64>]>)] {
        [("guards", \.guards), ("lockedOnFault", \.lockedOnFault), ("sealed", \.sealed), ("droppable", \.droppable)]
    }

    /// As it stands in the supplement: addresses are numbers, a range is an array of its two ends.
    public var json: JSON {
        var members: [JSON.Member] = []
        for (name, ranges) in Self.lists where !self[keyPath: ranges].isEmpty {
            members.append(.init(name, .array(self[keyPath: ranges].map(Self.json))))
        }
        if !names.isEmpty {
            let values = names.map { named in
                JSON.object([
                    .init("range", Self.json(named.range)),
                    .init("name", .array(named.name.map { JSON.number($0) })),
                ])
            }
            members.append(.init("names", .array(values)))
        }
        if !policies.isEmpty {
            let values = policies.map { placed in
                JSON.object([.init("range", Self.json(placed.range))] + placed.policy.members)
            }
            members.append(.init("policies", .array(values)))
        }
        if !keys.isEmpty { members.append(.init("keys", .array(keys.map { JSON.number($0) }))) }
        if !keyed.isEmpty {
            let values = keyed.map {
                JSON.object([.init("range", Self.json($0.range)), .init("key", .number($0.key))])
            }
            members.append(.init("keyed", .array(values)))
        }
        if futureLocks != 0 { members.append(.init("futureLocks", .number(futureLocks))) }
        return .object(members)
    }

    private static func json(_ range: Range<UInt64>) -> JSON {
        .array([.number(range.lowerBound), .number(range.upperBound)])
    }

    /// - Returns: nil where it cannot be understood, or tells of more than this.
    public init?(_ json: JSON) {
        guard case .object(let members) = json else { return nil }
        for member in members {
            if let list = Self.lists.first(where: { $0.name == member.name }) {
                guard let ranges = Self.ranges(member.value) else { return nil }
                self[keyPath: list.ranges] = ranges
            } else if member.name == "names" {
                for value in member.value.elements ?? [] {
                    guard let range = value["range"].flatMap(Self.range), let name = value["name"]?.elements else {
                        return nil
                    }
                    names.append(.init(range: range, name: name.map { UInt8(truncatingIfNeeded: $0.bits ?? 0) }))
                }
            } else if member.name == "policies" {
                for value in member.value.elements ?? [] {
                    guard let range = value["range"].flatMap(Self.range), let policy = MemoryPolicy(value) else {
                        return nil
                    }
                    policies.append(.init(range: range, policy: policy))
                }
            } else if member.name == "keys" {
                for value in member.value.elements ?? [] {
                    guard let key = Self.key(value), key > keys.last ?? 0 else { return nil }
                    keys.append(key)
                }
            } else if member.name == "keyed" {
                for value in member.value.elements ?? [] {
                    guard let range = value["range"].flatMap(Self.range), let key = value["key"].flatMap(Self.key)
                    else {
                        return nil
                    }
                    keyed.append(.init(range: range, key: key))
                }
            } else if member.name == "futureLocks", let bits = member.value.bits {
                futureLocks = UInt32(truncatingIfNeeded: bits)
            } else {
                return nil
            }
        }
    }

    private static func ranges(_ json: JSON) -> [Range<UInt64>]? {
        var found: [Range<UInt64>] = []
        for element in json.elements ?? [] {
            guard let range = range(element) else { return nil }
            found.append(range)
        }
        return found
    }

    private static func key(_ json: JSON) -> Int? {
        json.bits.flatMap { Int(exactly: $0) }.flatMap { possibleKeys.contains($0) ? $0 : nil }
    }

    private static func range(_ json: JSON) -> Range<UInt64>? {
        guard let ends = json.elements, ends.count == 2, let start = ends[0].bits, let end = ends[1].bits, start < end,
            (start | end) % Pagemap.pageSize == 0
        else { return nil }
        return start..<end
    }
}
