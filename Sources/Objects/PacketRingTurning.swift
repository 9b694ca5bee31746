internal import Glibc
internal import Linux
internal import SystemPackage
internal import Tracing

/// Brings a new ring of a packet socket to where another was, with what waited there.
///
/// The kernel begins at the start of a new ring, and there is no call to have it go on elsewhere. So it is given packets until it has
/// come there: of a protocol that nobody speaks, over the loopback device, to which the socket is bound for that while. Nobody
/// else sees them but who captures everything on that device. Then the memory gets what the old one had.
struct PacketRingTurning: ~Copyable {
    private let layout: PacketRingLayout
    private let memory: MappedRegion
    private let feeder: Feeder

    /// - Parameter socket: has its rings, is bound to nothing, and has no filter yet.
    /// - Throws: ENETDOWN where the loopback device is down; ETIMEDOUT where its packets do not come.
    static func restore(
        _ state: PacketRingState, _ layout: PacketRingLayout, in socket: Int32
    ) throws(Errno) {
        // Nothing has ever come.
        if state.next == 0, state.waiting.isEmpty { return }
        let turning = try PacketRingTurning(layout, socket)
        if layout.hasBlocks { try turning.restoreBlocks(state) } else { try turning.restoreFrames(state) }
    }

    private init(_ layout: PacketRingLayout, _ socket: Int32) throws(Errno) {
        let memory = try MappedRegion(of: socket, count: layout.memory)
        let feeder = try Feeder(to: socket)
        self.layout = layout
        self.memory = memory
        self.feeder = feeder
    }

    // MARK: Frames

    private func restoreFrames(_ state: PacketRingState) throws(Errno) {
        for number in 0..<state.next {
            let place = layout.place(of: number)
            try feeder.send(small)
            try wait { memory.load(UInt32.self, at: place) & PacketRingLayout.user != 0 }
        }
        for number in 0..<layout.count {
            let start = number * PacketRingLayout.frameHeader
            memory.store(
                Array(state.heads[start..<start + PacketRingLayout.frameHeader]), at: layout.place(of: number))
        }
        for waiting in state.waiting { memory.store(waiting.bytes, at: layout.place(of: waiting.number)) }
    }

    private var small: Int { 46 }

    // MARK: Blocks

    private func restoreBlocks(_ state: PacketRingState) throws(Errno) {
        // One round more than it takes, so that there are numbers for the blocks before.
        var target = UInt64(layout.count + state.next + 1)
        repeat {
            while true {
                let newest = PacketBlockHead.newest(in: memory, layout)
                if newest.head.number >= target, newest.index == state.next, !newest.head.isWaiting { break }
                release()
                try feed(after: newest.head)
            }
            target += UInt64(layout.count)
        } while try state.waiting.count == layout.count ? !fill() : !empty(state.next)
        for waiting in state.waiting {
            let place = layout.place(of: waiting.number)
            // Its number is that which the kernel has given to the block here: so they go on being in order.
            let number = memory.bytes(
                in: place + PacketBlockHead.numberPlace..<place + PacketBlockHead.numberPlace + 8)
            memory.store(waiting.bytes, at: place)
            memory.store(number, at: place + PacketBlockHead.numberPlace)
        }
    }

    /// Gives all blocks back to the kernel, as a program does that has read them.
    private func release() {
        for index in 0..<layout.count {
            let place = layout.place(of: index) + PacketBlockHead.statusPlace
            if memory.load(UInt32.self, at: place) & PacketRingLayout.user != 0 { memory.store(UInt32(0), at: place) }
        }
    }

    /// Has the kernel put one more packet into a block, or close it.
    private func feed(after head: PacketBlockHead) throws(Errno) {
        try feeder.send(max(small, min(60_000, layout.room - 512)))
        try wait {
            let newest = PacketBlockHead.newest(in: memory, layout).head
            return newest.number != head.number || newest.packets != head.packets || newest.isWaiting
        }
    }

    /// Makes nothing of the packets in the open block: those that come begin behind them. The kernel closes no empty block.
    ///
    /// - Returns: false where it had closed it meanwhile.
    private func empty(_ index: Int) -> Bool {
        let place = layout.place(of: index)
        let head = PacketBlockHead(memory, at: place)
        memory.store(head.length, at: place + PacketBlockHead.firstPlace)
        memory.store(UInt32(0), at: place + PacketBlockHead.packetsPlace)
        // Whoever was about to close it has done so by then.
        usleep(1000)
        let now = PacketBlockHead.newest(in: memory, layout)
        if now.index == index, now.head.number == head.number, !now.head.isWaiting, now.head.packets == 0 {
            release()
            return true
        }
        return false
    }

    /// Has the kernel close all blocks, so that it waits for the program to give one back.
    private func fill() throws(Errno) -> Bool {
        // It goes round once, and must not stop short of its beginning.
        release()
        while true {
            let newest = PacketBlockHead.newest(in: memory, layout)
            if newest.head.isWaiting { return true }
            try feed(after: newest.head)
        }
    }

    private func wait(until isSo: () -> Bool) throws(Errno) {
        // Most have come when the call that sends them returns.
        for _ in 0..<10_000 {
            if isSo() { return }
            usleep(100)
        }
        throw .timedOut
    }

    /// Sends packets that one socket alone receives.
    private struct Feeder: ~Copyable {
        private let sender: OwnedDescriptor
        private let address: [UInt8]
        private let header: [UInt8]

        init(to receiver: Int32) throws(Errno) {
            let raw: Int32 = 3
            let sender = try Sockets.make(Sockets.packet, raw, 0)
            // Numbers that the IEEE has given to nobody, so that two of this kind hardly ever meet.
            let protocolNumber = UInt16.random(in: 0xf000...0xfffe)
            // struct sockaddr_ll: family, protocol in the order of the network, device, type, kind, length and address.
            var name = [UInt8(Sockets.packet), 0, UInt8(protocolNumber >> 8), UInt8(protocolNumber & 0xff)]
            name.append(littleEndian: try Sockets.number(ofInterface: "lo", sender.raw))
            let address = name + [0, 0, 0, 6] + [UInt8](repeating: 0, count: 8)
            try Sockets.bind(receiver, address)
            self.sender = sender
            self.address = address
            header = [UInt8](repeating: 0, count: 12) + name[2..<4]
        }

        func send(_ size: Int) throws(Errno) {
            do throws(Errno) {
                try send(exactly: size)
            } catch .messageTooLong {
                // Somebody has given the device a smaller size of packets.
                try send(exactly: min(size, 1000))
            }
        }

        private func send(exactly size: Int) throws(Errno) {
            let packet = SocketMessage(header + [UInt8](repeating: 0, count: size))
            for _ in 0..<1000 {
                do throws(Errno) {
                    try Sockets.send(sender.raw, packet, to: address)
                    return
                } catch .wouldBlock {
                    // What was sent before is still under way.
                    usleep(100)
                }
            }
            throw .timedOut
        }
    }
}
