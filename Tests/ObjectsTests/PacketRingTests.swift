import Diagnostics
import Images
import Linux
import SystemPackage
import Testing
import Tracing

@testable import Objects

/// How far the kernel has got with a ring of packets, by what lies in it.
@Suite(.timeLimit(.minutes(1)))
struct PacketRingTests {
    /// A frame of version 2: status, length, captured, places of the headers, seconds, nanoseconds.
    private func frame(waits: Bool, second: UInt32?) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt32(waits ? 1 : 0))
        bytes.append(littleEndian: UInt32(second == nil ? 0 : 60))
        bytes.append(littleEndian: UInt32(second == nil ? 0 : 60))
        bytes.append(littleEndian: UInt16(66))
        bytes.append(littleEndian: UInt16(80))
        bytes.append(littleEndian: second ?? 0)
        bytes.append(littleEndian: UInt32(0))
        return bytes + [UInt8](repeating: 0, count: 2048 - bytes.count)
    }

    private var entry: PacketSockEntry {
        var entry = PacketSockEntry()
        entry.version = 1
        (entry.rxRing.blockSize, entry.rxRing.blockNr) = (4096, 2)
        (entry.rxRing.frameSize, entry.rxRing.frameNr) = (2048, 4)
        return entry
    }

    private func state(_ frames: [[UInt8]]) throws -> PacketRingState {
        let layout = try #require(PacketRingLayout(entry))
        let file = try Files.memory(named: "ring", flags: MemoryFileFlag.closeOnExec)
        try Files.truncate(file.raw, to: UInt64(layout.memory))
        let memory = try MappedRegion(of: file.raw, count: layout.memory)
        for (number, frame) in frames.enumerated() { memory.store(frame, at: layout.place(of: number)) }
        return PacketRingState(memory, layout)
    }

    @Test func anEmptyRingBegins() throws {
        let state = try state((0..<4).map { _ in frame(waits: false, second: nil) })
        #expect(state.next == 0 && state.waiting.isEmpty)
    }

    @Test(
        arguments: [
            // None waits: the one behind the latest, also where the ring was gone round.
            ([false, false, false, false], [10, 11, 8, 9], 2),
            ([false, false, false, false], [10, 11, nil, nil], 2),
            // Several of one moment.
            ([false, false, false, false], [7, 7, 5, 7], 2),
            // Those that wait end where the next comes.
            ([true, false, false, true], [4, 1, 2, 3], 1),
            // All wait: it is full.
            ([true, true, true, true], [5, 2, 3, 4], 1),
        ] as [([Bool], [UInt32?], Int)])
    func theNextIsBehindTheLatest(_ waits: [Bool], _ seconds: [UInt32?], _ next: Int) throws {
        let state = try state(zip(waits, seconds).map { frame(waits: $0, second: $1) })
        #expect(state.next == next)
        // The oldest first.
        let expected = (0..<4).map { (next + $0) % 4 }.filter { waits[$0] }
        #expect(state.waiting.map(\.number) == expected)
        let layout = try #require(PacketRingLayout(entry))
        #expect(PacketRingState(state.json, layout) == state)
    }

    @Test func whatNoRingCouldHoldIsRefused() throws {
        let layout = try #require(PacketRingLayout(entry))
        let good = try state((0..<4).map { frame(waits: true, second: UInt32($0)) }).json
        #expect(PacketRingState(good, layout) != nil)
        let heads = good["heads"] ?? .null
        #expect(PacketRingState(["next": .integer(4), "heads": heads, "waiting": .array([])], layout) == nil)
        #expect(PacketRingState(["next": .integer(0), "heads": .string("00"), "waiting": .array([])], layout) == nil)
        let beyond: JSON = ["number": .integer(7), "bytes": .string(String(repeating: "0", count: 64))]
        #expect(PacketRingState(["next": .integer(0), "heads": heads, "waiting": .array([beyond])], layout) == nil)
        let large: JSON = ["number": .integer(1), "bytes": .string(String(repeating: "0", count: 2 * 2049))]
        #expect(PacketRingState(["next": .integer(0), "heads": heads, "waiting": .array([large])], layout) == nil)
        var absurd = entry
        absurd.rxRing.blockNr = .max
        absurd.rxRing.blockSize = 1 << 31
        #expect(PacketRingLayout(absurd) == nil)
    }
}
