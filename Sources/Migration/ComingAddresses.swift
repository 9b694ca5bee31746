internal import Diagnostics
internal import Images
internal import Linux
internal import Logging
internal import Objects
internal import Synchronization
internal import SystemPackage

/// Addresses that come to this host with a tree.
///
/// Sockets need their addresses to be made, and the source has them until the tree is handed over. So they are put on the device before,
/// and are *hidden*: nobody who asks the network for them gets an answer from here, and what is sent to them or from them does not pass
/// (`PacketFilter.hiding`). They stay for some seconds only, again and again, so that the kernel takes them away by itself if Apus is
/// killed. When the last word has come they stay for good; when the tree runs they are shown, and announced.
final class ComingAddresses: Sendable {
    /// One of them.
    struct One: Sendable, Equatable {
        let address: DeviceAddress
        let device: String

        init?(_ wish: JSON) {
            guard let bytes = wish["address"]?.string.flatMap(DeviceAddress.parse),
                let length = wish["length"]?.bits.flatMap({ UInt8(exactly: $0) }), Int(length) <= 8 * bytes.count,
                let device = wish["device"]?.string, Sockets.isInterfaceName(device)
            else { return nil }
            var address = DeviceAddress(bytes, length: length)
            let broadcast = wish["broadcast"]?.string.flatMap(Hexadecimal.bytes) ?? []
            if broadcast.count == 4, bytes.count == 4 { address.broadcast = broadcast }
            address.isAlone = wish["alone"]?.isTrue ?? false
            self.address = address
            self.device = device
        }

        var json: JSON {
            ["address": .string("\(address)"), "length": .integer(Int64(address.length)), "device": .string(device)]
        }
    }

    private enum State { case visiting, settled, gone }

    /// Keeps the tables of the packet filter.
    private final class Curtain: Sendable {
        let socket: OwnedDescriptor
        init(_ socket: consuming OwnedDescriptor) { self.socket = socket }
    }

    /// For how many seconds they stay at a time.
    private static let visit: UInt32 = 10

    private let all: [(one: One, device: NetworkDevice)]
    private let logger: Logger
    private let state = Mutex(State.visiting)
    private let curtain = Mutex<Curtain?>(nil)
    private let isOver = Semaphore()

    /// What a source wishes for.
    ///
    /// - Throws: `protocol` for what is none.
    static func wished(_ wishes: JSON) throws(Problem) -> [One] {
        var all: [One] = []
        for wish in wishes["addresses"]?.elements ?? [] {
            guard let one = One(wish) else { throw BodyReader.malformed }
            all.append(one)
        }
        return all
    }

    /// Why this host cannot have them.
    static func obstacles(_ all: [One]) -> [Problem] {
        all.compactMap { one in
            do throws(Errno) {
                let device = try NetworkDevice(named: Array(one.device.utf8))
                if !device.isUp {
                    return Problem(
                        .addressUnmovable,
                        "the network device \(one.device), which \(one.address) is to come to, is down",
                        remedy: "ip link set \(one.device) up")
                }
                guard let holder = try NetworkDevice.holders(of: one.address.bytes).first else { return nil }
                let socket = try Sockets.make(Sockets.inet, Sockets.datagram)
                let name = (try? Sockets.interface(numbered: holder, socket.raw)) ?? one.device
                return Problem(
                    .addressUnmovable, "the address \(one.address) is there already, on \(name)",
                    remedy: "Take it away there (ip address del \(one.address) dev \(name)), or migrate without"
                        + " --move-address")
            } catch {
                return Problem(
                    .addressUnmovable,
                    "the network device \(one.device), which \(one.address) is to come to, cannot be asked",
                    cause: .init(error, attempted: "RTM_GETLINK"),
                    remedy: "`ip link` shows the devices there: --move-address ADDRESS@DEVICE:DEVICE-THERE")
            }
        }
    }

    /// Puts them on their devices, hidden and for a while.
    ///
    /// - Throws: `address-unmovable`; none is there then.
    init(_ wished: [One], _ logger: Logger) throws(Problem) {
        self.logger = logger
        if let problem = Self.obstacles(wished).first { throw problem }
        var all: [(one: One, device: NetworkDevice)] = []
        for one in wished {
            do throws(Errno) { all.append((one, try NetworkDevice(named: Array(one.device.utf8)))) } catch {
                throw Self.problem(one, error)
            }
        }
        self.all = all
        if all.isEmpty { return }
        hide()
        do throws(Problem) { try put(for: Self.visit) } catch {
            withdraw()
            throw error
        }
        let ended = HelperThread { [self] in
            while !isOver.wait(nanoseconds: 1_000_000_000) {
                state.withLock { if $0 == .visiting { try? put(for: Self.visit) } }
            }
        }
        // Nobody waits for it: it ends when it is told to, or with Apus.
        _ = consume ended
    }

    private func hide() {
        do throws(Errno) {
            let socket = try PacketFilter.open()
            let (addresses, name) = (all.map(\.one.address.bytes), "apus-coming-\(RandomName.mark)")
            try PacketFilter.apply(PacketFilter.hiding(addresses, name), through: socket.raw)
            if addresses.contains(where: { $0.count == 4 }) {
                do throws(Errno) {
                    try PacketFilter.apply(PacketFilter.hidingFromARP(addresses, name), through: socket.raw)
                } catch {
                    logger.warning(
                        "who asks for the addresses that come may be told too early (arp, nf_tables): \(error)")
                }
            }
            curtain.withLock { [kept = Curtain(socket)] in $0 = kept }
        } catch {
            logger.warning("who asks for the addresses that come may be told too early (nf_tables): \(error)")
        }
    }

    private func put(for seconds: UInt32?) throws(Problem) {
        for (one, device) in all {
            do throws(Errno) { try one.address.put(on: device.index, for: seconds) } catch {
                throw Self.problem(one, error)
            }
        }
    }

    private static func problem(_ one: One, _ error: Errno) -> Problem {
        Problem(
            .addressUnmovable, "the address \(one.address) cannot be put on \(one.device)",
            cause: .init(error, attempted: "RTM_NEWADDR"),
            remedy: "See that `apus receive` runs as root (CAP_NET_ADMIN)")
    }

    /// What is written down before they stay for good.
    var record: JSON { .array(all.map(\.one.json)) }

    /// They stay: the source has none of them any more.
    ///
    /// - Throws: `address-unmovable`.
    func settle() throws(Problem) {
        if all.isEmpty { return }
        isOver.signal()
        // A renewal that is under way comes before it.
        let result = state.withLock { state -> Result<Void, Problem> in
            Result { () throws(Problem) in
                try put(for: nil)
                state = .settled
            }
        }
        try result.get()
    }

    /// The tree runs, and may be found.
    func show() {
        if all.isEmpty { return }
        curtain.withLock { $0 = nil }
        announce()
    }

    /// Tells the segment where they are.
    func announce() {
        for (one, device) in all {
            do throws(Errno) { try device.announce(one.address.bytes) } catch {
                logger.warning("\(one.address) on \(one.device) cannot be announced: \(error)")
            }
        }
    }

    /// Whether there are any.
    var isEmpty: Bool { all.isEmpty }

    /// Takes them away again, unless they have come to stay.
    func withdraw() {
        if all.isEmpty { return }
        isOver.signal()
        state.withLock { state in
            guard state == .visiting else { return }
            state = .gone
            Self.take(all.map(\.one))
        }
        curtain.withLock { $0 = nil }
    }

    private static func take(_ all: [One]) {
        for one in all {
            guard let device = try? NetworkDevice(named: Array(one.device.utf8)) else { continue }
            try? one.address.take(from: device.index)
        }
    }

    /// The same from what was written down.
    static func withdraw(_ record: JSON) { take((record.elements ?? []).compactMap { One($0) }) }
}
