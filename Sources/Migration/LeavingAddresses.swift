internal import Diagnostics
internal import Images
internal import Linux
internal import Logging
internal import SystemPackage

/// Addresses that leave this host with a tree, in the last moment before the other host is told to let it run: from then on
/// nobody has them until the other host does. What is not handed over comes back, with what the kernel takes away along with an address.
final class LeavingAddresses {
    private let moved: [MovedAddress]
    /// As they are here.
    private let addresses: [DeviceAddress]
    /// The devices that they are taken from, by their names, as they were before.
    private var devices: [String: NetworkDevice] = [:]
    private let logger: Logger

    /// - Throws: `address-unmovable`, for all that are not as they should be.
    init(_ moved: [MovedAddress], _ logger: Logger) throws {
        self.moved = moved
        self.logger = logger
        var (problems, found): ([Problem], [DeviceAddress]) = ([], [])
        for one in moved {
            let name = DeviceAddress(one.bytes, length: 0).description
            do throws(Errno) {
                let device = try NetworkDevice(named: Array(one.device.utf8))
                if let address = device.address(one.bytes) {
                    found.append(address)
                    continue
                }
                problems.append(
                    Problem(
                        .addressUnmovable, "the device \(one.device) does not have the address \(name)",
                        remedy: "`ip address` shows which has it: --move-address \(name)@DEVICE"))
            } catch {
                problems.append(
                    Problem(
                        .addressUnmovable,
                        "the network device \(one.device), which \(name) is to leave, cannot be asked",
                        cause: .init(error, attempted: "RTM_GETLINK"),
                        remedy: "`ip address` shows the devices: --move-address \(name)@DEVICE"))
            }
        }
        addresses = found
        try Problems.throwIfAny(problems)
    }

    /// In words.
    var names: [String] { addresses.map(\.description) }

    /// What the other host is to know of them.
    var wishes: JSON {
        .array(
            zip(moved, addresses).map { moved, address in
                [
                    "address": .string(address.description),
                    "length": .integer(Int64(moved.length ?? address.length)), "device": .string(moved.deviceThere),
                    "broadcast": .string(moved.length == nil ? Hexadecimal.text(address.broadcast) : ""),
                    "alone": .bool(address.isAlone),
                ]
            })
    }

    /// The connection between the hosts must not lead from an address that moves: it would not hear of the end.
    ///
    /// - Throws: `address-unmovable`.
    func checkConnection() throws {
        if moved.isEmpty { return }
        let moving = Set(addresses.map(\.bytes))
        let own = Self.ownSockets()
        let established: UInt8 = 1
        for (inode, report) in (try? TCPSocketReport.all()) ?? [:] where report.state == established {
            // Of IPv4 in IPv6 the last four bytes.
            guard own.contains(inode),
                moving.contains(report.address) || moving.contains(Array(report.address.suffix(4)))
            else { continue }
            throw Problem(
                .addressUnmovable,
                "the connection to the other host leads from the address that is to move"
                    + " (\(names.joined(separator: ", ")))",
                remedy: "Have it lead from another: --ssh-command 'ssh -b ADDRESS'")
        }
    }

    /// The inodes of the sockets of Apus and of those that it has started.
    private static func ownSockets() -> Set<UInt32> {
        var inodes: Set<UInt32> = []
        for pid in Procfs.live.tree(of: Processes.current) {
            let folder = FilePath("/proc/\(pid)/fd")
            for entry in (try? Files.entries(of: folder)) ?? [] {
                guard let name = FilePath.Component(String(decoding: entry.name, as: UTF8.self)),
                    let link = try? Files.readLink(folder.appending(name))
                else { continue }
                let text = String(decoding: link, as: UTF8.self)
                if text.hasPrefix("socket:["), let inode = UInt32(text.dropFirst(8).dropLast()) { inodes.insert(inode) }
            }
        }
        return inodes
    }

    // MARK: Leaving

    /// Looks at the devices as they are before anything is taken from them.
    ///
    /// - Returns: what is to be written down of it, for a return after a crash.
    /// - Throws: `address-unmovable`.
    func remember() throws(Problem) -> JSON {
        for name in Set(moved.map(\.device)) {
            do throws(Errno) { devices[name] = try NetworkDevice(named: Array(name.utf8)) } catch {
                throw Self.problem("the network device \(name) cannot be asked", error, "RTM_GETLINK")
            }
        }
        return .array(
            devices.sorted { $0.key < $1.key }.map { name, device in
                func list(_ messages: [[UInt8]]) -> JSON { .array(messages.map { .string(Hexadecimal.text($0)) }) }
                return [
                    "device": .string(name), "had": list(device.addresses), "routes": list(device.routes),
                    "moving": .array(zip(moved, addresses).filter { $0.0.device == name }.map { .string("\($0.1)") }),
                ]
            })
    }

    /// Takes all of them away, or none.
    ///
    /// - Throws: `address-unmovable`.
    func leave() throws(Problem) {
        for (one, address) in zip(moved, addresses) {
            guard let device = devices[one.device] else { preconditionFailure("they are remembered first") }
            do throws(Errno) {
                try address.take(from: device.index)
                logger.info("the address \(address) is taken from \(one.device)")
            } catch {
                comeBack().forEach { logger.error("\($0.description)") }
                throw Self.problem("the address \(address) cannot be taken from \(one.device)", error, "RTM_DELADDR")
            }
        }
        let moving = Set(addresses.map(\.bytes))
        for (name, device) in devices {
            do throws(Errno) {
                // Routes that need the address cannot be there without it.
                let missing = try device.complete(device.index, but: moving)
                if missing > 0 { logger.info("\(missing) routes over \(name) go with the addresses") }
            } catch {
                logger.warning("\(name) has lost another address along with one that moves: \(error)")
            }
        }
    }

    /// Gives the devices back what was taken.
    ///
    /// - Returns: what could not be.
    func comeBack() -> [Problem] {
        if moved.isEmpty { return [] }
        let problems = devices.flatMap { Self.comeBack($0, $1, addresses.map(\.bytes)) }
        if problems.isEmpty { logger.info("the addresses are here again: \(names.joined(separator: ", "))") }
        return problems
    }

    private static func comeBack(_ name: String, _ before: NetworkDevice, _ moving: [[UInt8]]) -> [Problem] {
        do throws(Errno) {
            let now = try NetworkDevice(named: Array(name.utf8))
            try before.complete(now.index)
            // Those who have asked in between may have been told another place.
            for bytes in moving where before.address(bytes) != nil { try? now.announce(bytes) }
            return []
        } catch {
            let lost = moving.filter { before.address($0) != nil }.map { DeviceAddress($0, length: 0).description }
            return [
                Problem(
                    .addressUnmovable, "\(lost.joined(separator: ", ")) cannot be put back on \(name)",
                    cause: .init(error, attempted: "RTM_NEWADDR"),
                    remedy: "Put it there with `ip address add`, and its routes with `ip route add`")
            ]
        }
    }

    /// The same from what was written down.
    static func comeBack(_ record: JSON) -> [Problem] {
        (record.elements ?? []).flatMap { one -> [Problem] in
            guard let name = one["device"]?.string, Sockets.isInterfaceName(name) else { return [] }
            func list(_ name: String) -> [[UInt8]] { one.texts(name).compactMap(Hexadecimal.bytes) }
            let before = NetworkDevice(
                index: 0, type: 0, flags: 0, mtu: 0, queueLength: 0, group: 0, address: [], alias: [], generation: nil,
                addresses: list("had"), routes: list("routes").filter { $0.count >= 12 })
            return comeBack(name, before, one.texts("moving").compactMap { DeviceAddress.parse($0) })
        }
    }

    private static func problem(_ words: String, _ error: Errno, _ attempted: String) -> Problem {
        Problem(
            .addressUnmovable, words, cause: .init(error, attempted: attempted),
            remedy: "Run Apus as root (CAP_NET_ADMIN), and see that nobody else changes the addresses meanwhile")
    }
}
